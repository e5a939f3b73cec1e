"""Where did the ego go from one occupancy frame to the next? Found from what stands still, and from nothing else.

Seen from above, each column of a frame has a class: of the static structure that stands in it, else of its ground.
Columns with something movable in them, or with nothing at all, say nothing. Two such maps are registered, first as in
correlative scan matching (Olson, 2009), then on smooth maps with Newton's method, as in the normal distributions
transform (Biber and Strasser, 2003):

1. for each of several yaws, the share of columns with different classes under each shift by whole cells, by one
   correlation in the frequency domain;
2. from the best few guesses, Gauss-Newton on the maps smoothed by about a cell, with Geman and McClure's robust weight.

It is told nothing of the motion. Along a street whose sides do not change the way ahead cannot be seen: `margin` says
how much worse the best place elsewhere explains the frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.evaluation.functional.column_classes import UNKNOWN, column_classes
from drivewm.evaluation.functional.scan_refinement import SmoothMap, refine
from drivewm.evaluation.functional.scan_search import REACH_M, REACH_RAD, search
from drivewm.geometry import VoxelGrid, se2
from drivewm.structures import OCC3D, LabelSet

_SLACK_M, _SLACK_RAD = 1.0, 0.1


@dataclass(frozen=True)
class ScanMatch:
    """How one frame was registered to another.

    Attributes:
        T_a_b: `(3,)` x, y [m], yaw [rad]: where the ego of frame b is, seen from that of frame a.
        agreement: share of the columns known in both whose classes agree.
        margin: how much smaller that share is in the best place more than 2 m away, in [0, 1]; NaN without any.
        overlap: share of the columns known in b that are known in a too.
    """

    T_a_b: np.ndarray
    agreement: float
    margin: float
    overlap: float


def match_frames(a: np.ndarray, b: np.ndarray, grid: VoxelGrid, labels: LabelSet = OCC3D) -> ScanMatch:
    """The planar motion from frame a to frame b, both `(X, Y, Z)` uint8 in their own ego frames; see `match_maps`."""
    return match_maps(column_classes(a, labels), column_classes(b, labels), grid)


def match_maps(a: np.ndarray, b: np.ndarray, grid: VoxelGrid) -> ScanMatch:
    """The planar motion between two maps of column classes.

    Args:
        a, b: `(X, Y)` uint8, as from `column_classes`; `UNKNOWN` columns are left out.
        grid: of both.

    Returns:
        the match; NaN where the maps have too little in common, or fit best beyond what is looked for.
    """
    for name, classes in (("a", a), ("b", b)):
        if classes.shape != grid.shape[:2]:
            raise ValueError(f"map {name} has shape {classes.shape}, but the grid has columns {grid.shape[:2]}")
    failed = ScanMatch(np.full(3, np.nan), np.nan, np.nan, 0.0)
    if not (a != UNKNOWN).any() or not (b != UNKNOWN).any():
        return failed
    present = np.setdiff1d([a, b], UNKNOWN).astype(np.uint8)
    found = search(a, b, present, grid)
    guesses = found.guesses()
    if not guesses:
        return failed
    smooth_a, smooth_b = SmoothMap.of(a, present), SmoothMap.of(b, present)
    pose, _ = min((refine(smooth_a, smooth_b, guess, grid) for guess in guesses), key=lambda refined: refined[1])
    if np.abs(pose[:2]).max() > REACH_M + _SLACK_M or abs(pose[2]) > REACH_RAD + _SLACK_RAD:
        return failed
    agreement, overlap = _agreement(a, b, pose, grid)
    return ScanMatch(pose, agreement, found.margin(pose), overlap)


def match_sequence(maps: np.ndarray, grid: VoxelGrid) -> tuple[np.ndarray, list[ScanMatch]]:
    """The motion along maps `(F + 1, X, Y)`, each registered to the one before.

    Returns:
        poses `(F, 3)` of frames 1 to F in frame 0, NaN from the first step that failed on, and the F matches.
    """
    matches: list[ScanMatch] = []
    poses, pose = [], np.zeros(3)
    for t in range(len(maps) - 1):
        same = t > 0 and (maps[t - 1 : t + 1] == maps[t : t + 2]).all()  # a copy that nothing moves, again
        matches.append(matches[-1] if same else match_maps(maps[t], maps[t + 1], grid))
        pose = se2.compose(pose, matches[-1].T_a_b)
        poses.append(pose)
    return np.array(poses).reshape(-1, 3), matches


def _agreement(a: np.ndarray, b: np.ndarray, pose: np.ndarray, grid: VoxelGrid) -> tuple[float, float]:
    x, y = b.shape
    centers = grid.centers()[:, :, 0, :2].reshape(-1, 2)
    cells = np.floor((se2.transform_points(pose, centers) - grid.origin_m[:2]) / grid.voxel_m).astype(int)
    inside = ((cells >= 0) & (cells < (x, y))).all(-1)
    cells = np.where(inside[:, None], cells, 0)
    found = np.where(inside, a[cells[:, 0], cells[:, 1]], UNKNOWN).reshape(x, y)
    both = (found != UNKNOWN) & (b != UNKNOWN)
    return float((found == b)[both].mean()) if both.any() else np.nan, float(both.sum() / max(1, (b != UNKNOWN).sum()))
