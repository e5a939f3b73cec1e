"""Real sweeps brought together by their poses: what stands still does so, the ground is at z = 0, ahead is x."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from drivewm.data import DriveClips, build_index
from drivewm.data.recordings import convert_recording
from drivewm.geometry import VoxelGrid, se3

_REAL = os.environ.get("DRIVEWM_REAL_DATA")
GRID = VoxelGrid.centered((64, 64, 8), 0.8)


@pytest.mark.skipif(_REAL is None, reason="DRIVEWM_REAL_DATA is not set")
@pytest.mark.parametrize(
    ("file", "frame_step", "num_sweeps"), [("pandaset_002_f40-55.npz", 2, 5), ("nuscenes_scene-0001_kf00-15.npz", 1, 2)]
)
def test_what_stands_still_does_so(tmp_path, file, frame_step, num_sweeps):
    index = build_index(convert_recording(Path(_REAL) / file, tmp_path / "set", GRID))
    clip = DriveClips(index, "val", 1, 1, frame_step=frame_step, load_points=True)[1]["clip"]
    frames = [clip.points[0, k][clip.points_valid[0, k]].double().numpy()[:, :3] for k in range(2)]
    near = [points[(np.hypot(points[:, 0], points[:, 1]) < 30) & (points[:, 2] > 0.5)] for points in frames]
    T_first_second = se3.inverse(clip.T_global_ego[0, 0].numpy()) @ clip.T_global_ego[0, 1].numpy()
    assert T_first_second[0, 3] > 1.0 and abs(T_first_second[1, 3]) < 0.2 * T_first_second[0, 3]
    tree = cKDTree(near[0])
    overlaid, _ = tree.query(se3.transform_points(T_first_second, near[1]))
    inverted, _ = tree.query(se3.transform_points(se3.inverse(T_first_second), near[1]))
    assert np.median(overlaid) < 0.2 and np.median(overlaid) < 0.5 * np.median(inverted)
    for points in frames:
        around = (np.hypot(points[:, 0], points[:, 1]) < 8) & (np.abs(points[:, 2]) < 0.5)
        assert around.sum() > 500 and np.abs(np.median(points[around, 2])) < 0.1
    # Older sweeps fall on the newest one.
    clip = DriveClips(index, "val", 1, 0, load_points=True, num_sweeps=num_sweeps)[1]["clip"]
    points, times = clip.points[0, 0].double().numpy()[:, :3], clip.points_time_s[0, 0].numpy()
    assert len(np.unique(times)) == num_sweeps and times.max() == 0
    high = (points[:, 2] > 0.5) & (np.hypot(points[:, 0], points[:, 1]) < 30)
    distance, _ = cKDTree(points[high & (times == 0)]).query(points[high & (times == times.min())])
    assert np.median(distance) < 0.2
