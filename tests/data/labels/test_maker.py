"""Labels of a small town, whose true ones are known: made, resumed, compared, and refused."""

from __future__ import annotations

import json
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from drivewm.data import (
    DataError,
    DatasetExistsError,
    DriveClips,
    Index,
    MissingFileError,
    StaleIndexError,
    build_index,
)
from drivewm.data.files import read_occupancy
from drivewm.data.labels import maker
from drivewm.data.labels.comparison import compare_labels
from drivewm.data.labels.maker import LabelOptions, make_labels
from drivewm.data.labels.scenes import read_scenes
from drivewm.data.nuscenes_index import grid_of
from drivewm.data.nuscenes_tables import NuScenesTables
from drivewm.data.town import write_town
from drivewm.data.town_plan import TownOptions, TownSensors
from drivewm.geometry import VoxelGrid
from drivewm.structures import OCC3D
from tests.data import handmade

GRID = VoxelGrid.centered((64, 64, 8), 0.8)
VERSION = "v1.0-town"


@pytest.fixture(scope="module")
def town(tmp_path_factory) -> Path:
    options = TownOptions(1, 3, GRID, duration_s=2.0, sensors=TownSensors(cameras=False))
    return write_town(tmp_path_factory.mktemp("town") / "set", options)


@pytest.fixture(scope="module")
def made(town) -> Path:
    return make_labels(town, town.parent / "made", LabelOptions(GRID))


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_labels_agree_with_the_truth(town, made):
    found = compare_labels(made, town / "gts", GRID)
    assert found["keyframes"] == 5
    assert found["visible"]["iou"] > 0.75 and found["visible"]["precision"] > 0.9
    assert found["visible"]["class_iou"]["driveable_surface"] > 0.8
    assert found["claimed"]["precision"] == found["all"]["precision"]  # nothing is occupied that is not claimed
    sparse = make_labels(town, town.parent / "sparse", LabelOptions(GRID, keyframes_only=True))
    assert compare_labels(sparse, town / "gts", GRID)["visible"]["recall"] < found["visible"]["recall"] - 0.02


def test_causal_labels_know_less_but_the_last_ones(town, made):
    causal = make_labels(town, town.parent / "causal", LabelOptions(GRID, causal=True))
    for scene in read_scenes(NuScenesTables(town, VERSION)):
        static = [c for c in OCC3D.occupied if c not in OCC3D.movable]
        share = []
        for token in scene.tokens:
            now, whole = (read_occupancy(f / scene.name / token / "labels.npz", GRID)[0] for f in (causal, made))
            share.append(np.isin(now, static).sum() / np.isin(whole, static).sum())
        assert share[0] < 0.9 and share[-1] > 0.98


def test_an_interrupted_run_goes_on(town, made, monkeypatch):
    out, write, written = town.parent / "resumed", maker.write_occupancy, []

    def write_two(path, *arrays):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(path)
        write(path, *arrays)

    monkeypatch.setattr(maker, "write_occupancy", write_two)
    with pytest.raises(KeyboardInterrupt):
        make_labels(town, out, LabelOptions(GRID))
    assert not out.exists() and len(list(town.parent.glob("resumed.incomplete/*/*/labels.npz"))) == 2
    with pytest.raises(DatasetExistsError, match="unfinished run with other options"):
        make_labels(town, out, LabelOptions(GRID, causal=True))
    monkeypatch.setattr(maker, "write_occupancy", lambda path, *arrays: written.append(path) or write(path, *arrays))
    make_labels(town, out, LabelOptions(GRID))
    assert len(written) == len(set(written)) == 5
    assert files(out) == files(made)
    assert not (town.parent / "resumed.incomplete").exists()


def test_labels_that_are_there_stay(town, made):
    before = files(made)
    with pytest.raises(DatasetExistsError, match="--overwrite"):
        make_labels(town, made, LabelOptions(GRID))
    assert files(made) == before


def test_a_data_set_takes_its_grid_from_its_labels(town, tmp_path):
    root = Path(shutil.copytree(town, tmp_path / "set"))
    index = build_index(root)
    small, name = VoxelGrid.centered((20, 20, 4), 1.6), index["scene_name"][0].decode()
    make_labels(root, root / "gts", LabelOptions(small), scenes=[name], overwrite=True)
    with pytest.raises(StaleIndexError, match="gts/labels.json"):
        Index.open(root / "index")
    assert grid_of(root) == small
    index = build_index(root, overwrite=True)
    assert index.grid == small and index.occupancy.shape == (5, 20, 20, 4)
    clip = DriveClips(index, "train", 2, 1)[0]["clip"]
    assert clip.occupancy.shape == (1, 3, 20, 20, 4) and clip.visible.any()
    statement = json.loads((root / "gts" / "labels.json").read_text())
    assert statement["kind"] == "scene" and statement["scenes"] == [name]


def change_rows(root: Path, table: str, change) -> None:
    path = root / VERSION / f"{table}.json"
    rows = json.loads(path.read_text())
    change(rows)
    path.write_text(json.dumps(rows))


def test_what_cannot_be_labelled_is_named(town, tmp_path):
    def attempt(match: str, error=DataError, **options) -> None:
        with pytest.raises(error, match=match):
            make_labels(root, tmp_path / "out", LabelOptions(GRID), **options)
        assert not (tmp_path / "out").exists()

    root = Path(shutil.copytree(town, tmp_path / "set"))
    attempt("scenes: found \\['scene-9999'\\]", scenes=["scene-9999"])
    seg = sorted((root / "lidarseg" / VERSION).iterdir())
    content = seg[0].read_bytes()
    seg[0].write_bytes(content[:-3])
    attempt(f"{seg[0].name}: size: found {len(content) - 3} bytes, expected {len(content)}")
    seg[0].unlink()
    attempt(f"{seg[0].name}.*point classes", MissingFileError)
    seg[0].write_bytes(content)
    sweep = next((root / "sweeps" / "LIDAR_TOP").iterdir())
    sweep.write_bytes(sweep.read_bytes()[:-1])
    attempt(f"{sweep.name}: size")
    sweep.unlink()
    attempt(f"{sweep.name}.*a LiDAR sweep", MissingFileError)
    change_rows(root, "category", lambda rows: rows[0].pop("index"))
    attempt("category.json: index of noise: found none")
    change_rows(root, "lidarseg", lambda rows: rows.clear())
    change_rows(root, "category", lambda rows: rows[0].update(index=0))
    attempt("lidarseg.json: point classes of scene-.*: found none")
    (root / VERSION / "lidarseg.json").unlink()
    attempt("lidarseg.json.*nuScenes-lidarseg", MissingFileError)
    with pytest.raises(ValueError, match="rays_step must be 0 or more, got -1"):
        LabelOptions(GRID, rays_step=-1)


def test_a_scene_without_poses(town, tmp_path):
    root = Path(shutil.copytree(town, tmp_path / "set"))
    change_rows(root, "ego_pose", lambda rows: rows.clear())
    for attempt in (lambda: make_labels(root, tmp_path / "out", LabelOptions(GRID)), lambda: build_index(root)):
        with pytest.raises(
            DataError, match="sample_data.json: ego_pose_token: found .*expected a token of ego_pose.json"
        ):
            attempt()


def call(monkeypatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["make_occupancy.py", *map(str, arguments)])
    runpy.run_path(str(Path(__file__).parents[3] / "tools" / "make_occupancy.py"), run_name="__main__")


def test_the_tool_compares_and_replaces(town, tmp_path, monkeypatch, capsys):
    root = Path(shutil.copytree(town, tmp_path / "set"))
    options = ("--root", root, "--out", tmp_path / "labels", "--compare", tmp_path / "scores.json")
    call(monkeypatch, *options)
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores == compare_labels(tmp_path / "labels", root / "gts", GRID)
    assert f"{100 * scores['visible']['iou']:.2f}" in capsys.readouterr().out
    call(monkeypatch, *options)  # made before: compared again
    assert "scene labels" not in capsys.readouterr().out
    with pytest.raises(SystemExit, match="error: .*options"):
        call(monkeypatch, *options, "--causal")
    with pytest.raises(SystemExit, match="error: .*--overwrite"):
        call(monkeypatch, "--root", root)
    call(monkeypatch, "--root", root, "--overwrite", "--rays-step", 0)
    index = Index.open(root / "index")
    token, name = index["frame_token"][0].decode(), index["scene_name"][0].decode()
    made = read_occupancy(tmp_path / "labels" / name / token / "labels.npz", GRID)[0]
    np.testing.assert_array_equal(index.occupancy[0], made)
    with pytest.raises(SystemExit):
        call(monkeypatch, "--root", root, "--compare", tmp_path / "scores.json")


def test_comparing_nothing(tmp_path):
    with pytest.raises(MissingFileError, match="labels to compare"):
        compare_labels(tmp_path, tmp_path, handmade.GRID)
