"""What moved? Voxels at which a copy of the past is wrong because things have come or gone, and boxes that drive."""

from __future__ import annotations

import numpy as np

from drivewm.evaluation.functional import _kernels
from drivewm.geometry import se3
from drivewm.structures import OCC3D, LabelSet

MOVES_MPS = 0.5
"""Slower boxes stand [m/s]: annotations wobble."""


def moved_voxels(truth: np.ndarray, still: np.ndarray, labels: LabelSet = OCC3D) -> np.ndarray:
    """Voxels where a thing of a movable class has come or gone.

    Come: the true class is movable and none of the 3 x 3 x 3 voxels around has it in `still`. Gone: the class in
    `still` is movable and none of the 3 x 3 x 3 voxels around has it in truth. One voxel of tolerance keeps out what
    the warp rounds at the edges of things that stand.

    The copy's own IoU of movable classes in these voxels is 0. Read it beside the score over all voxels: what a
    forecast makes move elsewhere is not counted here.

    Args:
        truth: `(F, X, Y, Z)` uint8.
        still: the same frames if nothing but the ego moved (the ego-warped copy), under the true ego motion.
        labels: says which classes move.

    Returns:
        `(F, X, Y, Z)` bool.
    """
    movable = np.isin(np.arange(256), labels.movable)
    moved = np.zeros(truth.shape, bool)
    for f in range(len(truth)):
        _kernels.mark_moved(np.ascontiguousarray(truth[f]), np.ascontiguousarray(still[f]), movable, moved[f])
        _kernels.mark_moved(np.ascontiguousarray(still[f]), np.ascontiguousarray(truth[f]), movable, moved[f])
    return moved


def moved_voxels_reference(truth: np.ndarray, still: np.ndarray, labels: LabelSet = OCC3D) -> np.ndarray:
    """The readable twin of `moved_voxels`: class by class, by shifting whole arrays."""
    moved = np.zeros(truth.shape, bool)
    for label in labels.movable:
        for here, there in ((truth == label, still == label), (still == label, truth == label)):
            padded, near = np.pad(there, [(0, 0), (1, 1), (1, 1), (1, 1)]), np.zeros(here.shape, bool)
            _, x, y, z = here.shape
            for i, j, k in np.ndindex(3, 3, 3):
                near |= padded[:, i : i + x, j : j + y, k : k + z]
            moved |= here & ~near
    return moved


def moving_boxes(
    center: np.ndarray, track: np.ndarray, valid: np.ndarray, T_t0_ego: np.ndarray, times_s: np.ndarray
) -> np.ndarray:
    """Boxes whose track moves over ground, faster than `MOVES_MPS` from the frame before or to the one after.

    A track that is seen in one frame alone, or not in the frames beside it, is not known to move.

    Args:
        center: `(T, M, 3)` [m], each frame in its own ego frame; slots need not keep their track.
        track: `(T, M)` int, the same for one instance in all frames.
        valid: `(T, M)` bool.
        T_t0_ego: `(T, 4, 4)` where each frame's ego is, seen from one fixed frame.
        times_s: `(T,)` in order [s].

    Returns:
        `(T, M)` bool.
    """
    fixed = se3.transform_points(np.asarray(T_t0_ego, np.float64), np.asarray(center, np.float64))
    moving = np.zeros(valid.shape, bool)
    for t in range(1, len(valid)):
        same = (track[t - 1][:, None] == track[t]) & valid[t - 1][:, None] & valid[t]
        before, after = np.nonzero(same)
        moved = np.linalg.norm(fixed[t, after] - fixed[t - 1, before], axis=-1)
        drives = moved > MOVES_MPS * (times_s[t] - times_s[t - 1])
        moving[t - 1, before[drives]] = moving[t, after[drives]] = True
    return moving
