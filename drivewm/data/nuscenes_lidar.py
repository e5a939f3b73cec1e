"""LIDAR_TOP in nuScenes' tables as columns of the index: one sweep a keyframe, and those in between."""

from __future__ import annotations

import logging
import os

import numpy as np

from drivewm.data.errors import DataError, MissingFileError
from drivewm.data.files import resolve
from drivewm.data.nuscenes_tables import NuScenesTables

_LOG = logging.getLogger(__name__)
CHANNEL = "LIDAR_TOP"


def lidar_columns(tables: NuScenesTables, frame_of_sample: np.ndarray, frame_ptr: np.ndarray) -> dict:
    """The index' frame columns and sweep columns.

    Args:
        tables: of the data set.
        frame_of_sample: `(samples,)` keyframe number of each row of sample.json.
        frame_ptr: `(S + 1,)` scene s has the keyframes `ptr[s]` to `ptr[s + 1]`.

    Raises:
        DataError: a sample without exactly one keyframe of LIDAR_TOP, or whose file is missing. Sweeps between
            keyframes whose files are missing are left out, as who downloads keyframes alone has none.
    """
    sensor = tables.follow("calibrated_sensor", "sensor_token", "sensor")
    is_lidar = [tables.rows["sensor"][i]["channel"] == CHANNEL for i in sensor]
    calibration = tables.follow("sample_data", "calibrated_sensor_token", "calibrated_sensor")
    chosen = [row for row, i in zip(tables.rows["sample_data"], calibration, strict=True) if is_lidar[i]]
    frame = frame_of_sample[tables.follow("sample_data", "sample_token", "sample", chosen)]
    is_key_frame = np.array([bool(row["is_key_frame"]) for row in chosen], bool)
    frames = _frame_columns(tables, chosen, np.where(is_key_frame, frame, -1), frame_of_sample)
    _check_times(tables, frames["frame_time_us"], frame_ptr)
    scene = np.searchsorted(frame_ptr, frame, side="right") - 1
    return frames | _sweep_columns(tables, chosen, np.where(is_key_frame, -1, scene), frame_ptr, frames)


def _frame_columns(tables: NuScenesTables, rows: list[dict], frame: np.ndarray, frame_of_sample: np.ndarray) -> dict:
    """One row a keyframe; `frame` is -1 for rows that are none."""
    per_frame = np.bincount(frame[frame >= 0], minlength=len(frame_of_sample))
    if np.any(per_frame != 1):
        sample = tables.rows["sample"][int(np.flatnonzero(frame_of_sample == np.flatnonzero(per_frame != 1)[0])[0])]
        found = f"{per_frame[per_frame != 1][0]} {CHANNEL} keyframes for sample {sample['token']}"
        raise DataError(tables.path("sample_data"), "is_key_frame", found, "one")
    rows = [rows[i] for i in np.argsort(frame, kind="stable")[np.sum(frame < 0) :]]
    sizes = [_size(tables, row) for row in rows]
    for row, size in zip(rows, sizes, strict=True):
        if size is None:
            path = tables.root / row["filename"]
            raise MissingFileError(path, "file", "nothing", f"the sweep of sample_data {row['token']}")
    return {"frame_token": [row["sample_token"] for row in rows]} | _columns(tables, "frame", rows, sizes)


def _check_times(tables: NuScenesTables, time_us: np.ndarray, frame_ptr: np.ndarray) -> None:
    late = np.flatnonzero(np.diff(time_us) <= 0)
    late = late[~np.isin(late + 1, frame_ptr)]  # another scene may be earlier
    if len(late):
        before, after = time_us[late[0] : late[0] + 2]
        found = f"a keyframe of {CHANNEL} at {after} after one at {before}"
        raise DataError(tables.path("sample_data"), "timestamp", found, "increasing times, in the order of the samples")


def _sweep_columns(
    tables: NuScenesTables, rows: list[dict], scene: np.ndarray, frame_ptr: np.ndarray, frames: dict
) -> dict:
    """One row a sweep that is no keyframe, with the keyframe that comes next, by time; `scene` is -1 for others.

    Which sample a sweep's row names is not asked: nuScenes' name the nearest one, which may lie before.
    """
    time_us = np.array([row["timestamp"] for row in rows], np.int64)
    kept, owner, missing = [], [], 0
    for number in np.lexsort((time_us, scene))[np.sum(scene < 0) :]:
        first, end = frame_ptr[scene[number] : scene[number] + 2]
        before = np.searchsorted(frames["frame_time_us"][first:end], time_us[number])
        if first + before == end:  # after the last keyframe, so no clip will ever ask for it
            continue
        if (size := _size(tables, rows[number])) is None:
            missing += 1
            continue
        kept.append((rows[number], size))
        owner.append(first + before)
    if missing:
        _LOG.warning("%d sweeps between keyframes are not there and left out", missing)
    count = np.bincount(np.array(owner, np.int64), minlength=len(frames["frame_token"]))
    columns = _columns(tables, "sweep", [row for row, _ in kept], [size for _, size in kept])
    return columns | {"frame_sweep_ptr": np.concatenate([[0], np.cumsum(count)])}


def _size(tables: NuScenesTables, row: dict) -> int | None:
    """Bytes of a row's file, None if it is not there. Raises UnsafePathError."""
    path = resolve(tables.root, row["filename"], tables.path("sample_data"), f"filename of {row['token']}")
    try:
        return os.path.getsize(path)
    except FileNotFoundError:
        return None


def _columns(tables: NuScenesTables, kind: str, rows: list[dict], sizes: list[int]) -> dict:
    def through(field: str, table: str) -> np.ndarray:
        return tables.transforms(
            table, [tables.rows[table][i] for i in tables.follow("sample_data", field, table, rows)]
        )

    return {
        f"{kind}_time_us": np.array([row["timestamp"] for row in rows], np.int64),
        f"{kind}_T_global_ego": through("ego_pose_token", "ego_pose"),
        f"{kind}_T_ego_lidar": through("calibrated_sensor_token", "calibrated_sensor"),
        f"{kind}_lidar_file": [row["filename"] for row in rows],
        f"{kind}_lidar_bytes": sizes,
    }
