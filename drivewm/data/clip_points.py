"""The points of a clip: sweeps up to each frame, in the frame's own ego frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from drivewm.data.index import Index
from drivewm.data.sweeps import read_sweep
from drivewm.geometry import se3


def load_points(index: Index, frames: Sequence[int], num_sweeps: int) -> dict[str, torch.Tensor]:
    """Points of T frames as fields of a `SceneClip` with B = 1, padded to the longest frame.

    Args:
        index: of the data set.
        frames: which.
        num_sweeps: so many sweeps up to the frame's own, keyframes or not, make its points; fewer where the scene has
            no more. The poses of both stamps bring older ones into the frame's ego frame.

    Returns:
        `points (1, T, N, 4)` float32, `points_valid (1, T, N)` bool, `points_time_s (1, T, N)` float32: when each point
        was measured, as far as it is published, else the stamp of its sweep; [s] after the frame's stamp.

    Raises:
        DataError: a file is missing or broken.
    """
    found = [_frame_points(index, frame, num_sweeps) for frame in frames]
    longest = max(len(points) for points, _ in found)
    points = torch.zeros(1, len(found), longest, 4)
    valid, time_s = torch.zeros(points.shape[:3], dtype=torch.bool), torch.zeros(points.shape[:3])
    for i, (own, times) in enumerate(found):
        points[0, i, : len(own)], time_s[0, i, : len(own)] = torch.from_numpy(own), torch.from_numpy(times)
        valid[0, i, : len(own)] = True
    return {"points": points, "points_valid": valid, "points_time_s": time_s}


def _frame_points(index: Index, frame: int, num_sweeps: int) -> tuple[np.ndarray, np.ndarray]:
    """Points `(N, 4)` and times `(N,)` of one frame, the newest sweep first."""
    T_ego_global, stamp_us = se3.inverse(index["frame_T_global_ego"][frame]), index["frame_time_us"][frame]
    points, times = [], []
    for kind, row in sweeps_up_to(index, frame, num_sweeps):
        own, time_s = read_sweep(
            index.path(row, f"{kind}_lidar_file"),
            index.sweep_format,
            index[f"{kind}_T_ego_lidar"][row],
            int(index[f"{kind}_lidar_bytes"][row]),
        )
        if (kind, row) != ("frame", frame):
            own = se3.transform_points(T_ego_global @ index[f"{kind}_T_global_ego"][row], own).astype(np.float32)
        points.append(own)
        times.append(time_s + np.float32(1e-6 * (index[f"{kind}_time_us"][row] - stamp_us)))
    return np.concatenate(points), np.concatenate(times)


def sweeps_up_to(index: Index, frame: int, count: int) -> list[tuple[str, int]]:
    """The last `count` sweeps of the scene up to that of a frame, the newest first.

    Returns:
        ("frame" or "sweep", row): which columns of the index tell of it, and their row.
    """
    first = index["scene_frame_ptr"][np.searchsorted(index["scene_frame_ptr"], frame, side="right") - 1]
    found: list[tuple[str, int]] = []
    while frame >= first and len(found) < count:
        begin, end = index["frame_sweep_ptr"][frame : frame + 2]
        found += [("frame", int(frame)), *(("sweep", row) for row in range(int(end) - 1, int(begin) - 1, -1))]
        frame -= 1
    return found[:count]
