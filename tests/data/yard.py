"""A walled yard whose every point is known, and a vehicle that turns in it: what a LiDAR sees from its poses."""

from __future__ import annotations

import numpy as np

from drivewm.geometry import se3

WALL_X, WALL_Y, FRAMES = 15.0, -9.0, 12
"""Walls stand at x = 15 m and y = -9 m of the first ego frame; the ground is z = 0."""


def T_global_ego(k: int) -> np.ndarray:
    """Ego pose of sweep k in the first ego frame: 0.4 m a sweep ahead, turning left on level ground."""
    return se3.from_xyzyaw(0.4 * k, 0.02 * k * k, 0.0, 0.08 * k)


def on_walls() -> np.ndarray:
    """Points `(N, 3)` of both walls and of the ground [m, global]; none within 4 m of the drive."""
    side, height = np.meshgrid(np.linspace(-8.0, 8.0, 12), np.linspace(0.2, 3.0, 6))
    ahead = np.column_stack([np.full(side.size, WALL_X), side.ravel(), height.ravel()])
    right = np.column_stack([side.ravel(), np.full(side.size, WALL_Y), height.ravel()])
    x, y = np.meshgrid(np.linspace(-12.0, -6.0, 6), np.linspace(-4.0, 6.0, 6))
    return np.concatenate([ahead, right, np.column_stack([x.ravel(), y.ravel(), np.zeros(x.size)])])


def seen(k: int, T_ego_sensor: np.ndarray) -> np.ndarray:
    """The points of `on_walls` `(N, 3)` in the sensor's frame at sweep k."""
    return se3.transform_points(se3.inverse(T_global_ego(k) @ T_ego_sensor), on_walls())


def check_clip(clip, T_global_yard: np.ndarray | None = None) -> None:
    """Every frame's points, brought into the yard by the clip's own poses, lie where they are; so does the vehicle."""
    T_yard_global = np.eye(4) if T_global_yard is None else se3.inverse(T_global_yard)
    for k in range(clip.num_frames):
        points = clip.points[0, k][clip.points_valid[0, k]].double().numpy()
        T_yard_ego = T_yard_global @ clip.T_global_ego[0, k].numpy()
        there = se3.transform_points(T_yard_ego, points[:, :3])
        expected = np.tile(on_walls(), (len(there) // len(on_walls()), 1))
        np.testing.assert_allclose(there, expected, atol=1e-3)
        np.testing.assert_allclose(T_yard_ego, T_global_ego(frame_of(clip, k)), atol=1e-5)


def frame_of(clip, k: int) -> int:
    """Number of the sweep that frame k of a clip is."""
    return int(round((clip.timestamp_us[0, k].item() % 1_000_000_000) / 100_000))
