"""The nearest point of another cloud, exactly, by a grid of columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.evaluation.functional import _nearest_kernels

CELL_M = 0.25
"""Edge of the columns [m]: a few points of a LiDAR sweep in each where it is dense."""
_MOST_CELLS = 2048
"""Along an axis. Points beyond belong to the border columns, which is exact but slower."""


def nearest(queries: np.ndarray, points: np.ndarray, cell_m: float = CELL_M) -> tuple[np.ndarray, np.ndarray]:
    """Nearest neighbours, exact for any clouds.

    Args:
        queries: `(N, 3)`, taken as float32.
        points: `(M, 3)` in the same frame and unit, taken as float32; at least one.
        cell_m: edge of the columns that points are sorted into, which decides on speed alone.

    Returns:
        squared distance `(N,)` float64 from each query to its nearest point, in float64 of the float32 coordinates, and
        that point's number `(N,)` int64; which of equally near ones is not said, but always the same.

    Raises:
        ValueError: if a shape is wrong, a coordinate is not finite, or there are queries but no points.
    """
    queries, points = _checked(queries, "queries"), _checked(points, "points")
    if len(queries) == 0:
        return np.zeros(0), np.zeros(0, np.int64)
    if len(points) == 0:
        raise ValueError(f"{len(queries)} queries have no nearest point among 0 points")
    grid = _Columns.over(points, cell_m)
    return _search(grid, grid.sorted(queries), grid.sorted(points))


def mutual_nearest(a: np.ndarray, b: np.ndarray, cell_m: float = CELL_M) -> tuple[np.ndarray, np.ndarray]:
    """Squared distances from each point of a to its nearest in b `(N,)`, and from b to a `(M,)`.

    As `nearest` both ways, with each cloud sorted once. Both need at least one point.
    """
    a, b = _checked(a, "a"), _checked(b, "b")
    if len(a) == 0 or len(b) == 0:
        raise ValueError(f"both clouds need points, got {len(a)} and {len(b)}")
    grid = _Columns.over(np.stack([a.min(0), a.max(0), b.min(0), b.max(0)]), cell_m)
    if grid.cut:
        grid = _Columns.over(np.concatenate([a, b]), cell_m)
    in_a, in_b = grid.sorted(a), grid.sorted(b)
    return _search(grid, in_a, in_b)[0], _search(grid, in_b, in_a)[0]


def nearest_reference(queries: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The readable twin of `nearest`: every query against every point."""
    queries, points = _checked(queries, "queries").astype(np.float64), _checked(points, "points").astype(np.float64)
    squared = ((queries[:, None] - points) ** 2).sum(-1)
    return squared.min(1), squared.argmin(1)


@dataclass(frozen=True)
class _Sorted:
    points: np.ndarray
    number: np.ndarray
    begin: np.ndarray


@dataclass(frozen=True)
class _Columns:
    """Square columns over x and y: lower corner (2,), how many a metre and in all, and whether points lie beyond."""

    low: np.ndarray
    per_m: float
    shape: tuple[int, int]
    cut: bool

    @classmethod
    def over(cls, points: np.ndarray, cell: float) -> _Columns:
        """Columns over the points `(N, 3)`; over those around their median where they reach too far."""
        low, high = (bound.astype(np.float64) for bound in (points[:, :2].min(0), points[:, :2].max(0)))
        span = _MOST_CELLS * cell
        cut = bool(((high - low) >= span).any())
        if cut:
            middle = np.median(points[:, :2], axis=0).astype(np.float64)
            low, high = np.maximum(low, middle - span / 2), np.minimum(high, middle + span / 2)
        x, y = np.minimum(np.floor((high - low) / cell) + 1, _MOST_CELLS).astype(int).tolist()
        return cls(low, 1.0 / cell, (x, y), cut)

    def sorted(self, points: np.ndarray) -> _Sorted:
        return _Sorted(*_nearest_kernels.sort_into_cells(points, self.low, self.per_m, self.shape))


def _search(grid: _Columns, queries: _Sorted, points: _Sorted) -> tuple[np.ndarray, np.ndarray]:
    squared, position = np.empty(len(queries.points)), np.empty(len(queries.points), np.int64)
    _nearest_kernels.search(
        queries.points, points.points, points.begin, grid.low, grid.per_m, grid.shape, squared, position
    )
    out, number = np.empty_like(squared), np.empty_like(position)
    out[queries.number], number[queries.number] = squared, points.number[position]
    return out, number


def _checked(points: np.ndarray, name: str) -> np.ndarray:
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"{name} must have shape (N, 3), got {points.shape}")
    points = np.ascontiguousarray(points, np.float32)
    if len(points) and not np.isfinite([points.min(), points.max()]).all():
        raise ValueError(f"{name} must be finite, but there is NaN or infinity among them")
    return points
