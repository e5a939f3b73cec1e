"""A tiny data set with cameras, each of whose images shows a white blob where a landmark of the world falls."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from drivewm.data.basemap import write_mask
from drivewm.data.nuscenes_writer import NuScenesWriter
from drivewm.data.records import LIDAR, FrameRecord, SceneRecord, SensorData, SensorRecord, pose_fields
from drivewm.geometry import se3
from tests.data.handmade import GRID, STEP_US, T_EGO_LIDAR, VERSION

SIZE = (160, 90)
K = np.array([[80.0, 0.0, 81.6], [0.0, 81.0, 49.1], [0.0, 0.0, 1.0]])
_FORWARD = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
YAW = {
    "CAM_FRONT": 0.0,
    "CAM_FRONT_LEFT": 0.9,
    "CAM_FRONT_RIGHT": -0.9,
    "CAM_BACK_LEFT": 1.9,
    "CAM_BACK": 3.1,
    "CAM_BACK_RIGHT": -1.9,
}
_THREE = ("CAM_FRONT", "CAM_FRONT_LEFT", "CAM_FRONT_RIGHT")
SCENES = {
    "scene-3001": ("train", 4, _THREE),
    "scene-3002": ("train", 2, _THREE),
    "scene-3003": ("val", 3, ("CAM_FRONT",)),
}
"""Split, keyframes and cameras of each."""
SIX = {"scene-3001": ("train", 3, tuple(YAW)), "scene-3002": ("val", 2, tuple(YAW))}
EARLY_US = 40_000
"""Cameras fire so much before the LiDAR's stamp."""
GREY = 60


def T_ego_cam(channel: str) -> np.ndarray:
    return se3.from_xyzyaw(1.5, np.sign(YAW[channel]) * 0.5, 1.5, YAW[channel]) @ se3.from_rt(_FORWARD, np.zeros(3))


def ego_pose(time_us: float) -> np.ndarray:
    """10 m/s in a curve, far from the origin."""
    s = time_us / 1e6
    return se3.from_xyzyaw(900.0 + 10.0 * s, 400.0 + 2.0 * s * s, 0.0, 0.3 * s)


def landmark(channel: str, k: int) -> np.ndarray:
    """Where it is in the world, `(3,)`: 11 m ahead of the camera at keyframe k, to the right and below its axis."""
    T = ego_pose(STEP_US * k) @ T_ego_cam(channel)
    return T[:3, :3] @ np.array([3.0, 1.0, 11.0]) + T[:3, 3]


def image(channel: str, k: int) -> np.ndarray:
    """`(H, W, 3)` uint8."""
    T_global_cam = ego_pose(STEP_US * k - EARLY_US) @ T_ego_cam(channel)
    x, y, z = se3.inverse(T_global_cam)[:3] @ np.append(landmark(channel, k), 1.0)
    u, v = K[0, 0] * x / z + K[0, 2], K[1, 1] * y / z + K[1, 2]
    columns, rows = np.meshgrid(np.arange(SIZE[0]) + 0.5, np.arange(SIZE[1]) + 0.5)
    blob = np.exp(-((columns - u) ** 2 + (rows - v) ** 2) / (2 * 4.0**2))
    return np.repeat(np.round(GREY + 180 * blob)[..., None], 3, axis=-1).astype(np.uint8)


def write(out: Path, scenes: dict[str, tuple[str, int, tuple[str, ...]]] = SCENES) -> Path:
    """Writes the data set."""
    description = {"schema_version": 1, "grid": {"range_m": list(GRID.range_m), "voxel_m": GRID.voxel_m}}
    writer = NuScenesWriter(out, description, VERSION, key="cameras")
    for scene, (split, count, channels) in scenes.items():
        base = 100_000_000 * int(scene[-4:])
        sweeps, views = [], {channel: [] for channel in channels}
        for k in range(count):
            files = writer.write_sweep(scene, base + STEP_US * k, np.zeros((5, 5), np.float32))
            sweeps.append(SensorData(base + STEP_US * k, *pose_fields(ego_pose(STEP_US * k)), frame=k, **files))
            fired = STEP_US * k - EARLY_US
            for channel in channels:
                files = writer.write_image(scene, channel, base + fired, image(channel, k))
                views[channel].append(SensorData(base + fired, *pose_fields(ego_pose(fired)), frame=k, **files))
        sensors = [SensorRecord(LIDAR, *pose_fields(T_EGO_LIDAR), sweeps)]
        for channel, data in views.items():
            sensors.append(SensorRecord(channel, *pose_fields(T_ego_cam(channel)), data, K.tolist(), *SIZE))
        frames = [FrameRecord(base + STEP_US * k, []) for k in range(count)]
        writer.finish_scene(SceneRecord(scene, "boston-seaport", split, "handmade", sensors, frames, []))
    write_mask(writer.folder / "maps" / "boston-seaport.png", np.ones((20, 30), bool))
    writer.finish(list(scenes), {"boston-seaport": "maps/boston-seaport.png"})
    return out
