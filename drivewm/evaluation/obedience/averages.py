"""Means and intervals over clips of which some have nothing to show (NaN), and differences of pairs."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import combinations

import numpy as np

from drivewm.evaluation.functional.bootstrap import clustered_interval, clustered_mean_interval


def pair_differences(values: np.ndarray) -> np.ndarray:
    """Of all pairs of the K columns of `(N, K)`: `(N, K (K - 1) / 2)`."""
    pairs = np.array(list(combinations(range(values.shape[1]), 2)), int).reshape(-1, 2)
    return values[:, pairs[:, 0]] - values[:, pairs[:, 1]]


def point_alike(seen: np.ndarray, asked: np.ndarray, least_m: float) -> np.ndarray:
    """Do differences point the same way? One of less than half of `least_m` is none: noise is not obedience."""
    return seen * np.sign(asked) >= least_m / 2


def distances(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Between poses `(..., 3)` of one shape [m]: `(...)`, whatever their yaws."""
    return np.linalg.norm(found[..., :2] - true[..., :2], axis=-1)


def to_array(values: Sequence) -> np.ndarray:
    """Nested lists as float64; None, which files have for NaN, becomes NaN."""
    return np.array(values, np.float64)


def finite_mean(values: np.ndarray) -> float:
    """Of those that are finite; NaN if none is."""
    values = np.asarray(values, np.float64)
    values = values[np.isfinite(values)]
    return float(values.mean()) if values.size else float("nan")


def finite_quantile(values: np.ndarray, share: float) -> float:
    """Of those that are finite; NaN if none is."""
    values = values[np.isfinite(values)]
    return float(np.quantile(values, share)) if values.size else float("nan")


def row_means(values: np.ndarray) -> np.ndarray:
    """`finite_mean` of each entry of the first axis: `(N,)`."""
    return np.array([finite_mean(row) for row in values])


def mean_interval(values: np.ndarray, scenes: Sequence[Hashable], seed: int) -> list[float]:
    """Mean of `values (N,)`, NaN left out, with its interval over scenes: value, low, high."""
    return list(clustered_mean_interval(values, scenes, np.random.default_rng(seed)))


def share_interval(hits: np.ndarray, cases: np.ndarray, scenes: Sequence[Hashable], seed: int) -> list[float]:
    """All hits `(N,)` by all cases `(N,)`, with the interval over scenes: value, low, high."""
    sums = np.stack([hits, cases], axis=-1).astype(np.int64)
    return list(clustered_interval(sums, scenes, ratio, np.random.default_rng(seed)))


def ratio(sums: np.ndarray) -> float:
    """The first by the second; NaN by none."""
    return float(sums[0] / sums[1]) if sums[1] > 0 else float("nan")
