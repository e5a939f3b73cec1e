"""The second stage of scan matching: Gauss-Newton on smooth maps, to fractions of a voxel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from drivewm.evaluation.functional import _scan_kernels
from drivewm.evaluation.functional.column_classes import UNKNOWN
from drivewm.geometry import VoxelGrid, se2

_ITERATIONS, _SMOOTH_CELLS, _SCALE = 12, 1.0, 0.5
"""Edges in the labels jump by whole cells. What that makes must not be taken for outliers, or the pose sticks to whole
cells: the scale is not small against 2, the squared difference of a column of another class."""


@dataclass(frozen=True)
class SmoothMap:
    """Class maps that can be differentiated.

    Attributes:
        classes: `(C, X, Y)`, one smooth map a class, as if unknown columns were like those around them.
        known: `(X, Y)` float, 1 where the column is known.
    """

    classes: np.ndarray
    known: np.ndarray

    @classmethod
    def of(cls, classes: np.ndarray, present: np.ndarray) -> SmoothMap:
        """From a map `(X, Y)` of column classes, of which `present` get a map each."""
        known = (classes != UNKNOWN).astype(np.float64)
        weight = gaussian_filter(known, _SMOOTH_CELLS, mode="constant")
        one_hot = (classes == present[:, None, None]).astype(np.float64)
        smooth = gaussian_filter(one_hot, (0, _SMOOTH_CELLS, _SMOOTH_CELLS), mode="constant")
        return cls(smooth / np.maximum(weight, 1e-6), known)


def refine(a: SmoothMap, b: SmoothMap, guess: np.ndarray, grid: VoxelGrid) -> tuple[np.ndarray, float]:
    """The motion `T_a_b (3,)` nearest to a guess `(3,)` at which the maps differ least, and how much, in [0, 1]."""
    ahead, left = (grid.origin_m[k] / grid.voxel_m + np.arange(n) + 0.5 for k, n in enumerate(grid.shape[:2]))
    turn = float(np.hypot(np.abs(ahead).max(), np.abs(left).max()) / 2)
    pose = np.array([guess[0] / grid.voxel_m, guess[1] / grid.voxel_m, guess[2]])
    best, least = pose, np.inf
    for _ in range(_ITERATIONS):
        system, vector, cost, total = _scan_kernels.normal_equations(
            a.classes, b.classes, a.known, ahead, left, b.known, pose, turn, _SCALE
        )
        if total <= 0:
            break
        if cost / total < least:
            best, least = pose, cost / total
        # Damped, so that a direction which the maps do not tell stays as guessed.
        system = system + (1e-3 * np.trace(system) / 3 + 1e-9) * np.eye(3)
        step = -np.linalg.solve(system, vector)
        step *= min(1.0, 1.0 / max(np.abs(step).max(), 1e-12))
        pose = pose + step / [1.0, 1.0, turn]
        if np.abs(step).max() < 1e-3:
            break
    return np.array([best[0] * grid.voxel_m, best[1] * grid.voxel_m, se2.wrap_angle(best[2])]), least


def normal_equations_reference(source, target, seen, ahead, left, weight, pose, turn, scale):
    """The readable twin of `_scan_kernels.normal_equations`, in array arithmetic.

    Args:
        source, target: smooth maps `(C, X, Y)` of frames a and b.
        seen, weight: `(X, Y)`, where a and b are known.
        ahead, left: `(X,)` and `(Y,)` centres of the columns, in cells from the ego.
        pose: `(3,)` x, y in cells, yaw [rad].
        turn: so many cells of motion far out make one unit of yaw in the system.
        scale: s of Geman and McClure's cost e^2 / (s + e^2).

    Returns:
        system `(3, 3)`, vector `(3,)`, the summed cost and over how many columns.
    """
    x, y = (part.ravel() for part in np.meshgrid(ahead, left, indexing="ij"))
    cos, sin = np.cos(pose[2]), np.sin(pose[2])
    at = np.stack([pose[0] + cos * x - sin * y - ahead[0], pose[1] + sin * x + cos * y - left[0]])
    a, b = np.floor(at).astype(int)
    inside = (weight.ravel() > 0) & (a >= 0) & (b >= 0) & (a + 1 < len(ahead)) & (b + 1 < len(left))
    x, y, a, b, (p, q) = x[inside], y[inside], a[inside], b[inside], (at - np.floor(at))[:, inside]
    corners = [(a, b), (a, b + 1), (a + 1, b), (a + 1, b + 1)]
    s00, s01, s10, s11 = (source[:, i, j] for i, j in corners)
    known = weight.ravel()[inside] * np.min([seen[i, j] for i, j in corners], axis=0)
    value = (1 - p) * ((1 - q) * s00 + q * s01) + p * ((1 - q) * s10 + q * s11)
    error = value - target.reshape(len(target), -1)[:, inside]
    along = (1 - q) * (s10 - s00) + q * (s11 - s01)
    across = (1 - p) * (s01 - s00) + p * (s11 - s10)
    turned = along * (-sin * x - cos * y) / turn + across * (cos * x - sin * y) / turn
    jacobian = np.stack([along, across, turned])
    square = (error**2).sum(0)
    w = known * (scale / (scale + square)) ** 2
    system = np.einsum("icn,jcn,n->ij", jacobian, jacobian, w)
    vector = np.einsum("icn,cn,n->i", jacobian, error, w)
    return system, vector, float((known * square / (scale + square)).sum()), float(known.sum())
