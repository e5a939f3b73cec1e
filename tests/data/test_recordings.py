"""Recordings: labels of a made-up drive whose content is known, and the real excerpt where it is at hand."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from nuscenes.nuscenes import NuScenes

from drivewm.data import DataError, DriveClips, MissingFileError, build_index
from drivewm.data.labels.causal import causal_labels
from drivewm.data.labels.voting import vote_reference
from drivewm.data.nuscenes_recording import T_EGO_LIDAR
from drivewm.data.recordings import convert_recording
from drivewm.geometry import VoxelGrid, se3
from drivewm.structures import OCC3D

GRID = VoxelGrid.centered((64, 64, 8), 0.8)
ROAD, CAR, WALL = (OCC3D.index(name) for name in ("driveable_surface", "car", "manmade"))
_FILE_LABEL = {ROAD: 0, CAR: 7, WALL: 2}
_REAL = os.environ.get("DRIVEWM_REAL_DATA")


def drive(frames: int = 3) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """LiDAR points, classes and ego poses: 2 m a frame along x; a wall that the last sweep alone sees; a moving car."""
    sweeps, classes, poses = [], [], []
    for k in range(frames):
        poses.append(se3.from_xyzyaw(100.0 + 2.0 * k, 50.0, 0.0, 0.0))
        x, y = np.meshgrid(np.arange(-10.0, 10.0, 0.4), np.arange(-4.0, 4.0, 0.4))
        parts = [(np.column_stack([x.ravel(), y.ravel(), np.zeros(x.size)]), ROAD)]
        parts.append((np.array([[8.2 - 4.0 * k, 3.0, 0.7]]), CAR))  # in the ego frame of k
        if k == frames - 1:
            parts.append((np.array([[12.1, -6.0, 1.0]]), WALL))
        points = np.concatenate([p for p, _ in parts])
        sweeps.append(se3.transform_points(se3.inverse(T_EGO_LIDAR), points))
        classes.append(np.concatenate([np.full(len(p), c, np.uint8) for p, c in parts]))
    return sweeps, classes, np.stack(poses)


def at(labels: np.ndarray, *point: float) -> int:
    index, inside = GRID.to_index(np.array(point))
    assert inside
    return int(labels[tuple(index)])


def test_majority_wins_and_free_never_outvotes():
    points = np.array([[0.1, 0.1, 0.1]] * 5 + [[10.1, 0.1, 0.1]] + [[99.0, 0.0, 0.0]])
    labels = vote_reference(points, np.array([WALL, ROAD, ROAD, WALL, ROAD, CAR, CAR], np.uint8), GRID)
    assert (labels != OCC3D.free).sum() == 2
    assert at(labels, 0.1, 0.1, 0.1) == ROAD and at(labels, 10.1, 0.1, 0.1) == CAR


def test_labels_are_causal_and_movers_leave_no_trail():
    sweeps, classes, poses = drive()
    semantics, visible = causal_labels(sweeps, classes, poses, T_EGO_LIDAR, GRID)
    wall = OCC3D.index("manmade")
    assert [int((s == wall).sum()) for s in semantics] == [0, 0, 1]
    assert at(semantics[2], 12.1, -6.0, 1.0) == wall
    for k in range(3):
        assert int((semantics[k] == CAR).sum()) == 1
        assert at(semantics[k], 8.2 - 4.0 * k, 3.0, 0.7) == CAR
        assert at(semantics[k], 0.0, 0.0, 0.0) == ROAD  # the ego stands on the road
    # What the first sweep saw of the road is still there when it is out of the last sweep's reach.
    assert at(semantics[2], -13.9, 0.0, 0.0) == ROAD and at(semantics[0], -13.9, 0.0, 0.0) == OCC3D.free
    # Frame k is the same whatever comes after it.
    for k in (1, 2):
        earlier, seen = causal_labels(sweeps[:k], classes[:k], poses[:k], T_EGO_LIDAR, GRID)
        np.testing.assert_array_equal(earlier, semantics[:k])
        np.testing.assert_array_equal(seen, visible[:k])
    assert visible[(semantics != OCC3D.free)].all()
    assert at(visible[0], 4.0, 0.0, 0.9) and not at(visible[0], 0.0, 20.0, 0.9)


def write_npz(path: Path, **changed) -> Path:
    sweeps, classes, poses = drive()
    count = [len(s) for s in sweeps]
    arrays = {
        "points": np.concatenate(sweeps).astype(np.float32),
        "intensity": np.zeros(sum(count), np.float32),
        "label": np.array([_FILE_LABEL[c] for c in np.concatenate(classes)], np.uint8),
        "frame_ptr": np.concatenate([[0], np.cumsum(count)]),
        "T_world_lidar": se3.inverse(poses[0] @ T_EGO_LIDAR) @ poses @ T_EGO_LIDAR,
        "t": np.array([0.0, 0.5, 1.0]),
    }
    arrays.update(changed)
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def test_a_recording_becomes_a_data_set(tmp_path):
    out = convert_recording(write_npz(tmp_path / "nuscenes_scene-0007_a.npz"), tmp_path / "set", GRID)
    index = build_index(out)
    clip = DriveClips(index, "val", 2, 1, load_points=True)[0]["clip"]
    sweeps, classes, poses = drive()
    np.testing.assert_allclose(clip.T_global_ego[0].numpy(), se3.inverse(poses[0]) @ poses, atol=1e-6)
    on_ego = (np.abs(sweeps[0][:, 0]) <= 0.8) & (sweeps[0][:, 1] >= -1.5) & (sweeps[0][:, 1] <= 2.5)
    assert on_ego.any()
    points = clip.points[0, 0][clip.points_valid[0, 0]].numpy()
    expected = se3.transform_points(T_EGO_LIDAR, sweeps[0][~on_ego])
    np.testing.assert_allclose(points[:, :3], expected, atol=1e-4)
    assert clip.boxes.valid.numel() == 0 and not clip.route.valid.any()
    assert clip.occupancy[0, 0].numpy()[tuple(GRID.to_index(np.array([8.2, 3.0, 0.7]))[0])] == CAR
    devkit = NuScenes(index.version, str(out), verbose=False)
    assert [scene["name"] for scene in devkit.scene] == ["scene-0007"]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"t": None}, "no t"),
        ({"label": np.zeros(3, np.uint8)}, r"label: found shape \(3,\)"),
        ({"t": np.array([0.0, 0.5, 0.5])}, "times that do not increase"),
        ({"frame_ptr": np.array([0, 5, 3, 9])}, "frame_ptr"),
    ],
)
def test_files_that_are_no_recording(tmp_path, changed, words):
    with pytest.raises(DataError, match=words):
        convert_recording(write_npz(tmp_path / "scene-0001.npz", **changed), tmp_path / "set", GRID)
    assert not (tmp_path / "set").exists()


def test_a_missing_or_broken_recording(tmp_path):
    with pytest.raises(MissingFileError, match="a recording"):
        convert_recording(tmp_path / "scene-0001.npz", tmp_path / "set", GRID)
    (tmp_path / "scene-0001.npz").write_bytes(b"PK not really")
    with pytest.raises(DataError, match="broken archive"):
        convert_recording(tmp_path / "scene-0001.npz", tmp_path / "set", GRID)
    with pytest.raises(DataError, match="a name that holds scene-NNNN"):
        convert_recording(write_npz(tmp_path / "drive.npz"), tmp_path / "set", GRID)
    with pytest.raises(ValueError, match="consists of nuScenes' keyframes"):
        convert_recording(tmp_path / "scene-0001.npz", tmp_path / "set", GRID, keyframe_s=0.1)


@pytest.mark.skipif(_REAL is None, reason="DRIVEWM_REAL_DATA is not set")
def test_the_real_excerpt_stands_on_its_road(tmp_path):
    out = convert_recording(Path(_REAL) / "nuscenes_scene-0001_kf00-15.npz", tmp_path / "set", GRID)
    clips = DriveClips(build_index(out), "val", 2, 6, load_points=True)
    assert len(clips) == 9
    clip = clips[8]["clip"]
    ground = GRID.to_index(np.array([0.0, 0.0, 0.0]))[0][2]
    road = clip.occupancy[0] == ROAD
    # Where the ego will drive in the next 3 s, its grid holds road at z = 0.
    assert road[2, 32:50, 32, ground].float().mean() > 0.9
    assert road[..., ground].sum() > 0.7 * road.sum()  # the rest is slope and camber, up to 5 %
    assert (clip.occupancy[0] == OCC3D.index("truck")).sum() > 20
