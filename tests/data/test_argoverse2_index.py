"""Argoverse 2's sensor logs as clips: a yard whose walls are known, a real log, and what can be wrong on disk."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree
from torch.utils.data import DataLoader

from drivewm.data import (
    DataError,
    DriveClips,
    Index,
    MissingFileError,
    StaleIndexError,
    build_argoverse2_index,
    collate,
)
from drivewm.data.argoverse_files import NUSCENES_CATEGORY
from drivewm.data.nuscenes_schema import CATEGORIES
from drivewm.geometry import se3
from drivewm.geometry.boxes import points_in_boxes
from drivewm.structures import OCC3D
from tests.data import handmade_argoverse2 as handmade
from tests.data import yard

_REAL = os.environ.get("DRIVEWM_REAL_DATA")
_LOGS = [] if _REAL is None else sorted(Path(_REAL).glob("*/city_SE3_egovehicle.feather"))
needs_pyarrow = pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="pyarrow is not installed")
_CALIBRATION = "calibration/egovehicle_SE3_sensor"
CAR, OTHERS = OCC3D.index("car"), OCC3D.index("others")


@pytest.fixture
def log(tmp_path) -> Path:
    return handmade.write_log(tmp_path / "argoverse2" / "val" / "7fab", 6)


def load_all(root: Path, **options) -> None:
    clips = DriveClips(build_argoverse2_index(root, overwrite=True), "val", 1, 1, load_points=True)
    for item in range(len(clips)):
        clips[item]


def test_categories_are_nuscenes():
    assert set(NUSCENES_CATEGORY.values()) <= set(CATEGORIES)


@needs_pyarrow
def test_walls_stand_still_while_the_vehicle_turns(log):
    """Fails for points taken as of the LiDAR's frame, for inverted poses, and for a wrong forward axis."""
    index = build_argoverse2_index(log.parents[1])
    clips = DriveClips(index, "val", 2, 2, frame_step=1, load_points=True)
    assert len(clips) == 3 and index.sweep_format == "argoverse2"
    for item in range(3):
        yard.check_clip(clips[item]["clip"], handmade.T_CITY_YARD)
    clip = clips[2]["clip"]
    np.testing.assert_allclose(clip.T_global_ego[0, 0].numpy(), handmade.T_CITY_YARD @ yard.T_global_ego(2), atol=1e-6)
    np.testing.assert_allclose(clip.T_ego_lidar[0, 0].numpy(), handmade.T_EGO_AXLE @ handmade.T_AXLE_UP, atol=1e-6)
    clip = DriveClips(index, "val", 2, 1, frame_step=2, load_points=True, num_sweeps=2)[1]["clip"]
    yard.check_clip(clip, handmade.T_CITY_YARD)


@needs_pyarrow
def test_forward_is_x_the_ground_is_at_zero_and_the_own_body_is_removed(log):
    clip = DriveClips(build_argoverse2_index(log.parents[1]), "val", 1, 0, load_points=True)[0]["clip"]
    points = clip.points[0, 0].numpy()
    assert len(points) == len(yard.on_walls())
    assert (np.abs(points[:, 0] - yard.WALL_X) < 1e-4).sum() >= 72
    assert (np.abs(points[:, 2]) < 1e-4).sum() == 36
    assert (points[:, 3] == 51).all()


@needs_pyarrow
def test_times_of_points_are_after_the_stamp_of_their_own_sweep(log):
    clips = DriveClips(build_argoverse2_index(log.parents[1]), "val", 1, 0, load_points=True, num_sweeps=2)
    clip = clips[1]["clip"]
    count = len(yard.on_walls())
    offset = torch.linspace(*handmade.OFFSETS_NS, count + 1)[:-1] * 1e-9
    torch.testing.assert_close(clip.points_time_s[0, 0, :count], offset, atol=1e-6, rtol=0)
    torch.testing.assert_close(clip.points_time_s[0, 0, count:], offset - 0.1, atol=1e-6, rtol=0)


@needs_pyarrow
def test_boxes_keep_their_place_class_velocity_and_track(log):
    clip = DriveClips(build_argoverse2_index(log.parents[1]), "val", 2, 3)[0]["clip"]
    boxes = clip.boxes
    assert boxes.valid.sum(-1).tolist() == [[2, 1, 1, 1, 1]]
    assert sorted(boxes.label[0, 0].tolist()) == sorted([CAR, OTHERS])
    (slot,) = torch.nonzero(boxes.label[0, 0] == CAR)[:, 0].tolist()
    for k in range(5):
        T_ego_car = se3.inverse(yard.T_global_ego(k)) @ handmade.car(k)
        np.testing.assert_allclose(boxes.center[0, k, slot].numpy(), T_ego_car[:3, 3], atol=1e-4)
        assert boxes.yaw[0, k, slot].item() == pytest.approx(handmade.CAR_YAW - 0.08 * k, abs=1e-5)
        velocity = (yard.T_global_ego(k)[:3, :3].T @ handmade.CAR_SPEED)[:2]
        np.testing.assert_allclose(boxes.velocity[0, k, slot].numpy(), velocity, atol=1e-3)
    np.testing.assert_allclose(boxes.size[0, 0, slot].numpy(), handmade.CAR_SIZE, atol=1e-6)


@needs_pyarrow
def test_layouts_and_splits(tmp_path):
    root = tmp_path / "av2"
    for split, name in (("train", "a"), ("train", "b"), ("val", "c"), ("test", "d")):
        handmade.write_log(root / split / name, 2, with_boxes=split != "test")
    index = build_argoverse2_index(root)
    names = {split: DriveClips(index, split, 1, 1).scene_names for split in index.split_names}
    assert names == {"train": ["a", "b"], "val": ["c"], "test": ["d"]}
    assert DriveClips(index, "test", 1, 1)[0]["clip"].boxes.valid.numel() == 0
    assert len(set(index["box_track"].tolist())) == 2 * 3  # tracks of other logs are others
    for place, expected in ((root / "train", ["a", "b"]), (root / "val" / "c", ["c"])):
        index = build_argoverse2_index(place, tmp_path / "index", overwrite=True)
        assert index.split_names == ("val",) and DriveClips(index, "val", 1, 1).scene_names == expected
    (root / "val" / "c" / "annotations.feather").unlink()
    with pytest.raises(StaleIndexError, match="annotations.feather changed or missing"):
        Index.open(tmp_path / "index")
    with pytest.raises(MissingFileError, match="LOG/sensors/lidar"):
        build_argoverse2_index(tmp_path / "nowhere")


def without(columns: dict, name: str) -> dict:
    return {key: values for key, values in columns.items() if key != name}


@needs_pyarrow
@pytest.mark.parametrize(
    ("file", "columns", "words"),
    [
        ("city_SE3_egovehicle", handmade.poses(5), "no pose at 315966000500000000, 1 in all"),
        ("city_SE3_egovehicle", without(handmade.poses(6), "tx_m"), "columns: found no tx_m"),
        ("city_SE3_egovehicle", {k: v[::-1] for k, v in handmade.poses(6).items()}, "times that do not increase"),
        ("city_SE3_egovehicle", {**handmade.poses(6), "qw": np.full(12, np.nan)}, "qw: found 12 of 12 values NaN"),
        (
            "calibration/egovehicle_SE3_sensor",
            {k: v[:1] for k, v in handmade.calibration().items()},
            "up_lidar 0 times",
        ),
        ("annotations", {**handmade.boxes(6), "category": np.array(["UFO"] * 7, object)}, r"category: found \['UFO'\]"),
        ("annotations", {**handmade.boxes(6), "width_m": np.zeros(7)}, "expected positive lengths"),
        ("annotations", {**handmade.boxes(6), "track_uuid": np.array(["a"] * 7, object)}, "a track twice at one time"),
    ],
)
def test_tables_that_do_not_hold(log, file, columns, words):
    handmade.write_table(log / f"{file}.feather", columns)
    with pytest.raises(DataError, match=words) as error:
        build_argoverse2_index(log.parents[1])
    assert file in str(error.value) and not (log.parents[1] / "index").exists()


@needs_pyarrow
@pytest.mark.parametrize("file", ["city_SE3_egovehicle", _CALIBRATION])
def test_missing_tables(log, file):
    (log / f"{file}.feather").unlink()
    with pytest.raises(MissingFileError, match=file):
        build_argoverse2_index(log.parents[1])


@needs_pyarrow
def test_sweeps_that_are_broken(log):
    path = log / "sensors" / "lidar" / f"{handmade.stamp_ns(2)}.feather"
    index, whole = build_argoverse2_index(log.parents[1]), path.read_bytes()
    path.write_bytes(whole[:-40])
    clips = DriveClips(index, "val", 1, 1, load_points=True)
    with pytest.raises(DataError, match=f"{path.name}: size: .* as when the index was built"):
        clips[1]
    with pytest.raises(DataError, match=f"{path.name}: size: .* as when the index was built"):
        list(DataLoader(clips, num_workers=1, collate_fn=collate))
    with pytest.raises(DataError, match="a feather file"):
        load_all(log.parents[1])
    handmade.write_table(path, without(handmade.sweep(2), "offset_ns"))
    with pytest.raises(DataError, match="columns: found no offset_ns"):
        load_all(log.parents[1])
    handmade.write_table(path, {**handmade.sweep(2), "z": np.full(len(handmade.sweep(2)["z"]), np.inf, np.float32)})
    with pytest.raises(DataError, match="z: found .* values NaN or infinite"):
        load_all(log.parents[1])
    handmade.write_table(path, {name: values[:0] for name, values in handmade.sweep(2).items()})
    clip = DriveClips(build_argoverse2_index(log.parents[1], overwrite=True), "val", 1, 1, load_points=True)[1]["clip"]
    assert clip.points_valid.sum(-1).tolist() == [[len(yard.on_walls()), 0]]
    path.rename(path.with_name("last.feather"))
    with pytest.raises(DataError, match="name: found last.feather"):
        load_all(log.parents[1])


@needs_pyarrow
@pytest.mark.skipif(not _LOGS, reason="DRIVEWM_REAL_DATA names no log in Argoverse 2's layout")
def test_a_real_log(tmp_path):
    index = build_argoverse2_index(_LOGS[0].parent, tmp_path / "index")
    clip = DriveClips(index, "val", 1, 1, load_points=True)[0]["clip"]
    sweeps = [clip.points[0, k][clip.points_valid[0, k]].double().numpy() for k in range(2)]
    there = [se3.transform_points(clip.T_global_ego[0, k].numpy(), points[:, :3]) for k, points in enumerate(sweeps)]
    distance, _ = cKDTree(there[0]).query(there[1])
    unmoved, _ = cKDTree(sweeps[0][:, :3]).query(sweeps[1][:, :3])
    assert np.median(distance) < 0.06 and np.median(distance) < 0.7 * np.median(unmoved)  # it moves by 0.07 m
    assert se3.inverse(clip.T_global_ego[0, 0].numpy())[:3] @ clip.T_global_ego[0, 1, :, 3].numpy() == pytest.approx(
        [0.067, 0.0, 0.0], abs=0.01
    )
    for points in sweeps:
        around = (np.hypot(points[:, 0], points[:, 1]) < 6) & (np.abs(points[:, 2]) < 0.3)
        assert around.sum() > 2000 and np.abs(np.median(points[around, 2])) < 0.05
        assert ((points[:, 3] >= 0) & (points[:, 3] <= 255)).all() and points[:, 3].max() > 200
    assert 1.9 < clip.T_ego_lidar[0, 0, 2, 3] < 2.05
    assert 0 <= clip.points_time_s.min() and 0.09 < clip.points_time_s.max() < 0.11
    # Boxes hold just the points that they are published to hold.
    rows = slice(*index["frame_box_ptr"][:2])
    boxes = np.column_stack([index[f"box_{name}"][rows] for name in ("center", "size", "yaw")]).astype(np.float64)
    inside = points_in_boxes(sweeps[0][:, :3], boxes).sum(0)
    assert np.abs(inside - index["box_lidar_points"][rows]).max() <= 2 and inside.sum() > 1000
