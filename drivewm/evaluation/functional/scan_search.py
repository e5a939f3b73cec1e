"""The first stage of scan matching: all shifts by whole columns at once, for several yaws (Olson, 2009)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import fft

from drivewm.evaluation.functional.column_classes import UNKNOWN
from drivewm.geometry import VoxelGrid, se2

REACH_M, REACH_RAD = 9.0, 0.4
"""Largest motion that is looked for: ahead or to the side, and turned."""
_YAW_STEP, _GUESSES, _WORSE, _WORSE_BY = 0.05, 3, 1.5, 0.03
_ELSEWHERE_M, _LEAST_OVERLAP = 2.0, 0.3


@dataclass(frozen=True)
class Search:
    """How badly each motion explains two maps.

    Where frame b is turned by a yaw and then shifted in its own directions, its column u looks at column u + s of the
    map a, turned to b's directions. So one turned map serves all shifts.

    Attributes:
        yaws: `(K,)` [rad].
        shifts_m: `(S,)` [m], the same ahead and to the left, in the directions of frame b.
        differ: `(K, S, S)` share of the columns known in both whose classes differ; infinite where too few are known.
    """

    yaws: np.ndarray
    shifts_m: np.ndarray
    differ: np.ndarray

    def guesses(self) -> list[np.ndarray]:
        """The best motions `(3,)` that lie apart from each other, the best first, and none that is far worse."""
        differ, shifts, found = self.differ.copy(), self.shifts_m, []
        worst = _WORSE * differ.min() + _WORSE_BY
        while len(found) < _GUESSES:
            k, u, v = np.unravel_index(differ.argmin(), differ.shape)
            if not np.isfinite(differ[k, u, v]) or differ[k, u, v] > worst:
                break
            found.append(self.pose(k, u, v))
            near_u, near_v = np.abs(shifts - shifts[u]) < _ELSEWHERE_M, np.abs(shifts - shifts[v]) < _ELSEWHERE_M
            differ[:, near_u[:, None] & near_v] = np.inf
        return found

    def pose(self, k: int, u: int, v: int) -> np.ndarray:
        """Motion `T_a_b (3,)` of one entry."""
        return se2.compose(np.array([0.0, 0.0, self.yaws[k]]), np.array([self.shifts_m[u], self.shifts_m[v], 0.0]))

    def margin(self, T_a_b: np.ndarray) -> float:
        """How much more columns differ, at best, in a place more than 2 m from a motion `(3,)` than near it."""
        turn_back = np.array([0.0, 0.0, -T_a_b[2]])
        own = se2.transform_points(turn_back, T_a_b[None, :2])[0]
        away = np.hypot(self.shifts_m[:, None] - own[0], self.shifts_m - own[1]) > _ELSEWHERE_M
        there, here = (self.differ[:, part].min(initial=np.inf) for part in (away, ~away))
        return float(there - here) if np.isfinite(there) and np.isfinite(here) else np.nan


def search(a: np.ndarray, b: np.ndarray, present: np.ndarray, grid: VoxelGrid) -> Search:
    """Compare two maps `(X, Y)` of column classes under all motions within reach, by correlation.

    Args:
        a, b: the maps; `UNKNOWN` columns are left out.
        present: the classes that there are.
        grid: of both.
    """
    reach = int(np.ceil(REACH_M / grid.voxel_m))
    number = int(np.ceil(REACH_RAD / _YAW_STEP))
    yaws = np.arange(-number, number + 1) * _YAW_STEP
    size = tuple(fft.next_fast_len(n + 2 * reach, real=True) for n in a.shape)  # no shift wraps around
    turned = np.append(a.ravel(), np.uint8(UNKNOWN))[_turned_columns(tuple(yaws), reach, grid)]
    classes = present[:, None, None]
    of_b, known_b = (fft.rfft2(m.astype(np.float32), size).conj() for m in (b == classes, b != UNKNOWN))
    of_a, known_a = (fft.rfft2(m.astype(np.float32), size) for m in (turned[:, None] == classes, turned != UNKNOWN))
    window = slice(0, 2 * reach + 1)
    same = fft.irfft2((of_a * of_b).sum(1), size)[:, window, window]
    both = fft.irfft2(known_a * known_b, size)[:, window, window]
    enough = both >= _LEAST_OVERLAP * max(1, min((a != UNKNOWN).sum(), (b != UNKNOWN).sum()))
    differ = np.where(enough, 1 - same / np.maximum(both, 1), np.inf)
    return Search(yaws, (np.arange(2 * reach + 1) - reach) * grid.voxel_m, differ)


@lru_cache(maxsize=8)
def _turned_columns(yaws: tuple[float, ...], reach: int, grid: VoxelGrid) -> np.ndarray:
    """For each yaw, at which column of a map each column of the turned map looks, X * Y for none.

    The turned map is wider than the grid by `reach` on each side.
    """
    x, y, _ = grid.shape
    ahead, left = (grid.origin_m[k] + (np.arange(-reach, n + reach) + 0.5) * grid.voxel_m for k, n in enumerate((x, y)))
    points = np.stack(np.meshgrid(ahead, left, indexing="ij"), -1).reshape(-1, 2)
    poses = np.array([[0.0, 0.0, yaw] for yaw in yaws])
    cells = np.floor((se2.transform_points(poses, points[None]) - grid.origin_m[:2]) / grid.voxel_m + 1e-6).astype(int)
    inside = ((cells >= 0) & (cells < (x, y))).all(-1)
    flat = np.where(inside, cells[..., 0] * y + cells[..., 1], x * y)
    return flat.reshape(len(yaws), x + 2 * reach, y + 2 * reach)
