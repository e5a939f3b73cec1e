"""Tables of a log in Argoverse 2's layout (Wilson et al., NeurIPS 2021), and what its categories are in nuScenes.

Feather files need pyarrow, which drivewm does not depend on (`pip install drivewm[argoverse]`).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from drivewm.data.errors import DataError, MissingFileError
from drivewm.geometry import se3

AXLE_HEIGHT_M = 0.33
"""Argoverse's ego frame is in the middle of the rear axle: a wheel's radius above the ground, where ours is."""

T_EGO_AXLE = se3.from_xyzyaw(0.0, 0.0, AXLE_HEIGHT_M, 0.0)
"""From Argoverse's ego frame to ours. Points, boxes and calibration are published in the former."""

BOXES_FILE, POSES_FILE = "annotations.feather", "city_SE3_egovehicle.feather"
CALIBRATION_FILE = "calibration/egovehicle_SE3_sensor.feather"
BOX_COLUMNS = ("timestamp_ns", "track_uuid", "category", "length_m", "width_m", "height_m", "num_interior_pts")
POSE_COLUMNS = ("qw", "qx", "qy", "qz", "tx_m", "ty_m", "tz_m")

NUSCENES_CATEGORY: dict[str, str] = {
    "REGULAR_VEHICLE": "vehicle.car",
    "LARGE_VEHICLE": "vehicle.truck",
    "BOX_TRUCK": "vehicle.truck",
    "TRUCK": "vehicle.truck",
    "TRUCK_CAB": "vehicle.truck",
    "BUS": "vehicle.bus.rigid",
    "SCHOOL_BUS": "vehicle.bus.rigid",
    "ARTICULATED_BUS": "vehicle.bus.bendy",
    "RAILED_VEHICLE": "vehicle.bus.bendy",
    "VEHICULAR_TRAILER": "vehicle.trailer",
    "MESSAGE_BOARD_TRAILER": "vehicle.trailer",
    "TRAFFIC_LIGHT_TRAILER": "vehicle.trailer",
    "MOTORCYCLE": "vehicle.motorcycle",
    "MOTORCYCLIST": "vehicle.motorcycle",
    "BICYCLE": "vehicle.bicycle",
    "BICYCLIST": "vehicle.bicycle",
    "WHEELED_DEVICE": "vehicle.bicycle",
    "WHEELED_RIDER": "vehicle.bicycle",
    "PEDESTRIAN": "human.pedestrian.adult",
    "OFFICIAL_SIGNALER": "human.pedestrian.adult",
    "STROLLER": "human.pedestrian.stroller",
    "WHEELCHAIR": "human.pedestrian.wheelchair",
    "DOG": "animal",
    "ANIMAL": "animal",
    "BOLLARD": "movable_object.barrier",
    "CONSTRUCTION_CONE": "movable_object.trafficcone",
    "CONSTRUCTION_BARREL": "movable_object.trafficcone",
    "MOBILE_PEDESTRIAN_CROSSING_SIGN": "movable_object.debris",
    "MOBILE_PEDESTRIAN_SIGN": "movable_object.debris",
    "SIGN": "movable_object.debris",
    "STOP_SIGN": "movable_object.debris",
}
"""nuScenes' category of each of Argoverse 2's, and through it the Occ3D class.

A rider is what they ride, as nuScenes' boxes hold both. nuScenes has no rails: they drive like buses. Signs are scenery
in nuScenes and have no counterpart: an obstacle, class others."""


def read_feather(path: Path, columns: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Columns `(N,)` of a feather file.

    Raises:
        MissingFileError: the file is not there.
        DataError: pyarrow is not installed; no feather file; a column is missing, or has numbers that are not finite.
    """
    try:
        from pyarrow import ArrowInvalid, feather
    except ImportError:
        raise DataError(
            path, "format", "feather, but no pyarrow", "pyarrow", "pip install drivewm[argoverse]"
        ) from None
    if not path.is_file():
        raise MissingFileError(path, "file", "nothing", "a sensor log in Argoverse 2's layout")
    try:
        table = feather.read_table(path)
    except (ArrowInvalid, OSError) as error:
        raise DataError(path, "format", str(error), "a feather file") from None
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise DataError(path, "columns", f"no {', '.join(missing)}", ", ".join(columns))
    found = {name: table[name].to_numpy() for name in columns}
    for name, values in found.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            bad = int((~np.isfinite(values)).sum())
            raise DataError(path, name, f"{bad} of {len(values)} values NaN or infinite", "finite values")
    return found


def read_poses(path: Path, more_columns: tuple[str, ...] = ()) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The transforms `(N, 4, 4)` of a table's rows, and its other columns that are asked for. Raises DataError."""
    table = read_feather(path, (*POSE_COLUMNS, *more_columns))
    quaternion = np.stack([table[name] for name in POSE_COLUMNS[:4]], axis=-1)
    try:
        T = se3.from_quaternion(quaternion, np.stack([table[name] for name in POSE_COLUMNS[4:]], axis=-1))
    except ValueError as error:
        raise DataError(path, "qw, qx, qy, qz", str(error), "quaternions that are not zero") from None
    return T, {name: table[name] for name in more_columns}


def categories_of(path: Path, names: np.ndarray) -> list[str]:
    """nuScenes category of each of Argoverse's `names (N,)`, which stand in file `path`. Raises DataError."""
    unknown = sorted({str(name) for name in names}.difference(NUSCENES_CATEGORY))
    if unknown:
        raise DataError(path, "category", unknown, f"Argoverse 2's categories ({', '.join(NUSCENES_CATEGORY)})")
    return [NUSCENES_CATEGORY[str(name)] for name in names]


def rows_at(path: Path, stamps_ns: np.ndarray, wanted_ns: np.ndarray, what: str) -> np.ndarray:
    """Rows `(N,)` of a table with increasing stamps that are of exactly these times. Raises DataError for others."""
    if np.any(np.diff(stamps_ns) <= 0):
        raise DataError(path, "timestamp_ns", "times that do not increase", "increasing times")
    row = np.searchsorted(stamps_ns, wanted_ns).clip(0, max(len(stamps_ns) - 1, 0))
    lacking = wanted_ns if not len(stamps_ns) else wanted_ns[stamps_ns[row] != wanted_ns]
    if len(lacking):
        raise DataError(path, "timestamp_ns", f"no pose at {lacking[0]}, {len(lacking)} in all", f"one for {what}")
    return row
