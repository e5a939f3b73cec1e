"""Many polylines in one flat table: the form in which kernels read lanes and walkways."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SPACING_M = 0.5


def resample(points: np.ndarray, spacing_m: float = SPACING_M) -> np.ndarray:
    """A polyline `(N, 2)` [m] with evenly spaced points, nearly `spacing_m` apart; both ends are kept."""
    along = arc_length(points)
    count = max(int(round(along[-1] / spacing_m)) + 1, 2)
    stations = np.linspace(0.0, along[-1], count)
    return np.stack([np.interp(stations, along, points[:, axis]) for axis in range(2)], axis=-1)


def arc_length(points: np.ndarray) -> np.ndarray:
    """Length `(N,)` [m] of a polyline `(N, 2)` up to each point."""
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])


def headings(points: np.ndarray) -> np.ndarray:
    """Unwrapped heading `(N,)` [rad] of a polyline `(N, 2)`."""
    step = np.gradient(points, axis=0)
    return np.unwrap(np.arctan2(step[:, 1], step[:, 0]))


def offset(points: np.ndarray, left_m: float) -> np.ndarray:
    """The parallel polyline `(N, 2)` that runs `left_m` to the left [m]."""
    heading = headings(points)
    return points + left_m * np.stack([-np.sin(heading), np.cos(heading)], axis=-1)


def trim(points: np.ndarray, start_m: float, end_m: float) -> np.ndarray:
    """The polyline `(N, 2)` without its first `start_m` and last `end_m` metres."""
    along = arc_length(points)
    low, high = start_m, along[-1] - end_m
    if not low < high:
        raise ValueError(f"a polyline of {along[-1]:.1f} m cannot lose {start_m:.1f} m and {end_m:.1f} m")
    stations = np.concatenate([[low], along[(along > low) & (along < high)], [high]])
    return np.stack([np.interp(stations, along, points[:, axis]) for axis in range(2)], axis=-1)


def bezier(start: np.ndarray, start_heading: float, end: np.ndarray, end_heading: float, stiffness: float = 0.37):
    """Cubic Bezier `(N, 2)` [m] that leaves `start (2,)` and reaches `end (2,)` with the given headings [rad].

    A stiffness of 0.37 of the distance nearly gives the arc of a circle for a quarter turn.
    """
    arm = stiffness * np.linalg.norm(end - start)
    control = np.array(
        [
            start,
            start + arm * np.array([np.cos(start_heading), np.sin(start_heading)]),
            end - arm * np.array([np.cos(end_heading), np.sin(end_heading)]),
            end,
        ]
    )
    t = np.linspace(0.0, 1.0, 65)[:, None]
    weights = np.hstack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3])
    return resample(weights @ control)


class PathTable:
    """Polylines by number, concatenated.

    Attributes:
        points: `(P, 2)` float64 [m].
        heading: `(P,)` [rad], unwrapped within each polyline.
        first: `(L + 1,)` int64, polyline i is `points[first[i]:first[i + 1]]`.
        length: `(L,)` [m].
        step: `(L,)` distance between neighbouring points [m].
    """

    def __init__(self, polylines: Sequence[np.ndarray]) -> None:
        counts = [len(p) for p in polylines]
        self.points = np.concatenate(polylines) if polylines else np.zeros((0, 2))
        self.heading = np.concatenate([headings(p) for p in polylines]) if polylines else np.zeros(0)
        self.first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self.length = np.array([arc_length(p)[-1] for p in polylines], np.float64)
        self.step = self.length / np.maximum(np.array(counts) - 1, 1)

    def __len__(self) -> int:
        return len(self.length)

    def polyline(self, index: int) -> np.ndarray:
        """Points `(N, 2)` of one polyline."""
        return self.points[self.first[index] : self.first[index + 1]]

    def pose(self, index: np.ndarray, station: np.ndarray, left_m: np.ndarray | float = 0.0) -> np.ndarray:
        """Poses `(N, 3)` x, y, yaw at `station (N,)` [m] of the polylines `index (N,)`, `left_m` beside them."""
        if not len(index):  # most scenarios have no actors, who would be asked for several times a step
            return np.zeros((0, 3))
        cell = np.clip(station / self.step[index], 0.0, None)
        count = self.first[index + 1] - self.first[index]
        low = np.minimum(cell.astype(np.int64), count - 2)
        share = np.minimum(cell - low, 1.0)
        low = low + self.first[index]
        yaw = self.heading[low] * (1 - share) + self.heading[low + 1] * share
        xy = self.points[low] * (1 - share)[:, None] + self.points[low + 1] * share[:, None]
        x, y = xy[:, 0] - left_m * np.sin(yaw), xy[:, 1] + left_m * np.cos(yaw)
        return np.stack([x, y, yaw], axis=-1)
