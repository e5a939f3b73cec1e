"""Do two environments put planners in the same order? Kendall's tau-b over all pairs, and over the separated ones.

tau-b (Kendall, 1945) of two lists of scores is `(C - D) / sqrt(A B)`: C pairs of planners that both lists put in the
same order, D in opposite orders, A pairs that the first list does not tie, B those that the second does not. A pair
tied in either list is neither in C nor in D. Planners that are equally good come in a random order in any finite run,
so tau over all pairs is low even where both environments agree on all that can be known: hence the second one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from drivewm.evaluation.functional.bootstrap import Interval, cluster_sums, percentiles, redrawn_sums

Episode = tuple[str, int]
"""Scenario and variant. Episodes of one scenario are one cluster."""
Scores = Mapping[str, Mapping[Episode, float]]
"""`{planner: {episode: score}}`."""
_TIE = 1e-12  # of means: the same numbers summed in another order


@dataclass(frozen=True)
class PairOfPlanners:
    """Two planners in both environments.

    Attributes:
        first, second: their names.
        reference, other: paired difference of their mean scores, first minus second, with its interval.
    """

    first: str
    second: str
    reference: Interval
    other: Interval

    @property
    def separated(self) -> bool:
        """Does the reference's interval exclude 0?"""
        return self.reference.low > _TIE or self.reference.high < -_TIE

    @property
    def agrees(self) -> bool:
        """Do both have them in the same order? A tie agrees with nothing."""
        return bool(_sign(self.reference.value) * _sign(self.other.value) > 0)


@dataclass(frozen=True)
class RankTransfer:
    """How far the other environment's ranking is the reference's.

    Attributes:
        planners: names, best in the reference first.
        reference, other: mean score of each, with its interval.
        pairs: all of them.
        all_pairs: tau-b over them.
        separated_pairs: tau-b over those that the reference separates, the same in each resample. A pair that the other
            environment ties counts in A alone.
        episodes, scenarios: that all planners have in both environments; nothing else counts.
        left_out: episodes that some planner lacks somewhere.
    """

    planners: tuple[str, ...]
    reference: tuple[Interval, ...]
    other: tuple[Interval, ...]
    pairs: tuple[PairOfPlanners, ...]
    all_pairs: Interval
    separated_pairs: Interval
    episodes: int
    scenarios: int
    left_out: int


def kendall_tau_b(first: np.ndarray, second: np.ndarray) -> float:
    """tau-b of two lists of N scores; NaN where one of them ties all pairs.

    Raises:
        ValueError: the lists differ in length, or hold fewer than two scores or NaN.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if first.ndim != 1 or first.shape != second.shape or len(first) < 2:
        raise ValueError(f"expected two lists of the same two or more scores, got {first.shape} and {second.shape}")
    if np.isnan(first).any() or np.isnan(second).any():
        raise ValueError("a score that is NaN has no rank")
    i, j = np.triu_indices(len(first), 1)
    return float(_tau_b(np.sign(first[i] - first[j]), np.sign(second[i] - second[j])))


def rank_transfer(
    reference: Scores, other: Scores, rng: np.random.Generator, resamples: int = 1000, level: float = 0.95
) -> RankTransfer:
    """Compare the rankings of the planners that both environments know, on the episodes that all of them have in both.

    Scenarios are redrawn, each with all its episodes of all planners in both environments, once for all intervals. Each
    pair's interval is at `level` by itself: of 20 equal pairs, one is separated by chance at 95 %.

    Args:
        reference: scores by planner and episode, where rankings are believed, e.g. the simulator.
        other: the same elsewhere, e.g. in the dream.
        rng: the only source of randomness.
        resamples: how many times the scenarios are redrawn.
        level: share of the distribution between the bounds.

    Raises:
        ValueError: fewer than two planners or two scenarios in common, or the reference separates no pair.
    """
    planners = sorted(reference.keys() & other.keys())
    if len(planners) < 2:
        raise ValueError(
            f"expected at least two planners in both environments, got {planners}: "
            f"the reference has {sorted(reference)}, the other {sorted(other)}"
        )
    runs = [scores[planner] for scores in (reference, other) for planner in planners]
    episodes = sorted(set.intersection(*(set(run) for run in runs)))
    scenarios = [scenario for scenario, _ in episodes]
    if len(set(scenarios)) < 2:
        fewest = min(runs, key=len)
        raise ValueError(
            "expected at least two scenarios that all planners drove in both environments, "
            f"got {sorted(set(scenarios))}; one planner has only {len(fewest)} episodes"
        )
    table = np.array([[run[episode] for run in runs] for episode in episodes])
    sums = cluster_sums(np.concatenate([table, np.ones((len(table), 1))], axis=1), scenarios)
    means = _Means(_mean(sums.sum(0)), _mean(redrawn_sums(sums, rng, resamples)), len(planners), level)
    order = np.argsort(-means.value[0], kind="stable")
    numbers = list(combinations(order, 2))
    pairs = tuple(PairOfPlanners(planners[i], planners[j], *means.difference(i, j)) for i, j in numbers)
    chosen = [ij for ij, pair in zip(numbers, pairs, strict=True) if pair.separated]
    if not chosen:
        raise ValueError(
            f"the reference separates none of the {len(pairs)} pairs of {planners} over {len(episodes)} episodes: "
            "drive more scenarios, or planners that differ"
        )
    return RankTransfer(
        planners=tuple(planners[i] for i in order),
        reference=tuple(means.of(0, i) for i in order),
        other=tuple(means.of(1, i) for i in order),
        pairs=pairs,
        all_pairs=means.tau_b(numbers),
        separated_pairs=means.tau_b(chosen),
        episodes=len(episodes),
        scenarios=len(set(scenarios)),
        left_out=len(set().union(*runs)) - len(episodes),
    )


class _Means:
    """Mean scores of P planners in both environments: `value (2, P)` and as redrawn `draws (R, 2, P)`."""

    def __init__(self, value: np.ndarray, draws: np.ndarray, planners: int, level: float) -> None:
        self.value, self.draws = value.reshape(2, planners), draws.reshape(-1, 2, planners)
        self.level = level

    def of(self, environment: int, planner: int) -> Interval:
        return self._interval(self.value[environment, planner], self.draws[:, environment, planner])

    def difference(self, i: int, j: int) -> tuple[Interval, Interval]:
        """In the reference and in the other."""
        value, draws = self.value[:, i] - self.value[:, j], self.draws[..., i] - self.draws[..., j]
        return self._interval(value[0], draws[:, 0]), self._interval(value[1], draws[:, 1])

    def tau_b(self, pairs: list[tuple[int, int]]) -> Interval:
        i, j = np.array(pairs).T
        one, many = (_sign(means[..., i] - means[..., j]) for means in (self.value, self.draws))
        return self._interval(_tau_b(one[0], one[1]), _tau_b(many[:, 0], many[:, 1]))

    def _interval(self, value: float, draws: np.ndarray) -> Interval:
        low, high = percentiles(draws, self.level)
        return Interval(float(value), float(low), float(high))


def _mean(sums: np.ndarray) -> np.ndarray:
    """Of sums `(..., 2 P + 1)` whose last is the number of episodes."""
    return sums[..., :-1] / sums[..., -1:]


def _sign(difference: np.ndarray | float) -> np.ndarray:
    return np.where(np.abs(difference) < _TIE, 0.0, np.sign(difference))


def _tau_b(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Of the signs `(..., pairs)` of differences; NaN where one list ties all pairs."""
    untied = np.abs(first).sum(-1) * np.abs(second).sum(-1)
    return np.where(untied > 0, (first * second).sum(-1) / np.sqrt(np.maximum(untied, 1)), np.nan)
