"""The index of logs that have no tables: each sweep is a frame, in the order of time."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from drivewm.data.errors import DataError, MissingFileError
from drivewm.data.index import Index, IndexWriter
from drivewm.data.index_columns import COLUMNS

_LOG = logging.getLogger(__name__)

BOX_COLUMNS = tuple(name for name in COLUMNS if name.startswith("box_"))


@dataclass(frozen=True)
class Log:
    """One scene to be indexed.

    Attributes:
        name: of the scene.
        split: that it belongs to.
        tokens: F names of frames, unique in the data set and fit for file names.
        files: F sweeps, relative to the data root.
        time_us: `(F,)` int64 stamps [microseconds].
        time_file: where they were read, for errors.
        T_global_ego: `(F, 4, 4)` of each sweep.
        T_ego_lidar: `(4, 4)`.
        boxes: `frame (M,)`, the frame of each box, not decreasing, and the index' box columns; tracks are numbered from
            0. None: there are none.
    """

    name: str
    split: str
    tokens: Sequence[str]
    files: Sequence[str]
    time_us: np.ndarray
    time_file: Path
    T_global_ego: np.ndarray
    T_ego_lidar: np.ndarray
    boxes: dict[str, np.ndarray] | None = None


def write_log_index(
    root: Path, out: Path | None, logs: Sequence[Log], name: str, tables: Sequence[str], overwrite: bool
) -> Index:
    """Writes the index of logs and opens it.

    Args:
        root: data root.
        out: the index; None: `root/index`.
        logs: one a scene.
        name: of the data set's layout, one of `sweeps.SWEEP_FORMATS`.
        tables: glob patterns below the root of the files that the index depends on.
        overwrite: replace an index that is there.

    Raises:
        DataError: stamps that do not increase; (MissingFileError) a sweep that is not there.
    """
    out = root / "index" if out is None else Path(out)
    for log in logs:
        _check(log)
    count = [len(log.files) for log in logs]
    frame_ptr, splits = np.concatenate([[0], np.cumsum(count)]), list(dict.fromkeys(log.split for log in logs))
    columns = {
        "scene_name": [log.name for log in logs],
        "scene_location": ["unknown"] * len(logs),
        "scene_frame_ptr": frame_ptr,
        "scene_route_ptr": np.zeros(len(logs) + 1),
        "scene_in_split": np.array([[log.split == split for split in splits] for log in logs]),
        "frame_token": [token for log in logs for token in log.tokens],
        "frame_time_us": np.concatenate([log.time_us for log in logs]),
        "frame_T_global_ego": np.concatenate([log.T_global_ego for log in logs]),
        "frame_T_ego_lidar": np.repeat([log.T_ego_lidar for log in logs], count, axis=0),
        "frame_lidar_file": [file for log in logs for file in log.files],
        "frame_lidar_bytes": [_size(root / file) for log in logs for file in log.files],
        "frame_sweep_ptr": np.zeros(frame_ptr[-1] + 1),
        "frame_light_ptr": np.zeros(frame_ptr[-1] + 1),
        "frame_occupancy_file": [""] * frame_ptr[-1],
        **_box_columns(logs, frame_ptr),
    }
    with IndexWriter(out, overwrite) as writer:
        for column in COLUMNS:
            writer.column(column, columns.get(column, []))  # none of: routes, lights, sweeps between frames
        writer.finish(root, name, name, tables, None, splits)
    index = Index.open(out, root)
    _LOG.info("indexed %d sweeps of %d logs of %s", index.num_frames, index.num_scenes, name)
    return index


def _check(log: Log) -> None:
    steps = np.diff(log.time_us)
    if (steps <= 0).any():
        k = int(np.flatnonzero(steps <= 0)[0])
        found = f"{log.time_us[k + 1]} us after {log.time_us[k]} us, at {log.tokens[k + 1]}"
        raise DataError(log.time_file, "times", found, "increasing times")


def _size(path: Path) -> int:
    try:
        return os.path.getsize(path)
    except FileNotFoundError:
        raise MissingFileError(path, "file", "nothing", "a LiDAR sweep") from None


def _box_columns(logs: Sequence[Log], frame_ptr: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of all boxes; tracks are numbered on from log to log."""
    parts, frames, tracks = [], [np.zeros(0, np.int64)], 0
    for log, first in zip(logs, frame_ptr, strict=False):
        if log.boxes is None:
            continue
        frames.append(first + log.boxes["frame"])
        parts.append({**log.boxes, "box_track": tracks + log.boxes["box_track"]})
        tracks += int(log.boxes["box_track"].max(initial=-1)) + 1
    count = np.bincount(np.concatenate(frames), minlength=frame_ptr[-1])
    columns = {name: np.concatenate([part[name] for part in parts]) for name in BOX_COLUMNS if parts}
    return {"frame_box_ptr": np.concatenate([[0], np.cumsum(count)]), **columns}
