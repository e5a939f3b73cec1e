"""Heights of the ground between observed ground points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

CELL_M = 0.5
NEAR_M, SLOPE = 0.3, 0.04
"""A cell's lowest point is ground if it lies within `NEAR_M` of the height of the nearest driven pose, and `SLOPE`
metres more for each metre from there; and if it does not stand out of its surroundings by more than `NEAR_M`."""
GAP_M = 6.0
"""Ground is filled in up to so far from where it was seen: rings of 32 beams are that far apart at 20 m."""
THICKNESS_M = 0.2
"""Points up to so far above the ground belong to it."""
_BORDER = 2  # cells around all points


@dataclass(frozen=True)
class GroundMap:
    """Heights on a lattice, bilinear in between.

    Attributes:
        height: `(X, Y)` float64 [m] at lattice points, NaN where no ground was seen near by.
        origin_m: `(2,)` x, y of the first lattice point.
        cell_m: distance between lattice points.
    """

    height: np.ndarray
    origin_m: np.ndarray
    cell_m: float = CELL_M

    @classmethod
    def fit(cls, points: np.ndarray, driven: np.ndarray) -> GroundMap:
        """From points of scenery and the driven path, which lies on the ground.

        Args:
            points: `(N, 3)` [m], any level frame.
            driven: `(K, 3)` [m] where the ego's frame (on the ground) was.
        """
        every = np.concatenate([points[:, :2], driven[:, :2]])
        low = (np.floor(every.min(0) / CELL_M) - _BORDER) * CELL_M
        shape = tuple(np.ceil((every.max(0) - low) / CELL_M).astype(np.int64) + 1 + _BORDER)
        cell = np.round((points[:, :2] - low) / CELL_M).astype(np.int64)
        lowest = np.full(shape, np.inf)
        np.minimum.at(lowest, tuple(cell.T), points[:, 2])
        x, y = np.meshgrid(*(low[axis] + CELL_M * np.arange(shape[axis]) for axis in range(2)), indexing="ij")
        expected, away = _along_path(x, y, driven)
        is_ground = np.abs(lowest - expected) <= NEAR_M + SLOPE * away
        lowest = np.where(is_ground, lowest, 0.0)
        smooth, _ = _blur(lowest, is_ground, 2.0)
        is_ground &= np.abs(lowest - smooth) <= NEAR_M
        height = np.where(is_ground, lowest, np.nan)
        for sigma_m in (0.5, 1.0, 2.0, 4.0):  # fine where there is much, coarse in gaps
            smooth, weight = _blur(np.where(is_ground, lowest, 0.0), is_ground, sigma_m)
            height = np.where(np.isnan(height) & (weight > 0.02), smooth, height)
        gap = ndimage.distance_transform_edt(~is_ground, sampling=CELL_M)
        return cls(np.where(gap <= GAP_M, height, np.nan), low)

    def at(self, xy: np.ndarray) -> np.ndarray:
        """Height `(N,)` [m] at `xy (N, 2)`; NaN where it is not known."""
        cell = (np.asarray(xy, np.float64) - self.origin_m) / self.cell_m
        floor = np.floor(cell).astype(np.int64)
        inside = ((floor >= 0) & (floor < np.array(self.height.shape) - 1)).all(-1)
        i, j = np.where(inside[:, None], floor, 0).T
        u, v = (cell - floor).T
        h = self.height
        height = (1 - u) * ((1 - v) * h[i, j] + v * h[i, j + 1]) + u * ((1 - v) * h[i + 1, j] + v * h[i + 1, j + 1])
        return np.where(inside, height, np.nan)

    def holds(self, points: np.ndarray) -> np.ndarray:
        """Which of the points `(N, 3)` lie on the ground, within `THICKNESS_M` (or below it): bool `(N,)`."""
        return points[:, 2] - self.at(points[:, :2]) <= THICKNESS_M


def _along_path(x: np.ndarray, y: np.ndarray, driven: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Height of the nearest driven position and the distance to it [m], for lattice points `(X, Y)`."""
    away, height = np.full(x.shape, np.inf), np.zeros(x.shape)
    for px, py, pz in driven:
        distance = np.hypot(x - px, y - py)
        nearer = distance < away
        away[nearer], height[nearer] = distance[nearer], pz
    return height, away


def _blur(values: np.ndarray, known: np.ndarray, sigma_m: float) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean of the known values around each cell, and the weight of what is known in [0, 1]."""
    sigma = sigma_m / CELL_M
    weight = ndimage.gaussian_filter(known.astype(np.float64), sigma, mode="constant", truncate=3.0)
    total = ndimage.gaussian_filter(np.where(known, values, 0.0), sigma, mode="constant", truncate=3.0)
    return total / np.maximum(weight, 1e-9), weight
