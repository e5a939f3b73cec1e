"""Which windows of frames an indexed data set has."""

from __future__ import annotations

import numpy as np

from drivewm.data.errors import DataError
from drivewm.data.index import Index

MAX_STEP_RATIO = 1.5
"""Frames further apart than this many usual steps are a gap, which no window spans."""


def find_windows(
    index: Index,
    split: str,
    num_frames: int,
    frame_step: int,
    stride: int,
    within: tuple[int, int | None] = (0, None),
) -> tuple[np.ndarray, ...]:
    """Windows of `num_frames` frames that are `frame_step` frames apart, within a scene and without a gap.

    Args:
        index: of the data set.
        split: whose scenes.
        num_frames, frame_step: a window spans `(num_frames - 1) * frame_step + 1` frames of the data set.
        stride: take every stride-th window of a scene, from its first.
        within: frames of each scene, from and up to (excluded; None: to its end), among which a whole window lies.

    Returns:
        First frame and scene of each window: `(N,)` int64 each.

    Raises:
        DataError: an unknown split, or no window in all of it.
    """
    pointer, time = index["scene_frame_ptr"], index["frame_time_us"]
    scenes, reach = index.scenes_of(split), (num_frames - 1) * frame_step
    starts, owners = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for scene in scenes:
        first, end = int(pointer[scene]), int(pointer[scene + 1])
        stop = end if within[1] is None else min(end, first + within[1])
        candidates = np.arange(first + within[0], stop - reach, stride)
        if len(candidates) and reach:
            steps = np.diff(time[first:end])
            gaps = np.concatenate([[0], np.cumsum(steps > MAX_STEP_RATIO * np.median(steps))])
            local = candidates - first
            candidates = candidates[gaps[local + reach] == gaps[local]]
        starts.append(candidates)
        owners.append(np.full(len(candidates), scene))
    if not sum(map(len, starts)):
        longest = int((pointer[scenes + 1] - pointer[scenes]).max()) if len(scenes) else 0
        raise DataError(
            index.folder,
            f"split {split}",
            f"{len(scenes)} scenes of at most {longest} keyframes",
            f"a scene of {reach + 1} keyframes without a gap, for {num_frames} that are {frame_step} apart"
            + (f", within frames {within[0]} to {within[1]}" if tuple(within) != (0, None) else ""),
        )
    return np.concatenate(starts), np.concatenate(owners)
