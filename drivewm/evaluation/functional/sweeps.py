"""What a LiDAR's sweeps look like, in numbers: to compare a simulated sensor and its world with real ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import minimum_filter

RANGES_M = (0.0, 5.0, 10.0, 20.0, 30.0, 50.0, np.inf)
HEIGHTS_M = (-np.inf, -0.3, 0.3, 1.0, 2.0, 3.5, 6.0, np.inf)
"""Edges of the histograms; heights count from the ground under the ego."""
_CELL_M, _REACH_M = 0.8, 40.0
_OWN_M = 2.5  # returns from the own vehicle are nearer than this


def sweep_statistics(sweeps: Sequence[np.ndarray], mount_m: float) -> dict[str, float]:
    """Means over sweeps.

    Args:
        sweeps: each `(N, 5)` x, y, z [m] in the LiDAR frame (z up), intensity in 0..255, ring (-1 where not known).
        mount_m: height of the sensor above the ground [m].

    Returns:
        "points": returns a sweep; "range A-B m" and "height A-B m": shares of the returns; "cells with obstacles":
        share of 0.8 m cells within 40 m that hold a return more than 0.3 m above the lowest one within 2 m; "intensity
        mean" and "intensity 90 %"; and, where the ring is known, "lowest beam", "highest beam", "beam spacing" (the
        mean one) and "azimuth step" (the median one) [degree]. Returns within 2.5 m of the sensor do not count.

    Raises:
        ValueError: no sweep, or an empty one.
    """
    if not sweeps:
        raise ValueError("there is no sweep to describe")
    rows = [_describe(np.asarray(sweep, np.float64), mount_m) for sweep in sweeps]
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0] if all(name in row for row in rows)}


def _describe(points: np.ndarray, mount_m: float) -> dict[str, float]:
    distance = np.linalg.norm(points[:, :3], axis=1)
    points, distance = points[distance >= _OWN_M], distance[distance >= _OWN_M]
    if not len(points):
        raise ValueError(f"a sweep has no return beyond {_OWN_M} m")
    height = points[:, 2] + mount_m
    row = {"points": float(len(points))}
    row |= _shares("range", np.hypot(points[:, 0], points[:, 1]), RANGES_M)
    row |= _shares("height", height, HEIGHTS_M)
    row["cells with obstacles"] = _obstacle_share(points[:, :2], height)
    row["intensity mean"] = float(points[:, 3].mean())
    row["intensity 90 %"] = float(np.quantile(points[:, 3], 0.9))
    if points[:, 4].min() >= 0:
        row |= _beams(points, distance)
    return row


def _obstacle_share(xy: np.ndarray, height: np.ndarray) -> float:
    """The ground of a real place is no plane, so each cell is compared with what lies around it."""
    side = round(2 * _REACH_M / _CELL_M)
    cells = np.floor((xy + _REACH_M) / _CELL_M).astype(np.int64)
    near = ((cells >= 0) & (cells < side)).all(1)
    low, high = np.full((side, side), np.inf), np.full((side, side), -np.inf)
    np.minimum.at(low, tuple(cells[near].T), height[near])
    np.maximum.at(high, tuple(cells[near].T), height[near])
    return float((high - minimum_filter(low, size=5) > 0.3).mean())


def _shares(name: str, values: np.ndarray, edges: Sequence[float]) -> dict[str, float]:
    counts = np.histogram(values, edges)[0] / len(values)
    spans = [f"{low:g}-{high:g} m" for low, high in zip(edges[:-1], edges[1:], strict=True)]
    return {f"{name} {span}": float(share) for span, share in zip(spans, counts, strict=True)}


def _beams(points: np.ndarray, distance: np.ndarray) -> dict[str, float]:
    elevation = np.degrees(np.arcsin(points[:, 2] / distance))
    azimuth = np.degrees(np.arctan2(points[:, 1], points[:, 0]))
    rings = np.unique(points[:, 4])
    beam = np.sort([np.median(elevation[points[:, 4] == ring]) for ring in rings])
    steps = np.concatenate([np.diff(np.sort(azimuth[points[:, 4] == ring])) for ring in rings])
    return {
        "lowest beam": float(beam[0]),
        "highest beam": float(beam[-1]),
        "beam spacing": float(np.diff(beam).mean()) if len(beam) > 1 else 0.0,
        "azimuth step": float(np.median(steps)) if len(steps) else 0.0,
    }
