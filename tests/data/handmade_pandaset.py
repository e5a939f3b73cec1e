"""A drive as the excerpt `pandaset_NNN_*.npz` and in PandaSet's layout: a tilted sensor in a walled yard, a car."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from drivewm.data.pandaset_recording import CLASSES
from drivewm.geometry import se3
from tests.data import handmade_pickle

SWEEP_S, SPEED = 0.1, 5.0
ROAD, CAR, BUILDING, REFLECTION = 7, 13, 41, 4
T_POSE_LIDAR = se3.from_rt(Rotation.from_euler("xy", [-0.015, 0.008]).as_matrix().T, np.array([0.1, 0.7, 1.85]))
"""Where the sensor sits in the frame that is published: high above it, ahead of it, nodding."""
RINGS = np.radians([-25, -19, -16, -14, -13, -12, -11, -10, -9, -8, -7, -6, *np.arange(-5.5, 2.0, 0.5), 3, 5, 8])
CAR_BOX = np.array([4.0, 12.0, 0.8, 4.6, 1.9, 1.6, np.pi / 2 + 0.1])
"""In the world, which lies on the ground: y is ahead."""
WALL_M = 30.0


def pose(time_s: float) -> np.ndarray:
    """T_world_pose at a time: driving along its y, 0.4 m above the ground, rolled by 1.7 degrees, heading left."""
    heading = se3.from_xyzyaw(0.0, 0.0, 0.0, 0.1)
    roll = se3.from_rt(Rotation.from_euler("y", 0.03).as_matrix(), np.array([0.0, SPEED * time_s, 0.4]))
    return heading @ roll


def _first_hit(origin: np.ndarray, ray: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance and class of what rays `(N, 3)` from `origin (N, 3)` meet: ground, car, walls."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ground = np.where(ray[:, 2] < 0, -origin[:, 2] / ray[:, 2], np.inf)
        wall = ((np.sign(ray[:, :2]) * WALL_M - origin[:, :2]) / ray[:, :2]).min(axis=1)
        T_box_world = se3.inverse(se3.from_xyzyaw(*CAR_BOX[[0, 1, 2, 6]]))
        start, along = se3.transform_points(T_box_world, origin), ray @ T_box_world[:3, :3].T
        slabs = np.sort(np.stack([(s * CAR_BOX[3:6] / 2 - start) / along for s in (-1, 1)]), axis=0)
        enter, leave = slabs[0].max(axis=1), slabs[1].min(axis=1)
        car = np.where((enter < leave) & (enter > 0), enter, np.inf)
    distances = np.stack([ground, car, wall])
    return distances.min(axis=0), np.array([ROAD, CAR, BUILDING], np.uint8)[distances.argmin(axis=0)]


@cache
def sweep(k: int, columns: int = 480) -> tuple[np.ndarray, np.ndarray]:
    """Points `(N, 3)` and classes of sweep k, as published: where they are at its end, column after column."""
    end_s = (k + 1) * SWEEP_S
    points, classes = [], []
    for column in range(columns):
        T_world_lidar = pose(end_s - SWEEP_S * (1 - column / (columns - 1))) @ T_POSE_LIDAR
        azimuth = -np.pi / 2 - 2 * np.pi * column / columns
        ray = np.stack([np.cos(RINGS) * np.cos(azimuth), np.cos(RINGS) * np.sin(azimuth), np.sin(RINGS)], axis=1) @ (
            T_world_lidar[:3, :3].T
        )
        origin = np.broadcast_to(T_world_lidar[:3, 3], ray.shape)
        distance, number = _first_hit(origin, ray)
        points.append(origin + distance[:, None] * ray)
        classes.append(number)
    T_pose_world = se3.inverse(pose(end_s))
    roof = np.array([[0.2, -0.5, 1.45]])
    published = np.concatenate([se3.transform_points(T_pose_world, np.concatenate(points)), roof])
    return published, np.append(np.concatenate(classes), REFLECTION).astype(np.uint8)


def write(path: Path, frames: int = 7, **changed) -> Path:
    """Writes it; `changed` replaces arrays, None drops one."""
    sweeps = [sweep(k) for k in range(frames)]
    poses = np.stack([pose((k + 1) * SWEEP_S) for k in range(frames)])
    T_world_box = se3.from_xyzyaw(*CAR_BOX[[0, 1, 2, 6]])
    boxes = []
    for k in range(frames):
        T_pose_box = se3.inverse(poses[k]) @ T_world_box
        yaw = np.arctan2(T_pose_box[1, 0], T_pose_box[0, 0])
        boxes.append([k, 5, *T_pose_box[:3, 3], *CAR_BOX[3:6], yaw])
    count = [len(points) for points, _ in sweeps]
    arrays = {
        "points": np.concatenate([points for points, _ in sweeps]).astype(np.float32),
        "intensity": np.ones(sum(count), np.float32),
        "label": np.concatenate([label for _, label in sweeps]),
        "frame_ptr": np.concatenate([[0], np.cumsum(count)]),
        "T_world_lidar": poses,
        "t": 1.5e9 + SWEEP_S * np.arange(1, frames + 1),
        "boxes": np.array(boxes),
        "box_class": np.array(["Car"] * frames),
    }
    arrays.update(changed)
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def write_sequence(folder: Path, frames: int = 7, old: bool = False) -> Path:
    """Writes the same as PandaSet publishes it: in world coordinates, with what PandarGT sees beside it.

    `old`: frames as pickled by pandas 0.25.
    """
    rng = np.random.default_rng(0)
    poses, times = [], []
    for k in range(frames):
        T, (points, label) = pose((k + 1) * SWEEP_S), sweep(k)
        ahead = rng.uniform(5.0, 40.0, (50, 3))  # of PandarGT, after the others
        world = np.concatenate([se3.transform_points(T, points.astype(np.float32).astype(np.float64)), ahead])
        count = len(world)
        lidar = dict(zip("xyz", world.T, strict=True)) | {
            "i": np.ones(count),
            "t": np.full(count, 1.5e9 + SWEEP_S * (k + 1)),
            "d": (np.arange(count) >= len(points)).astype(np.int64),
        }
        numbers = np.concatenate([label, np.full(len(ahead), CAR)]).astype(np.int64)
        for name, columns in (
            ("lidar", lidar),
            ("annotations/semseg", {"class": numbers}),
            ("annotations/cuboids", cuboids()),
        ):
            handmade_pickle.write(folder / name / f"{k:02d}.pkl.gz", handmade_pickle.frame(columns, old))
        rotation, translation = se3.to_quaternion(T)
        poses.append(
            {
                "position": dict(zip("xyz", translation.tolist(), strict=True)),
                "heading": dict(zip("wxyz", rotation.tolist(), strict=True)),
            }
        )
        times.append(1.5e9 + SWEEP_S * (k + 1))
    (folder / "lidar" / "poses.json").write_text(json.dumps(poses))
    (folder / "lidar" / "timestamps.json").write_text(json.dumps(times))
    names = {str(number): name for number, name in enumerate(CLASSES, 1)}
    (folder / "annotations" / "semseg" / "classes.json").write_text(json.dumps(names))
    return folder


def cuboids() -> dict[str, np.ndarray]:
    """The car, whose yaw is counted from the world's y, and what PandarGT makes of it."""
    x, y, z, length, width, height, yaw = np.stack([CAR_BOX, CAR_BOX + 0.2], axis=1)
    sizes = {"dimensions.x": width, "dimensions.y": length, "dimensions.z": height}
    return {
        "uuid": np.array(["5a", "5b"], object),
        "label": np.array(["Car", "Car"], object),
        "yaw": yaw - np.pi / 2,
        "stationary": np.array([True, True]),
        "position.x": x,
        "position.y": y,
        "position.z": z,
        **sizes,
        "cuboids.sensor_id": np.array([0, 1]),
    }
