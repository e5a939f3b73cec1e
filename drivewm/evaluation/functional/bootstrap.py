"""Bootstrap confidence intervals, clustered by scene.

Samples of one scene resemble each other, so whole scenes are redrawn (Field and Welsh, 2007), not single samples:
intervals over single samples would be far too narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

import numpy as np


class Interval(NamedTuple):
    """A value with the bounds of its confidence interval, all in the value's own unit."""

    value: float
    low: float
    high: float


def clustered_interval(
    sums: np.ndarray,
    clusters: Sequence[Hashable],
    statistic: Callable[[np.ndarray], float],
    rng: np.random.Generator,
    resamples: int = 1000,
    level: float = 0.95,
) -> Interval:
    """Percentile interval of a statistic of a sum over samples.

    Args:
        sums: `(N, ...)` one additive record a sample, e.g. confusion counts `(N, C, C)` or `(value, 1)` pairs `(N, 2)`.
        clusters: N names; samples of one name are drawn together.
        statistic: takes the sum over the drawn samples, shape `sums.shape[1:]`, gives a number; NaN draws are left out.
        rng: the only source of randomness.
        resamples: how many times the clusters are redrawn.
        level: share of the distribution between the bounds.

    Returns:
        The statistic of all samples and the interval's bounds (NaN where nothing was finite).

    Raises:
        ValueError: if there are no samples, `clusters` has another length, or `level` is not inside (0, 1).
    """
    sums = np.asarray(sums)
    if len(sums) == 0 or len(sums) != len(clusters):
        raise ValueError(f"expected at least one sample and a cluster name each, got {len(sums)} and {len(clusters)}")
    if not 0 < level < 1:
        raise ValueError(f"level must be inside (0, 1), got {level}")
    per_cluster = cluster_sums(sums, clusters)
    draws = redrawn_sums(per_cluster, rng, resamples)
    low, high = percentiles(np.array([statistic(draw) for draw in draws], np.float64), level)
    return Interval(float(statistic(per_cluster.sum(0))), float(low), float(high))


def cluster_sums(sums: np.ndarray, clusters: Sequence[Hashable]) -> np.ndarray:
    """Records `(N, ...)` summed by their clusters' names: `(S, ...)`, clusters in order of appearance."""
    names = {name: number for number, name in enumerate(dict.fromkeys(clusters))}
    per_cluster = np.zeros((len(names), *sums.shape[1:]), np.result_type(sums.dtype, np.int64))
    np.add.at(per_cluster, [names[name] for name in clusters], sums)
    return per_cluster


def redrawn_sums(per_cluster: np.ndarray, rng: np.random.Generator, resamples: int = 1000) -> np.ndarray:
    """Sums over clusters drawn with replacement: `(resamples, ...)` float64 from `(S, ...)`, by one set of draws."""
    count = len(per_cluster)
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=resamples).astype(np.float64)
    return (drawn @ per_cluster.reshape(count, -1)).reshape(resamples, *per_cluster.shape[1:])


def percentiles(draws: np.ndarray, level: float = 0.95) -> np.ndarray:
    """Bounds `(2, ...)` that hold `level` of draws `(R, ...)`; NaN draws are left out, and NaN where all are."""
    bounds = np.full((2, *draws.shape[1:]), np.nan)
    some = np.isfinite(draws).any(0)
    bounds[:, some] = np.nanquantile(draws[:, some], [(1 - level) / 2, (1 + level) / 2], axis=0)
    return bounds


def clustered_mean_interval(
    values: np.ndarray,
    clusters: Sequence[Hashable],
    rng: np.random.Generator,
    resamples: int = 1000,
    level: float = 0.95,
) -> Interval:
    """Interval of the mean of `values (N,)`, NaN left out. The other arguments are those of `clustered_interval`."""
    values = np.asarray(values, np.float64)
    finite = np.isfinite(values)
    pairs = np.stack([np.where(finite, values, 0.0), finite], axis=-1)
    return clustered_interval(pairs, clusters, _mean_of_pair, rng, resamples, level)


def paired_difference_interval(
    ours: np.ndarray,
    theirs: np.ndarray,
    clusters: Sequence[Hashable],
    rng: np.random.Generator,
    resamples: int = 1000,
    level: float = 0.95,
) -> Interval:
    """Interval of the mean of `ours - theirs (N,)`, two results on the same samples: above 0, ours is higher.

    Pairing takes the difficulty of the samples out, so it decides where two separate intervals still overlap.
    """
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if ours.shape != theirs.shape:
        raise ValueError(f"paired results must have one shape, got {ours.shape} and {theirs.shape}")
    return clustered_mean_interval(ours - theirs, clusters, rng, resamples, level)


def _mean_of_pair(pair: np.ndarray) -> float:
    total, count = pair
    return float(total / count) if count > 0 else float("nan")
