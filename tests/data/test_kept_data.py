"""What is there is kept: stale, broken, foreign and unfinished data is told apart and never overwritten unasked."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from drivewm.data import (
    DataError,
    DatasetExistsError,
    IncompleteDatasetError,
    Index,
    MissingFileError,
    StaleIndexError,
    build_index,
)
from tests.data import handmade
from tests.data.handmade import edit


def test_stale_index(root):
    folder = build_index(root).folder
    edit(root, "ego_pose", lambda rows: rows[0]["translation"].__setitem__(0, 3.0))
    with pytest.raises(StaleIndexError, match="ego_pose.json changed"):
        Index.open(folder)
    build_index(root, overwrite=True)
    schema = json.loads((folder / "schema.json").read_text())
    (folder / "schema.json").write_text(json.dumps({**schema, "schema_version": 0}))
    with pytest.raises(StaleIndexError, match="schema_version: found 0, expected"):
        Index.open(folder)


def test_broken_index(root):
    folder = build_index(root).folder
    np.save(folder / "frame_time_us.npy", np.zeros(3))
    with pytest.raises(DataError, match="frame_time_us.npy: column: found"):
        Index.open(folder)
    (folder / "frame_time_us.npy").unlink()
    with pytest.raises(MissingFileError, match="frame_time_us.npy"):
        Index.open(folder)
    with pytest.raises(MissingFileError, match="create_index"):
        Index.open(root / "nowhere")


def test_tables_are_compared_by_what_they_hold(root):
    """A copy has other times than the original; an edit may keep the size."""
    folder = build_index(root).folder
    table = root / Index.open(folder).version / "scene.json"
    content = table.read_bytes()
    os.utime(table, (1, 1))
    assert Index.open(folder).num_scenes == 3
    table.write_bytes(content.replace(b"scene", b"scelp", 1))
    with pytest.raises(StaleIndexError, match="scene.json changed"):
        Index.open(folder)
    table.write_bytes(content)
    (root / "splits.json").unlink()
    with pytest.raises(StaleIndexError, match="splits.json changed or missing"):
        Index.open(folder)


def test_columns_are_those_of_numpy_and_cannot_be_written(root):
    index = build_index(root)
    for name, column in index.columns.items():
        expected = np.load(index.folder / f"{name}.npy", allow_pickle=False)
        np.testing.assert_array_equal(column, expected)
        assert column.dtype == expected.dtype and not column.flags.writeable
    file = index.folder / "frame_time_us.npy"
    whole = file.read_bytes()
    for broken in (whole[:-1], b"", b"nonsense" + whole[8:]):
        file.write_bytes(broken)
        with pytest.raises(DataError, match="frame_time_us.npy: column: found a broken file"):
            Index.open(index.folder)


def test_existing_index_and_foreign_folder_are_kept(root):
    folder = build_index(root).folder
    with pytest.raises(DatasetExistsError, match="--overwrite"):
        build_index(root)
    foreign = root / "notes"
    foreign.mkdir()
    (foreign / "keep.txt").write_text("mine")
    with pytest.raises(DataError, match="a folder that is no index"):
        build_index(root, out=foreign, overwrite=True)
    assert (foreign / "keep.txt").exists() and Index.open(folder).num_scenes == 3


def test_existing_data_set_is_kept_unless_told(root):
    before = sorted(path.relative_to(root) for path in root.rglob("*"))
    with pytest.raises(DatasetExistsError, match="--overwrite"):
        handmade.write(root)
    assert sorted(path.relative_to(root) for path in root.rglob("*")) == before
    (root / "stray.txt").write_text("from before")
    handmade.write(root, overwrite=True)
    assert not (root / "stray.txt").exists()
    assert not list(root.parent.glob("*.incomplete")) and not list(root.parent.glob("*.retired"))
    foreign = root.parent / "foreign"
    foreign.mkdir()
    (foreign / "keep.txt").write_text("mine")
    with pytest.raises(DataError, match="without dataset.json"):
        handmade.write(foreign, overwrite=True)
    assert (foreign / "keep.txt").exists()


def test_interrupted_generation_says_so_and_resumes(tmp_path, monkeypatch):
    out = tmp_path / "set"
    real = handmade.sweep

    def dies(scene, k):
        if (scene, k) == ("scene-2003", 4):
            raise KeyboardInterrupt
        return real(scene, k)

    monkeypatch.setattr(handmade, "sweep", dies)
    with pytest.raises(KeyboardInterrupt):
        handmade.write(out)
    assert not out.exists() and not list(tmp_path.rglob("*.partial"))
    for root in (out, out.with_name("set.incomplete")):
        with pytest.raises(IncompleteDatasetError, match="interrupted"):
            build_index(root)
    monkeypatch.setattr(handmade, "sweep", real)
    handmade.write(out)
    assert build_index(out).num_frames == sum(count for _, count in handmade.SCENES.values())
