"""PandaSet in its public layout: `SEQ/lidar/`, `SEQ/annotations/`, pickled data frames in world coordinates."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from drivewm.data.errors import DataError, MissingFileError
from drivewm.data.files import read_json
from drivewm.data.pandas_pickle import read_frame
from drivewm.data.pandaset_recording import CLASSES, KEYFRAME_S, MORE_FIELDS, pandaset_recording
from drivewm.data.recording import Recording, check_arrays
from drivewm.geometry import se3

PANDAR64, PANDAR_GT = 0, 1
"""The spinning LiDAR, and the one that looks ahead: numbers in `d` and `cuboids.sensor_id`."""

_BOX_COLUMNS = ("uuid", "label", "yaw", "cuboids.sensor_id")
_CENTER = ("position.x", "position.y", "position.z")
_LENGTH_WIDTH_HEIGHT = ("dimensions.y", "dimensions.x", "dimensions.z")


def find_sequences(root: Path) -> list[Path]:
    """The sequences in a folder, or the folder itself if it is one. Raises MissingFileError if there is none."""
    found = [root] if (root / "lidar").is_dir() else sorted(path.parent for path in root.glob("*/lidar"))
    if not found:
        raise MissingFileError(root, "sequences", "none", "PandaSet's layout: SEQ/lidar/NN.pkl.gz")
    return found


def read_sequence(folder: Path, keyframe_s: float = KEYFRAME_S) -> Recording:
    """A sequence as `pandaset_recording` has it. Points of the forward PandarGT are left out.

    Args:
        folder: `lidar/NN.pkl.gz`, `lidar/poses.json`, `lidar/timestamps.json`, `annotations/cuboids/NN.pkl.gz`,
            `annotations/semseg/NN.pkl.gz` and `classes.json`. Sequences without semseg (27 of 103) cannot be read: the
            road tells where the ground is.
        keyframe_s: as for `pandaset_recording`.

    Raises:
        DataError: (MissingFileError) a file is missing or does not hold.
    """
    files = sorted((folder / "lidar").glob("*.pkl.gz"))
    if not files:
        raise MissingFileError(folder / "lidar", "files", "none", "sweeps, NN.pkl.gz")
    _check_classes(folder / "annotations" / "semseg" / "classes.json")
    number = [_number(path) for path in files]
    T_world_lidar = _poses(folder / "lidar" / "poses.json", number)
    times_s = _times(folder / "lidar" / "timestamps.json", number)
    sweeps = [_sweep(folder, path.name, T) for path, T in zip(files, T_world_lidar, strict=True)]
    cuboids = folder / "annotations" / "cuboids"
    boxes = [_boxes(cuboids / path.name, T_world_lidar[k], k) for k, path in enumerate(files)]
    uuids = np.unique(np.concatenate([uuid for _, _, uuid in boxes]), return_inverse=True)[1]
    array = np.concatenate([box for box, _, _ in boxes])
    array[:, 1] = uuids
    arrays = {
        "points": np.concatenate([points for points, _, _ in sweeps]),
        "intensity": np.concatenate([intensity for _, intensity, _ in sweeps]),
        "label": np.concatenate([label for _, _, label in sweeps]),
        "frame_ptr": np.concatenate([[0], np.cumsum([len(points) for points, _, _ in sweeps])]),
        "T_world_lidar": T_world_lidar,
        "t": times_s,
        "boxes": array,
        "box_class": np.concatenate([label for _, label, _ in boxes]),
    }
    check_arrays(folder, arrays, MORE_FIELDS)
    return pandaset_recording(folder, folder.resolve().name, arrays, keyframe_s)


def _number(path: Path) -> int:
    stem = path.name.removesuffix(".pkl.gz")
    if not stem.isdecimal():
        raise DataError(path, "name", path.name, "the number of the sweep, NN.pkl.gz")
    return int(stem)


def _check_classes(path: Path) -> None:
    names = read_json(path, dict)
    expected = {str(number): name for number, name in enumerate(CLASSES, 1)}
    if names != expected:
        differing = sorted(key for key in {*names, *expected} if names.get(key) != expected.get(key))
        raise DataError(path, f"class {differing[0]}", names.get(differing[0]), expected.get(differing[0]))


def _poses(path: Path, number: list[int]) -> np.ndarray:
    """`T_world_lidar (F, 4, 4)` of these sweeps."""
    rows = _rows(path, number)
    try:
        position = np.array([[row["position"][axis] for axis in "xyz"] for row in rows], np.float64)
        heading = np.array([[row["heading"][axis] for axis in "wxyz"] for row in rows], np.float64)
        if not np.isfinite(position).all():
            raise ValueError("a position that is not finite")
        return se3.from_quaternion(heading, position)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(path, "rows", f"something else ({error})", "position x, y, z and heading w, x, y, z") from None


def _times(path: Path, number: list[int]) -> np.ndarray:
    rows = _rows(path, number)
    try:
        times_s = np.array(rows, np.float64).reshape(len(number))
    except (TypeError, ValueError):
        raise DataError(path, "rows", "something else", "a list of seconds") from None
    if not (np.diff(times_s) > 0).all() or not np.isfinite(times_s).all():
        raise DataError(path, "rows", "times that do not increase", "increasing times [s]")
    return times_s


def _rows(path: Path, number: list[int]) -> list:
    rows = read_json(path, list)
    if len(rows) <= number[-1]:
        raise DataError(path, "rows", len(rows), f"{number[-1] + 1} or more, one for each sweep")
    return [rows[n] for n in number]


def _sweep(folder: Path, name: str, T_world_lidar: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points `(N, 3)` [m, LiDAR frame], intensity and class `(N,)` of Pandar64."""
    path, label_path = folder / "lidar" / name, folder / "annotations" / "semseg" / name
    frame = read_frame(path, ("x", "y", "z", "i", "d"))
    label = read_frame(label_path, ("class",))["class"]
    if len(label) != len(frame["d"]):
        raise DataError(label_path, "class", f"{len(label)} rows", f"{len(frame['d'])}, one for each point of {path}")
    world = np.stack([_numeric(path, axis, frame[axis]) for axis in "xyz"], axis=-1)
    mine = frame["d"] == PANDAR64
    points = se3.transform_points(se3.inverse(T_world_lidar), world[mine])
    label = _numeric(label_path, "class", label)[mine].astype(np.int64)
    return points.astype(np.float32), _numeric(path, "i", frame["i"])[mine], label


def _boxes(path: Path, T_world_lidar: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`boxes (M, 9)` of sweep k without their tracks, their classes and what tells their tracks, `(M,)` each.

    A yaw of 0 looks along the world's y. What both LiDARs see may have a box for each: PandarGT's are left out.
    """
    table = read_frame(path, (*_BOX_COLUMNS, *_CENTER, *_LENGTH_WIDTH_HEIGHT))
    mine = _numeric(path, "cuboids.sensor_id", table["cuboids.sensor_id"]) != PANDAR_GT
    values = {name: _numeric(path, name, table[name])[mine] for name in ("yaw", *_CENTER, *_LENGTH_WIDTH_HEIGHT)}
    T_world_box = se3.from_xyzyaw(*(values[name] for name in _CENTER), values["yaw"] + np.pi / 2)
    T_lidar_box = se3.inverse(T_world_lidar) @ T_world_box
    yaw = np.arctan2(T_lidar_box[:, 1, 0], T_lidar_box[:, 0, 0])
    sizes = [values[name] for name in _LENGTH_WIDTH_HEIGHT]
    array = np.column_stack([np.full(len(yaw), float(k)), np.zeros(len(yaw)), T_lidar_box[:, :3, 3], *sizes, yaw])
    return array, table["label"][mine].astype(str), table["uuid"][mine].astype(str)


def _numeric(path: Path, column: str, values: np.ndarray) -> np.ndarray:
    if values.dtype.kind not in "iuf":
        raise DataError(path, column, f"values of type {values.dtype}", "numbers")
    bad = int((~np.isfinite(values)).sum())
    if bad:
        raise DataError(path, column, f"{bad} of {len(values)} values NaN or infinite", "finite values")
    return values.astype(np.float64)
