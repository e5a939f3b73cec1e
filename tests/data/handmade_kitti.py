"""The yard in KITTI odometry's layout: a camera that looks ahead (z) beside a Velodyne whose x looks ahead."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from drivewm.geometry import se3
from tests.data import yard

T_EGO_VELO = se3.from_xyzyaw(0.76, 0.0, 1.73, 0.0)
T_CAM_VELO = se3.from_rt(np.array([[0, -1, 0], [0, 0, -1], [1, 0, 0]], float), np.array([0.01, -0.08, -0.27]))
"""Camera: x right, y down, z ahead."""
REFLECTANCE = 0.4


def sweep(k: int) -> np.ndarray:
    """Points `(N, 4)` of sweep k, and two of the own roof at the end."""
    points = np.concatenate([yard.seen(k, T_EGO_VELO), [[0.5, 0.3, -0.3], [-1.5, -1.0, -0.5]]])
    return np.column_stack([points, np.full(len(points), REFLECTANCE)]).astype("<f4")


def pose_lines(count: int) -> list[str]:
    """T_world_cam of each sweep; the world is the first camera frame."""
    T_ego_cam = T_EGO_VELO @ se3.inverse(T_CAM_VELO)
    T_world_global = se3.inverse(yard.T_global_ego(0) @ T_ego_cam)
    poses = [T_world_global @ yard.T_global_ego(k) @ T_ego_cam for k in range(count)]
    return [" ".join(f"{value:.9e}" for value in T[:3].ravel()) for T in poses]


def write_sequence(root: Path, name: str, count: int = yard.FRAMES, poses: str = "poses/{}.txt") -> Path:
    """Writes a sequence; `poses` says where, '' for nowhere."""
    folder = root / "sequences" / name
    (folder / "velodyne").mkdir(parents=True)
    for k in range(count):
        sweep(k).tofile(folder / "velodyne" / f"{k:06d}.bin")
    (folder / "times.txt").write_text("".join(f"{0.1 * k:e}\n" for k in range(count)))
    numbers = " ".join(f"{value:.12e}" for value in T_CAM_VELO[:3].ravel())
    camera = " ".join(["7.07e+02"] * 12)
    (folder / "calib.txt").write_text(f"P0: {camera}\nP1: {camera}\nTr: {numbers}\n")
    if poses:
        path = root / poses.format(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(pose_lines(count)) + "\n")
    return folder
