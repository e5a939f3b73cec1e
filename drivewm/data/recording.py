"""A recorded drive in memory, and the npz format that excerpts of public data sets come in."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from drivewm.data.errors import DataError, MissingFileError
from drivewm.data.records import BoxRecord

FIELDS = ("points", "intensity", "label", "frame_ptr", "T_world_lidar", "t")


@dataclass(frozen=True)
class Recording:
    """Sweeps of one drive, their poses and classes, and boxes at its keyframes.

    Attributes:
        name: of the scene.
        T_ego_lidar: `(4, 4)`; the LiDAR frame's origin is where the rays start.
        T_global_ego: `(F, 4, 4)` of each sweep.
        stamps_us: `(F,)` int64 [microseconds].
        sweeps: F arrays `(N_k, 3)` [m, LiDAR frame].
        intensity: F arrays `(N_k,)`.
        classes: F arrays `(N_k,)` uint8 of `OCC3D`, for the occupancy labels.
        solid: F arrays `(N_k,)` bool: points that hit something, and so vote for a label.
        keyframes: `(K,)` which of the sweeps are keyframes.
        boxes: those of each keyframe; none if empty.
        numbers: F arrays `(N_k,)` uint8 of nuScenes-lidarseg, or None.
    """

    name: str
    T_ego_lidar: np.ndarray
    T_global_ego: np.ndarray
    stamps_us: np.ndarray
    sweeps: list[np.ndarray]
    intensity: list[np.ndarray]
    classes: list[np.ndarray]
    solid: list[np.ndarray]
    keyframes: np.ndarray
    boxes: list[list[BoxRecord]] = field(default_factory=list)
    numbers: list[np.ndarray] | None = None


def split_sweeps(values: np.ndarray, frame_ptr: np.ndarray) -> list[np.ndarray]:
    """Values of all points `(P, ...)`, one array a sweep."""
    return np.split(values, frame_ptr[1:-1])


def check_pointer(file: Path, pointer: np.ndarray, count: int) -> None:
    """Raises DataError unless `frame_ptr (F + 1,)` cuts `count` points into sweeps, of which some may be empty."""
    if pointer[0] != 0 or pointer[-1] != count or np.any(np.diff(pointer) < 0):
        raise DataError(file, "frame_ptr", pointer.tolist(), f"increasing positions from 0 to {count}")


def load_npz(file: Path, more_fields: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """The arrays of a recording, checked.

    Args:
        file: holds `points (P, 3)`, `intensity (P,)`, `label (P,)`, `frame_ptr (F + 1,)`, `T_world_lidar (F, 4, 4)`,
            `t (F,)`.
        more_fields: those that must be there too.

    Raises:
        DataError: (MissingFileError) naming field, found and expected.
    """
    try:
        with np.load(file, allow_pickle=False) as loaded:
            arrays = {name: loaded[name] for name in loaded.files}
    except FileNotFoundError:
        raise MissingFileError(file, "file", "nothing", "a recording (.npz)") from None
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise DataError(file, "content", f"a broken archive ({error})", "an npz archive") from None
    check_arrays(file, arrays, more_fields)
    return arrays


def check_arrays(file: Path, arrays: dict[str, np.ndarray], more_fields: tuple[str, ...] = ()) -> None:
    """Raises DataError, which names `file`, unless the arrays are those of a recording (see `load_npz`)."""
    fields = FIELDS + more_fields
    missing = sorted(set(fields).difference(arrays))
    if missing:
        raise DataError(file, "fields", f"no {', '.join(missing)}", f"{', '.join(fields)}")
    count, frames = len(arrays["points"]), len(arrays["t"])
    shapes = {
        "points": (count, 3),
        "intensity": (count,),
        "label": (count,),
        "frame_ptr": (frames + 1,),
        "T_world_lidar": (frames, 4, 4),
    }
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise DataError(file, name, f"shape {arrays[name].shape}", f"{shape}")
    check_pointer(file, arrays["frame_ptr"], count)
    for name in ("points", "intensity", "T_world_lidar", "t"):
        if not np.isfinite(arrays[name]).all():
            raise DataError(file, name, "NaN or infinite values", "finite values")
    if np.any(np.diff(arrays["t"]) <= 0):
        raise DataError(file, "t", "times that do not increase", "increasing times [s]")
