"""A tiny data set written through `NuScenesWriter`, whose content tests know: a moving car, a person, a wall."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from drivewm.data.basemap import write_mask
from drivewm.data.nuscenes_writer import NuScenesWriter
from drivewm.data.records import LIDAR, BoxRecord, FrameRecord, SceneRecord, SensorData, SensorRecord, pose_fields
from drivewm.geometry import VoxelGrid, se3
from drivewm.structures import OCC3D

GRID = VoxelGrid((-6.4, -6.4, -0.8, 6.4, 6.4, 2.4), 0.8)
VERSION = "v1.0-handmade"
T_EGO_LIDAR = se3.from_xyzyaw(0.9, 0.0, 1.8, -np.pi / 2)
STEP_US = 500_000
CAR_SPEED = np.array([3.0, 1.0, 0.0])
SCENES = {"scene-2001": ("train", 9), "scene-2002": ("train", 3), "scene-2003": ("val", 8)}


def ego_pose(scene: str, k: int) -> np.ndarray:
    """T_global_ego of keyframe k: driving a curve, a little tilted, far from the origin."""
    number = int(scene[-4:])
    T_map_ego = se3.from_xyzyaw(300.0 + number + 2.0 * k, 500.0 + 0.3 * k * k, 0.0, 0.1 * k)
    tilt = np.array([np.cos(0.01), np.sin(0.01), 0.0, 0.0])
    return T_map_ego @ se3.from_quaternion(tilt, np.zeros(3))


def sweep(scene: str, k: int) -> np.ndarray:
    """Points (N, 5) of a keyframe; their number differs from frame to frame."""
    rng = np.random.default_rng([int(scene[-4:]), k])
    points = rng.uniform(-6, 6, (40 + 3 * k, 5))
    points[:, 4] = rng.integers(0, 32, len(points))
    return points.astype(np.float32)


def labels(scene: str, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Semantics and visible of a keyframe."""
    rng = np.random.default_rng([int(scene[-4:]), k, 1])
    semantics = rng.integers(0, OCC3D.num_classes, GRID.shape).astype(np.uint8)
    return semantics, rng.random(GRID.shape) < 0.5


def boxes(scene: str, k: int) -> list[BoxRecord]:
    """A car at constant velocity in all keyframes, a person in the first two, a barrier in keyframe 1 alone."""
    start = ego_pose(scene, 0)[:3, 3] + np.array([4.0, 2.0, 0.8])
    person, barrier = start - 2, start + 1
    car = start + CAR_SPEED * k * STEP_US / 1e6
    heading = [np.cos(0.15), 0.0, 0.0, np.sin(0.15)]
    found = [
        BoxRecord("car", "vehicle.car", "vehicle.moving", car.tolist(), [1.8, 4.5, 1.6], heading, "4", 12),
    ]
    if k < 2:
        found.append(
            BoxRecord(
                "p",
                "human.pedestrian.adult",
                "pedestrian.standing",
                person.tolist(),
                [0.6, 0.7, 1.7],
                heading,
                "2",
                3,
            )
        )
    if k == 1:
        found.append(BoxRecord("b", "movable_object.barrier", "", barrier.tolist(), [2.0, 0.5, 1.0], heading, "1", 0))
    return found


def route(scene: str) -> list[list[float]]:
    """Along x and, after 20 m, to the left; none for the last scene."""
    x, y = ego_pose(scene, 0)[:2, 3]
    return [] if scene == "scene-2003" else [[x - 5, y], [x + 20, y], [x + 20, y + 60]]


def write(out: Path, overwrite: bool = False) -> Path:
    """Writes the data set."""
    description = {"schema_version": 1, "grid": {"range_m": list(GRID.range_m), "voxel_m": GRID.voxel_m}}
    writer = NuScenesWriter(out, description, VERSION, key="handmade", overwrite=overwrite)
    for scene, (split, count) in SCENES.items():
        frames, data = [], []
        for k in range(count):
            stamp = 100_000_000 * int(scene[-4:]) + STEP_US * k
            writer.write_labels(scene, k, *labels(scene, k))
            files = writer.write_sweep(scene, stamp, sweep(scene, k))
            data.append(SensorData(stamp, *pose_fields(ego_pose(scene, k)), frame=k, **files))
            frames.append(FrameRecord(stamp, boxes(scene, k)))
        sensors = [SensorRecord(LIDAR, *pose_fields(T_EGO_LIDAR), data)]
        writer.finish_scene(SceneRecord(scene, "boston-seaport", split, "handmade", sensors, frames, route(scene)))
    write_mask(writer.folder / "maps" / "boston-seaport.png", np.ones((20, 30), bool))
    writer.finish(list(SCENES), {"boston-seaport": "maps/boston-seaport.png"})
    return out


def edit(root: Path, table: str, change) -> None:
    """Change the rows of a table in place."""
    path = root / VERSION / f"{table}.json"
    rows = json.loads(path.read_text())
    change(rows)
    path.write_text(json.dumps(rows))
