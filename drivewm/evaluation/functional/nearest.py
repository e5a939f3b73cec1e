"""The nearest point of another cloud, exactly, by blocks of neighbouring points and the boxes around them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.evaluation.functional import _nearest_kernels

_SAMPLED = 64
"""One of so many points tells where the clouds are, which decides on speed alone."""


def nearest(queries: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nearest neighbours, exact for any clouds.

    Args:
        queries: `(N, 3)`, taken as float32.
        points: `(M, 3)` in the same frame and unit, taken as float32; at least one.

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
    near, far = _in_blocks(queries, points)
    position = np.empty(len(queries), np.int64)
    squared = _search(near, far, position)
    return near.unsorted(squared), near.unsorted(far.number[position].astype(np.int64))


def mutual_nearest(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squared distances from each point of a to its nearest in b `(N,)`, and from b to a `(M,)`.

    As `nearest` both ways, with each cloud sorted once. Both need at least one point.
    """
    a, b = _checked(a, "a"), _checked(b, "b")
    if len(a) == 0 or len(b) == 0:
        raise ValueError(f"both clouds need points, got {len(a)} and {len(b)}")
    in_a, in_b = _in_blocks(a, b)
    return in_a.unsorted(_search(in_a, in_b)), in_b.unsorted(_search(in_b, in_a))


def nearest_reference(queries: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The readable twin of `nearest`: every query against every point."""
    queries, points = _checked(queries, "queries").astype(np.float64), _checked(points, "points").astype(np.float64)
    squared = ((queries[:, None] - points) ** 2).sum(-1)
    return squared.min(1), squared.argmin(1)


@dataclass(frozen=True)
class _Blocks:
    """A cloud in blocks, as `_nearest_kernels` wants it: points in order, and their numbers before; where each block
    begins, its first key and its box; the first block of each group of blocks, and that group's box."""

    points: np.ndarray
    number: np.ndarray
    begin: np.ndarray
    key: np.ndarray
    box: np.ndarray
    group_begin: np.ndarray
    group_box: np.ndarray

    @classmethod
    def of(cls, points: np.ndarray, middle: np.ndarray, spread: float) -> _Blocks:
        keys, number = _nearest_kernels.sort_along_curve(points, middle, spread)
        points, begin = points.take(number, axis=0), _nearest_kernels.cut(keys)
        key = keys[begin[:-1]]
        group_begin = _nearest_kernels.cut(key)
        box, group_box = (_nearest_kernels.bounding_boxes(points, at) for at in (begin, begin[group_begin]))
        return cls(points, number, begin, key, box, group_begin, group_box)

    def unsorted(self, values: np.ndarray) -> np.ndarray:
        out = np.empty_like(values)
        out[self.number] = values
        return out


def _in_blocks(a: np.ndarray, b: np.ndarray) -> tuple[_Blocks, _Blocks]:
    """Both along the same curve."""
    some = np.concatenate([a[::_SAMPLED], b[::_SAMPLED]]).astype(np.float64)
    middle = np.median(some, axis=0)
    spread = 2.0 * np.median(np.abs(some - middle), axis=0).max() or 1.0
    return _Blocks.of(a, middle, spread), _Blocks.of(b, middle, spread)


def _search(queries: _Blocks, points: _Blocks, position: np.ndarray | None = None) -> np.ndarray:
    """Squared distances, for queries in their order; writes the position of the nearest in `points` if wanted."""
    squared = np.empty(len(queries.points))
    found = None if position is None else np.empty(_nearest_kernels.BLOCK, np.int64)
    _nearest_kernels.search(
        *(queries.points, queries.begin, queries.key, queries.box),
        *(points.points, points.begin, points.key, points.box, points.group_begin, points.group_box),
        *(squared, position, found),
    )
    return squared


def _checked(points: np.ndarray, name: str) -> np.ndarray:
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"{name} must have shape (N, 3), got {points.shape}")
    points = np.ascontiguousarray(points, np.float32)
    if len(points) and not np.isfinite([points.min(), points.max()]).all():
        raise ValueError(f"{name} must be finite, but there is NaN or infinity among them")
    return points
