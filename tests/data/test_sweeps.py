"""Sweeps between nuScenes' keyframes: a yard whose walls stand still however many of them make a frame."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from drivewm.data import DataError, DriveClips, build_index
from drivewm.data.basemap import write_mask
from drivewm.data.nuscenes_writer import NuScenesWriter
from drivewm.data.records import LIDAR, FrameRecord, SceneRecord, SensorData, SensorRecord, pose_fields
from drivewm.data.sweeps import SWEEP_FORMATS, read_sweep
from drivewm.geometry import se3
from tests.data import handmade_kitti, yard

VERSION, EVERY, KEYFRAMES = "v1.0-yard", 4, (4, 8, 12)
T_EGO_LIDAR = se3.from_xyzyaw(0.94, 0.0, 1.84, -np.pi / 2)
"""nuScenes' LIDAR_TOP: y forward."""
COUNT = len(yard.on_walls())


def stamp_us(k: int) -> int:
    return 7_000_000_000 + 100_000 * k


@pytest.fixture
def root(tmp_path) -> Path:
    """Sweeps 1 to 13, of which 4, 8 and 12 are keyframes: some come before the first one and one after the last."""
    writer = NuScenesWriter(tmp_path / "set", {"schema_version": 1}, VERSION, key="yard")
    (writer.folder / "dataset.json").write_text('{"grid": {"range_m": [-8, -8, -1, 8, 8, 3], "voxel_m": 1.0}}')
    data = []
    for k in range(1, 14):
        points = np.concatenate([yard.seen(k, T_EGO_LIDAR), [[0.3, 1.0, -1.0], [-0.5, -1.2, 0.0]]])  # two of the roof
        points = np.column_stack([points, np.full(len(points), 7.0), np.zeros(len(points))])
        files = writer.write_sweep("scene-2001", stamp_us(k), points, k in KEYFRAMES)
        frame = min(round(k / EVERY), 3) - 1  # the nearest keyframe, as in nuScenes
        pose = pose_fields(yard.T_global_ego(k))
        data.append(SensorData(stamp_us(k), *pose, frame=max(frame, 0), is_key_frame=k in KEYFRAMES, **files))
    sensors = [SensorRecord(LIDAR, *pose_fields(T_EGO_LIDAR), data)]
    frames = [FrameRecord(stamp_us(k), []) for k in KEYFRAMES]
    writer.finish_scene(SceneRecord("scene-2001", "boston-seaport", "train", "yard", sensors, frames, []))
    write_mask(writer.folder / "maps" / "boston-seaport.png", np.ones((20, 30), bool))
    writer.finish(["scene-2001"], {"boston-seaport": "maps/boston-seaport.png"})
    return tmp_path / "set"


def ages(clip, k: int) -> list[float]:
    """How long before frame k each of its sweeps was, the newest first."""
    found, number = torch.unique(
        clip.points_time_s[0, k][clip.points_valid[0, k]].round(decimals=4), return_counts=True
    )
    assert number.tolist() == [COUNT] * len(found)
    return (-found.flip(0)).tolist()


def test_sweeps_belong_to_the_keyframe_that_comes_next(root):
    index = build_index(root)
    assert index["frame_sweep_ptr"].tolist() == [0, 3, 6, 9]
    assert index["sweep_time_us"].tolist() == [stamp_us(k) for k in (1, 2, 3, 5, 6, 7, 9, 10, 11)]
    expected = np.stack([yard.T_global_ego(k) for k in (1, 2, 3, 5, 6, 7, 9, 10, 11)])
    np.testing.assert_allclose(index["sweep_T_global_ego"], expected, atol=1e-9)
    np.testing.assert_allclose(index["sweep_T_ego_lidar"], np.tile(T_EGO_LIDAR, (9, 1, 1)), atol=1e-9)


@pytest.mark.parametrize(
    ("num_sweeps", "expected"),
    [(1, [1, 1, 1]), (3, [3, 3, 3]), (4, [4, 4, 4]), (6, [4, 6, 6]), (50, [4, 8, 12])],
)
def test_walls_stand_still_however_many_sweeps_make_a_frame(root, num_sweeps, expected):
    clip = DriveClips(build_index(root), "train", 2, 1, load_points=True, num_sweeps=num_sweeps)[0]["clip"]
    yard.check_clip(clip)
    for k, count in enumerate(expected):
        assert ages(clip, k) == pytest.approx([0.1 * n for n in range(count)], abs=1e-4)
    assert clip.points_time_s.max() == 0 and clip.points_valid.sum(-1).tolist() == [[COUNT * n for n in expected]]
    history = clip.history()
    assert history.points_time_s.shape == history.points.shape[:3]


def test_sweeps_that_are_not_there_are_left_out(root, caplog):
    for path in sorted((root / "sweeps" / "LIDAR_TOP").glob("*"))[2:5]:  # 3, 5 and 6
        path.unlink()
    with caplog.at_level(logging.WARNING):
        index = build_index(root)
    assert "3 sweeps between keyframes are not there" in caplog.text
    clip = DriveClips(index, "train", 2, 1, load_points=True, num_sweeps=3)[0]["clip"]
    yard.check_clip(clip)
    assert ages(clip, 1) == pytest.approx([0.0, 0.1, 0.4], abs=1e-4)


def test_keyframes_alone_are_a_data_set(root):
    for path in (root / "sweeps" / "LIDAR_TOP").glob("*"):
        path.unlink()
    clip = DriveClips(build_index(root), "train", 1, 2, load_points=True, num_sweeps=2)[0]["clip"]
    assert ages(clip, 0) == [0.0] and ages(clip, 2) == pytest.approx([0.0, 0.4], abs=1e-4)
    yard.check_clip(clip)


def test_a_sweep_that_is_cut_short_is_named(root):
    clips = DriveClips(build_index(root), "train", 2, 1, load_points=True, num_sweeps=2)
    path = sorted((root / "sweeps" / "LIDAR_TOP").glob("*"))[5]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=f"{path.name}: size"):
        clips[0]


def test_a_sweep_of_its_own_calibration_and_pose(root):
    """Each sweep's own pose counts, not that of its keyframe: a wrong one moves its points alone."""
    path = root / VERSION / "ego_pose.json"
    rows = json.loads(path.read_text())
    next(row for row in rows if row["timestamp"] == stamp_us(7))["translation"][2] += 1.0
    path.write_text(json.dumps(rows))
    clip = DriveClips(build_index(root), "train", 2, 1, load_points=True, num_sweeps=2)[0]["clip"]
    own, before = clip.points[0, 1, :COUNT], clip.points[0, 1, COUNT:]
    torch.testing.assert_close(before - own, torch.tensor([0.0, 0.0, 1.0, 0.0]).expand(COUNT, 4), atol=1e-3, rtol=0)


@pytest.mark.parametrize("wrong", ["num_sweeps", "frame_step"])
def test_numbers_that_cannot_be(root, wrong):
    with pytest.raises(ValueError, match=f"{wrong} >= 1.*got {wrong} 0"):
        DriveClips(build_index(root), "train", 2, 1, **{wrong: 0})


def test_one_intensity_and_one_frame_for_all_formats(tmp_path):
    """A point 5 m ahead of the sensor and 1 m to its left, as each data set writes it."""
    np.array([[-1.0, 5.0, 0.5, 51.0, 3.0]], "<f4").tofile(tmp_path / "nuscenes")
    np.array([[5.0, 1.0, 0.5, 0.2]], "<f4").tofile(tmp_path / "kitti")
    for name, T_ego_lidar in (("nuscenes", T_EGO_LIDAR), ("kitti", handmade_kitti.T_EGO_VELO)):
        points, time_s = read_sweep(tmp_path / name, name, T_ego_lidar)
        expected = [[*(T_ego_lidar[:3, 3] + [5.0, 1.0, 0.5]), 51.0]]
        np.testing.assert_allclose(points, expected, atol=1e-5)
        assert points.dtype == time_s.dtype == np.float32 and time_s.tolist() == [0.0]
    assert set(SWEEP_FORMATS) == {"nuscenes", "kitti", "argoverse2"}


def test_boxes_of_frames_that_are_a_step_apart(tmp_path):
    from tests.data import handmade

    index = build_index(handmade.write(tmp_path / "set"))
    every = DriveClips(index, "train", 2, 4)[0]["clip"].boxes
    apart = DriveClips(index, "train", 2, 1, frame_step=2)[0]["clip"]
    assert apart.boxes.valid.sum(-1).tolist() == [[2, 1, 1]]
    car = [int(torch.nonzero(boxes.valid[0, -1])[0, 0]) for boxes in (every, apart.boxes)]
    torch.testing.assert_close(apart.boxes.center[0, :, car[1]], every.center[0, ::2, car[0]])
    for k in range(3):
        np.testing.assert_array_equal(apart.occupancy[0, k].numpy(), handmade.labels("scene-2001", 2 * k)[0])
    assert torch.diff(apart.timestamp_us[0]).tolist() == [2 * handmade.STEP_US] * 2
