"""The yard as a sensor log in Argoverse 2's layout: points in an ego frame at the height of the rear axle."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from drivewm.geometry import se3
from tests.data import yard

AXLE_M = 0.33
T_EGO_AXLE = se3.from_xyzyaw(0.0, 0.0, AXLE_M, 0.0)
T_AXLE_UP = se3.from_xyzyaw(1.35, 0.0, 1.64, 0.01)
START_NS, STEP_NS = 315_966_000_000_000_000, 100_000_000
T_CITY_YARD = se3.from_xyzyaw(5172.0, 2419.0, 67.0, -0.5)
CAR_SPEED, CAR_SIZE, CAR_YAW = np.array([3.0, 1.0, 0.0]), (4.5, 1.8, 1.6), 0.3
OFFSETS_NS = (2_000_000, 104_000_000)
"""When the first and the last point of a sweep are measured after its stamp."""


def stamp_ns(k: int) -> int:
    return START_NS + STEP_NS * k


def pose_columns(T: np.ndarray) -> dict[str, np.ndarray]:
    rotation, translation = se3.to_quaternion(T)
    columns = {f"q{axis}": rotation[..., i] for i, axis in enumerate("wxyz")}
    return columns | {f"t{axis}_m": translation[..., i] for i, axis in enumerate("xyz")}


def sweep(k: int) -> dict[str, np.ndarray]:
    """Columns of sweep k; the last point is one of the own bonnet."""
    points = np.concatenate([yard.seen(k, T_EGO_AXLE), [[3.0, 0.2, 0.6]]]).astype(np.float32)
    count = len(points)
    return {
        "x": points[:, 0],
        "y": points[:, 1],
        "z": points[:, 2],
        "intensity": np.full(count, 51, np.uint8),
        "laser_number": np.zeros(count, np.uint8),
        "offset_ns": np.linspace(*OFFSETS_NS, count).astype(np.int32),
    }


def car(k: int) -> np.ndarray:
    """T_yard_car at sweep k."""
    return se3.from_xyzyaw(*(np.array([6.0, 3.0, 0.8]) + CAR_SPEED * k * 0.1), CAR_YAW)


def boxes(count: int) -> dict[str, np.ndarray]:
    """A car at constant velocity in all sweeps, a sign in the first."""
    T_axle_yard = [se3.inverse(yard.T_global_ego(k) @ T_EGO_AXLE) for k in range(count)]
    T = np.stack(
        [T_axle_yard[0] @ se3.from_xyzyaw(8.0, -5.0, 2.0, 0.0), *(t @ car(k) for k, t in enumerate(T_axle_yard))]
    )
    size = np.array([(0.1, 0.6, 0.6), *[CAR_SIZE] * count])
    return {
        "timestamp_ns": np.array([stamp_ns(0), *map(stamp_ns, range(count))]),
        "track_uuid": np.array(["b-sign", *["a-car"] * count], object),
        "category": np.array(["STOP_SIGN", *["REGULAR_VEHICLE"] * count], object),
        "length_m": size[:, 0],
        "width_m": size[:, 1],
        "height_m": size[:, 2],
        "num_interior_pts": np.arange(count + 1),
        **pose_columns(T),
    }


def poses(count: int) -> dict[str, np.ndarray]:
    """Twice as often as there are sweeps."""
    times = np.arange(2 * count) / 2
    T = np.stack([T_CITY_YARD @ yard.T_global_ego(t) @ T_EGO_AXLE for t in times])
    return {"timestamp_ns": np.array([int(START_NS + STEP_NS * t) for t in times]), **pose_columns(T)}


def calibration() -> dict[str, np.ndarray]:
    T_axle_down = se3.from_xyzyaw(1.35, 0.0, 1.53, 0.2)
    names = np.array(["ring_front_center", "up_lidar", "down_lidar"], object)
    return {"sensor_name": names, **pose_columns(np.stack([np.eye(4), T_AXLE_UP, T_axle_down]))}


def write_table(path: Path, columns: dict[str, np.ndarray]) -> None:
    import pyarrow
    from pyarrow import feather

    path.parent.mkdir(parents=True, exist_ok=True)
    feather.write_feather(pyarrow.table({name: pyarrow.array(values) for name, values in columns.items()}), str(path))


def write_log(folder: Path, count: int = yard.FRAMES, with_boxes: bool = True) -> Path:
    for k in range(count):
        write_table(folder / "sensors" / "lidar" / f"{stamp_ns(k)}.feather", sweep(k))
    write_table(folder / "city_SE3_egovehicle.feather", poses(count))
    write_table(folder / "calibration" / "egovehicle_SE3_sensor.feather", calibration())
    if with_boxes:
        write_table(folder / "annotations.feather", boxes(count))
    return folder
