"""Everything that can be wrong on disk gives an error that says file, field, what was found and what was expected."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader

from drivewm.data import (
    DataError,
    DriveClips,
    MissingFileError,
    UnsafePathError,
    build_index,
    collate,
)
from drivewm.geometry import VoxelGrid
from drivewm.structures import OCC3D
from tests.data import handmade
from tests.data.handmade import edit


def sweep_of(root: Path) -> Path:
    return sorted((root / "samples" / "LIDAR_TOP").glob("scene-2001*"))[1]


def label_of(root: Path) -> Path:
    """Label of the first keyframe of scene-2001."""
    sample = json.loads((root / handmade.VERSION / "sample.json").read_text())[0]["token"]
    return root / "gts" / "scene-2001" / sample / "labels.npz"


def load_all(root: Path) -> None:
    clips = DriveClips(build_index(root, cache_occupancy=False), "train", 2, 3, load_points=True)
    for item in range(len(clips)):
        clips[item]


def check(error: pytest.ExceptionInfo, file: Path | str, *words: str) -> None:
    assert str(file) in str(error.value)
    for word in words:
        assert word in str(error.value), f"{word!r} not in {error.value}"


def test_missing_sweep(root):
    path = sweep_of(root)
    path.unlink()
    with pytest.raises(MissingFileError) as error:
        build_index(root)
    check(error, path, "found nothing", "sweep of sample_data")
    assert not (root / "index").exists() and not list(root.glob("index*"))


def test_sweep_that_vanishes_after_indexing(root):
    clips = DriveClips(build_index(root), "train", 2, 3, load_points=True)
    path = sweep_of(root)
    path.unlink()
    with pytest.raises(MissingFileError) as error:
        clips[0]
    check(error, path, "a LiDAR sweep")


@pytest.mark.parametrize(("cut", "expected"), [(7, "multiple of 20 bytes"), (20, "as when the index was built")])
def test_truncated_sweep(root, cut, expected):
    clips = DriveClips(build_index(root), "train", 2, 3, load_points=True)
    path = sweep_of(root)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(DataError) as error:
        clips[0]
    check(error, path, "size", f"{path.stat().st_size} bytes", expected)


def test_nan_points(root):
    points = np.fromfile(sweep_of(root), np.float32).reshape(-1, 5)
    points[3, 2] = np.nan
    points.tofile(sweep_of(root))
    with pytest.raises(DataError) as error:
        load_all(root)
    check(error, sweep_of(root), "1 of 43 points with NaN", "finite")


def test_an_error_of_a_worker_process_is_the_same(root):
    index = build_index(root)
    path = sweep_of(root)
    path.write_bytes(path.read_bytes()[:-7])
    clips = DriveClips(index, "train", 2, 3, load_points=True)
    loader = DataLoader(clips, num_workers=1, collate_fn=collate)
    with pytest.raises(DataError) as error:
        list(loader)
    check(error, path, "size: found", "multiple of 20 bytes", "worker process 0")
    with pytest.raises(DataError) as error:
        clips[0]
    assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)


def test_an_empty_sweep_is_an_observation(root):
    sweep_of(root).write_bytes(b"")
    clip = DriveClips(build_index(root), "train", 2, 3, load_points=True)[0]["clip"]
    assert clip.points_valid[0].sum(-1).tolist()[1] == 0


@pytest.mark.parametrize(
    ("table", "field"),
    [
        ("sample", "scene_token"),
        ("sample", "next"),
        ("scene", "log_token"),
        ("scene", "last_sample_token"),
        ("sample_data", "sample_token"),
        ("sample_data", "ego_pose_token"),
        ("sample_data", "calibrated_sensor_token"),
        ("calibrated_sensor", "sensor_token"),
        ("sample_annotation", "sample_token"),
        ("sample_annotation", "instance_token"),
        ("sample_annotation", "visibility_token"),
        ("sample_annotation", "prev"),
        ("instance", "category_token"),
    ],
)
def test_row_that_points_nowhere(root, table, field):
    edit(root, table, lambda rows: rows[0].update({field: "feed"}))
    with pytest.raises(DataError) as error:
        build_index(root)
    check(error, root / handmade.VERSION / f"{table}.json", field, "'feed'", "a token of")
    assert not (root / "index").exists()


def test_attribute_that_points_nowhere(root):
    edit(root, "sample_annotation", lambda rows: rows[0].update(attribute_tokens=["feed"]))
    with pytest.raises(DataError, match="attribute_tokens: found 'feed'"):
        build_index(root)


@pytest.mark.parametrize("table", ["map", "sample", "visibility"])
def test_missing_table(root, table):
    (root / handmade.VERSION / f"{table}.json").unlink()
    with pytest.raises(MissingFileError) as error:
        build_index(root)
    check(error, f"{table}.json")


@pytest.mark.parametrize(
    ("content", "word"), [("[{", "invalid JSON"), ("{}", "found dict"), ('[{"token": "a"}]', "row 0")]
)
def test_table_that_is_none(root, content, word):
    (root / handmade.VERSION / "sample.json").write_text(content)
    with pytest.raises(DataError) as error:
        build_index(root)
    check(error, "sample.json", word)


def test_no_tables_and_several_versions(root, tmp_path):
    with pytest.raises(MissingFileError, match="v1.0-\\*"):
        build_index(tmp_path)
    with pytest.raises(MissingFileError, match="v1.0-mini"):
        build_index(root, "v1.0-mini")
    shutil.copytree(root / handmade.VERSION, root / "v1.0-other")
    with pytest.raises(DataError, match="several: v1.0-handmade, v1.0-other"):
        build_index(root)
    assert build_index(root, handmade.VERSION).num_scenes == 3


@pytest.mark.parametrize("name", ["../secret.pcd.bin", "/etc/passwd", "samples/../../x", ""])
def test_filename_that_climbs_out(root, name):
    edit(root, "sample_data", lambda rows: rows[0].update(filename=name))
    with pytest.raises(UnsafePathError) as error:
        build_index(root)
    check(error, "sample_data.json", "filename", repr(name), "inside of the data root")


def test_scene_name_that_climbs_out(root):
    edit(root, "scene", lambda rows: rows[0].update(name="../../gts"))
    with pytest.raises(UnsafePathError, match="name"):
        build_index(root)


SHAPE = handmade.GRID.shape


def write_label(root: Path, **changed) -> None:
    semantics, visible = handmade.labels("scene-2001", 0)
    arrays = {"semantics": semantics, "mask_lidar": visible.astype(np.uint8), "mask_camera": visible.astype(np.uint8)}
    arrays.update(changed)
    np.savez_compressed(label_of(root), **{k: v for k, v in arrays.items() if v is not None})


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"semantics": np.zeros((16, 16, 5), np.uint8)}, ("semantics", "(16, 16, 5)", "(16, 16, 4)")),
        ({"mask_lidar": np.zeros((4, 4), np.uint8)}, ("mask_lidar", "(4, 4)", "(16, 16, 4)")),
        ({"semantics": np.zeros(SHAPE, np.int64)}, ("semantics", "dtype int64", "uint8")),
        (
            {"semantics": np.full(SHAPE, OCC3D.num_classes, np.uint8)},
            ("semantics", "class 18", "0 to 17"),
        ),
        ({"semantics": np.full(SHAPE, 255, np.uint8)}, ("semantics", "class 255", "0 to 17")),
        ({"mask_lidar": None}, ("mask_lidar", "['mask_camera', 'semantics']")),
        ({"semantics": None}, ("semantics", "['mask_camera', 'mask_lidar']")),
    ],
)
def test_wrong_label(root, changed, words):
    write_label(root, **changed)
    with pytest.raises(DataError) as error:
        load_all(root)
    check(error, label_of(root), *words)
    shutil.rmtree(root / "index")
    with pytest.raises(DataError) as error:  # also found when the labels go into the index
        build_index(root, cache_occupancy=True)
    check(error, label_of(root), *words)
    assert not (root / "index").exists()


def test_the_mask_of_cameras_is_needed_only_where_it_is_asked_for(root):
    index = build_index(root)
    semantics, visible = handmade.labels("scene-2001", 0)
    write_label(root, mask_camera=(~visible).astype(np.uint8))
    clip = DriveClips(index, "train", 2, 3, visible_to="camera")[0]["clip"]
    np.testing.assert_array_equal(clip.visible[0, 0], ~visible)
    np.testing.assert_array_equal(clip.occupancy[0, 0], semantics)
    np.testing.assert_array_equal(DriveClips(index, "train", 2, 3)[0]["clip"].visible[0, 0], visible)
    write_label(root, mask_camera=None)
    shutil.rmtree(root / "index")
    load_all(root)
    with pytest.raises(DataError) as error:
        DriveClips(index, "train", 2, 3, visible_to="camera")[0]
    check(error, label_of(root), "mask_camera", "['mask_lidar', 'semantics']")
    with pytest.raises(ValueError, match="visible_to must be one of lidar, camera, got 'radar'"):
        DriveClips(index, "train", 2, 3, visible_to="radar")


def test_fewer_keyframes_than_a_window(root):
    with pytest.raises(DataError, match="split val: found 1 scenes of at most 8 keyframes.*a scene of 10 keyframes"):
        DriveClips(build_index(root), "val", 4, 6)


def test_truncated_and_missing_label(root):
    label_of(root).write_bytes(label_of(root).read_bytes()[:-30])
    with pytest.raises(DataError, match="labels.npz.*broken archive"):
        load_all(root)
    shutil.rmtree(root / "index")
    label_of(root).unlink()
    with pytest.raises(MissingFileError, match="occupancy label of a keyframe of scene-2001"):
        build_index(root)


def test_occupancy_asked_for_where_there_is_none(root):
    shutil.rmtree(root / "gts" / "scene-2001")
    index = build_index(root)
    assert DriveClips(index, "train", 2, 3)[0]["clip"].occupancy is None
    with pytest.raises(DataError, match="scene-2001.*no labels"):
        DriveClips(index, "train", 2, 3, load_occupancy=True)
    assert DriveClips(index, "val", 2, 3)[0]["clip"].occupancy is not None


@pytest.mark.parametrize(
    ("table", "change", "word"),
    [
        ("ego_pose", {"translation": [1.0, 2.0]}, "3 numbers a row"),
        ("ego_pose", {"translation": [1.0, None, 2.0]}, "finite numbers"),
        ("ego_pose", {"rotation": ["a", 0, 0, 1]}, "4 numbers a row"),
        ("sample_annotation", {"size": [1.0, -2.0, 1.0]}, "positive lengths"),
        ("sample_annotation", {"translation": [1.0, float("nan"), 1.0]}, "finite numbers"),
        ("category", {"name": "vehicle.ufo"}, "vehicle.ufo"),
        ("scene", {"nbr_samples": 4}, "9, as in sample.json"),
        ("sample_data", {"is_key_frame": False}, "is_key_frame"),
    ],
)
def test_values_that_cannot_be(root, table, change, word):
    edit(
        root, table, lambda rows: [row.update(change) for row in rows if table == "category"] or rows[0].update(change)
    )
    with pytest.raises(DataError) as error:
        build_index(root)
    check(error, f"{table}.json", word)


def test_times_that_do_not_increase(root):
    """Of samples, and of the sweeps that are their keyframes."""

    def swap(rows):
        rows[1]["timestamp"], rows[2]["timestamp"] = rows[2]["timestamp"], rows[1]["timestamp"]

    edit(root, "sample_data", swap)
    with pytest.raises(DataError) as error:
        build_index(root)
    check(error, root / handmade.VERSION / "sample_data.json", "timestamp", "keyframe of LIDAR_TOP", "increasing times")
    edit(root, "sample_data", swap)
    edit(root, "sample", lambda rows: rows[1].update(timestamp=rows[2]["timestamp"]))
    with pytest.raises(DataError) as error:
        build_index(root)
    check(error, "sample.json", "timestamp", "increasing times")
    assert not (root / "index").exists()


def test_missing_poses(root):
    edit(root, "ego_pose", lambda rows: rows.pop(3))
    with pytest.raises(DataError) as error:
        build_index(root)
    check(error, "sample_data.json", "ego_pose_token", "a token of ego_pose")


def test_zero_quaternion(root):
    edit(root, "ego_pose", lambda rows: rows[0].update(rotation=[0, 0, 0, 0]))
    with pytest.raises(DataError, match="ego_pose.json: rotation: found .*quaternion"):
        build_index(root)


def test_split_of_unknown_scenes(root):
    (root / "splits.json").write_text(json.dumps({"train": ["scene-0001"]}))
    with pytest.raises(DataError, match="splits.json: split train: found \\['scene-0001'\\]"):
        build_index(root)


def test_broken_route(root):
    (root / "can_bus" / "scene-2001_route.json").write_text('[[1, 2], [3, "x"]]')
    with pytest.raises(DataError, match="scene-2001_route.json: route"):
        build_index(root)


def test_broken_grid(root):
    for grid, error in ((None, DataError), ({"range_m": [0, 0, 0, 8, 8, 8], "voxel_m": -0.4}, ValueError)):
        (root / "dataset.json").write_text(json.dumps({"grid": grid}))
        with pytest.raises(error, match="grid|voxel_m must be a positive"):
            build_index(root)


def test_negative_voxel():
    with pytest.raises(ValueError, match="voxel_m must be a positive length in metres, got -0.4"):
        VoxelGrid((0, 0, 0, 8, 8, 8), -0.4)
