"""Events that happen or not, and whether they were foretold: precision, recall and F1, with intervals by scene."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from drivewm.evaluation.functional.bootstrap import Interval, clustered_interval


class EventScore(NamedTuple):
    """How well events were foretold.

    Attributes:
        precision: share of the foretold events that happened; NaN where none was foretold.
        recall: share of the events that were foretold; NaN where none happened.
        f1: harmonic mean of both, `2 hits / (2 hits + false alarms + misses)`; NaN where none was foretold or happened.
        happened: number of events.
        foretold: number of those foretold.
        samples: in how many samples there might have been one.
    """

    precision: Interval
    recall: Interval
    f1: Interval
    happened: int
    foretold: int
    samples: int


def event_counts(foretold: np.ndarray, happened: np.ndarray) -> np.ndarray:
    """Hits, false alarms and misses of bool arrays of one shape: `(..., 3)` int64, which add up over samples.

    Raises:
        ValueError: if the arrays are not bool, or differ in shape.
    """
    foretold, happened = np.asarray(foretold), np.asarray(happened)
    if foretold.dtype != bool or happened.dtype != bool:
        raise ValueError(f"events must be bool, got {foretold.dtype} foretold and {happened.dtype} happened")
    if foretold.shape != happened.shape:
        raise ValueError(f"foretold events have shape {foretold.shape}, but those that happened {happened.shape}")
    return np.stack([foretold & happened, foretold & ~happened, ~foretold & happened], axis=-1).astype(np.int64)


def event_score(
    foretold: np.ndarray,
    happened: np.ndarray,
    clusters: Sequence[Hashable],
    rng: np.random.Generator,
    resamples: int = 1000,
    level: float = 0.95,
) -> EventScore:
    """Precision, recall and F1 of events `(N,)` bool, with bootstrap intervals over the clusters of the N samples.

    The other arguments are those of `clustered_interval`; all three intervals come of the same draws.
    """
    counts = event_counts(foretold, happened)
    if counts.ndim != 2:
        raise ValueError(f"expected one event a sample, (N,), got {np.asarray(foretold).shape}")
    seed = int(rng.integers(2**62))
    intervals = [
        clustered_interval(counts, clusters, statistic, np.random.default_rng(seed), resamples, level)
        for statistic in (precision, recall, f1)
    ]
    hits, false_alarms, misses = counts.sum(0).tolist()
    return EventScore(*intervals, happened=hits + misses, foretold=hits + false_alarms, samples=len(counts))


def precision(counts: np.ndarray) -> float:
    """Of hits, false alarms and misses `(3,)`."""
    hits, false_alarms, _ = counts
    return _share(hits, hits + false_alarms)


def recall(counts: np.ndarray) -> float:
    """Of hits, false alarms and misses `(3,)`."""
    hits, _, misses = counts
    return _share(hits, hits + misses)


def f1(counts: np.ndarray) -> float:
    """Of hits, false alarms and misses `(3,)`."""
    hits, false_alarms, misses = counts
    return _share(2 * hits, 2 * hits + false_alarms + misses)


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else float("nan")
