"""LiDAR sweeps in the formats that data sets publish them in: one result, and here alone are the formats told apart."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from drivewm.data.argoverse_files import T_EGO_AXLE, read_feather
from drivewm.data.errors import DataError
from drivewm.data.files import read_lidar
from drivewm.geometry import se3

KITTI_CHANNELS = 4
"""x, y, z [m, LiDAR frame], reflectance 0..1: float32 each."""


@dataclass(frozen=True)
class SweepFormat:
    """How a data set publishes its sweeps.

    Attributes:
        read: file and its size when it was indexed -> points `(N, 4)` float32 (x, y, z [m], intensity 0..255) and the
            time `(N,)` float32 [s] of each after the sweep's stamp.
        own_vehicle: from and to x, from and to y [m, frame of the file's points]: returns from the own vehicle, at any
            height.
        T_ego_points: `(4, 4)` from the frame of the file's points, or None where that is the LiDAR's own.
    """

    read: Callable[[Path, int | None], tuple[np.ndarray, np.ndarray]]
    own_vehicle: tuple[tuple[float, float], tuple[float, float]]
    T_ego_points: np.ndarray | None = None

    def is_own_vehicle(self, points: np.ndarray) -> np.ndarray:
        """Which of the points `(N, 3 or more)`, in the frame of the file, are the own vehicle: `(N,)` bool."""
        (x_from, x_to), (y_from, y_to) = self.own_vehicle
        x, y = points[:, 0], points[:, 1]
        return (x >= x_from) & (x <= x_to) & (y >= y_from) & (y <= y_to)


def read_sweep(
    path: Path, sweep_format: str, T_ego_lidar: np.ndarray, num_bytes: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """A sweep without returns from the own vehicle.

    Args:
        path: the file.
        sweep_format: one of `SWEEP_FORMATS`.
        T_ego_lidar: `(4, 4)` calibration.
        num_bytes: size of the file when the index was built, to tell one that was cut short since; None: not known.

    Returns:
        Points `(N, 4)` float32: x, y, z [m, ego frame at the sweep's stamp], intensity 0..255; and when each was
        measured, `(N,)` float32 [s] after the sweep's stamp (0 where that is not published). An empty sweep is valid.

    Raises:
        MissingFileError, DataError: file absent, cut short, without a column, or with values that are not finite.
    """
    form = SWEEP_FORMATS[sweep_format]
    points, time_s = form.read(path, num_bytes)
    keep = ~form.is_own_vehicle(points)
    T_ego_points = T_ego_lidar if form.T_ego_points is None else form.T_ego_points
    return se3.transform_points(T_ego_points, points[keep]).astype(np.float32), time_s[keep]


def _read_nuscenes(path: Path, num_bytes: int | None) -> tuple[np.ndarray, np.ndarray]:
    points = read_lidar(path, num_bytes)
    return points[:, :4], np.zeros(len(points), np.float32)


def _read_kitti(path: Path, num_bytes: int | None) -> tuple[np.ndarray, np.ndarray]:
    points = read_lidar(path, num_bytes, KITTI_CHANNELS)
    points[:, 3] *= 255.0
    return points, np.zeros(len(points), np.float32)


def _read_argoverse2(path: Path, num_bytes: int | None) -> tuple[np.ndarray, np.ndarray]:
    if num_bytes is not None and path.is_file() and (size := os.path.getsize(path)) != num_bytes:
        raise DataError(path, "size", f"{size} bytes", f"{num_bytes} bytes, as when the index was built")
    table = read_feather(path, ("x", "y", "z", "intensity", "offset_ns"))
    points = np.stack([table[name] for name in ("x", "y", "z", "intensity")], axis=-1).astype(np.float32)
    return points, (table["offset_ns"] * 1e-9).astype(np.float32)


SWEEP_FORMATS: dict[str, SweepFormat] = {
    # 4D-Occ's rule for nuScenes' Renault Zoe (x right, y forward).
    "nuscenes": SweepFormat(_read_nuscenes, ((-0.8, 0.8), (-1.5, 2.5))),
    # 4D-Occ's rule for KITTI's Passat (x forward, y left).
    "kitti": SweepFormat(_read_kitti, ((-2.0, 3.5), (-1.55, 1.55))),
    # The body of the Ford Fusion, 4.87 x 1.85 m, around its rear axle. Sweeps as published have nothing there: in the
    # log that the tests read, no point beside the vehicle lies within 1.7 m of its middle.
    "argoverse2": SweepFormat(_read_argoverse2, ((-1.1, 3.9), (-1.0, 1.0)), T_EGO_AXLE),
}
"""By the name that stands in an index' schema.json."""
