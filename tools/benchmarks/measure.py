"""How a row is measured: interleaved, on the same inputs, in one process, after the results were seen to be right."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np


class NotHere(Exception):
    """A comparison needs a package, or arithmetic units, that this machine does not have."""


@dataclass(frozen=True)
class Row:
    """One comparison, with another way to the same result or with the time that is allowed.

    Attributes:
        ours, against: median seconds of one call, or another cost; against may be the time allowed.
        ratios: against / ours of each round; higher is better.
        goal: the ratio to reach; None where the row only informs.
        unit: of ours and against: "s", "GFLOP", "GB", or "power" for an exponent (`scaling`).
        note: what to know before quoting the row; may be empty.
    """

    ours: float
    against: float
    ratios: tuple[float, ...]
    goal: float | None
    unit: str = "s"
    note: str = ""

    def as_dict(self, name: str) -> dict[str, Any]:
        """The row as `--json` writes it."""
        ratio = {"median": statistics.median(self.ratios), "min": min(self.ratios), "max": max(self.ratios)}
        verdict = None if self.goal is None else "reached" if ratio["median"] >= self.goal else "missed"
        costs = {"ours": self.ours, "against": self.against, "unit": self.unit}
        return {"name": name, **costs, "ratio": ratio, "goal": self.goal, "verdict": verdict, "note": self.note}


def compare(
    ours: Callable[[], Any],
    against: Callable[[], Any],
    check_equal: Callable[[Any, Any], None],
    goal: float | None,
    rounds: int = 7,
    block_s: float = 0.05,
) -> Row:
    """Time two ways to the same result, in turns.

    Args:
        ours, against: do the work and return the result.
        check_equal: raises if the results of `ours` and `against` differ. It sees those of the first calls, which also
            serve to compile and to fill caches, and are not timed.
        rounds: how often both are timed.
        block_s: fast calls are repeated within a round until they last about this long [s].
    """
    check_equal(ours(), against())
    ours_calls, against_calls = (max(1, round(block_s / max(_seconds(f, 1), 1e-7))) for f in (ours, against))
    pairs = [(_seconds(ours, ours_calls), _seconds(against, against_calls)) for _ in range(rounds)]
    return Row(
        ours=statistics.median(own for own, _ in pairs),
        against=statistics.median(other for _, other in pairs),
        ratios=tuple(other / own for own, other in pairs),
        goal=goal,
    )


def within(
    bar_s: float, ours: Callable[[], Any], check: Callable[[Any], None], rounds: int = 7, block_s: float = 0.05
) -> Row:
    """Time something that is to take at most `bar_s` [s]: a row against the bar, whose goal is a ratio of 1.

    Args:
        ours: does the work and returns the result.
        check: raises if the result is not what it should be. It sees that of the first call, which is not timed.
        rounds, block_s: as for `compare`.
    """
    check(ours())
    calls = max(1, round(block_s / max(_seconds(ours, 1), 1e-7)))
    seconds = [_seconds(ours, calls) for _ in range(rounds)]
    return Row(statistics.median(seconds), bar_s, tuple(bar_s / own for own in seconds), goal=1.0)


def scaling(sizes: Sequence[float], work: Callable[[float], Any], goal: float | None, rounds: int = 3) -> Row:
    """Fit `seconds = c * size ** power`: a row of the power against 1, that of linear growth.

    Args:
        sizes: to measure at.
        work: does the work of one size.
        goal: the least 1 / power.
        rounds: how often all sizes are timed, in turns; the first calls are not timed.
    """
    for size in sizes:
        work(size)
    powers, seconds = [], []
    for _ in range(rounds):
        seconds.append([_seconds(partial(work, size), 1) for size in sizes])
        powers.append(float(np.polyfit(np.log(sizes), np.log(seconds[-1]), 1)[0]))
    medians = [
        f"{size:g}: {statistics.median(own):.3g} s" for size, own in zip(sizes, zip(*seconds, strict=True), strict=True)
    ]
    note = "median seconds by size: " + ", ".join(medians)
    ratios = tuple(1.0 / power for power in powers)
    return Row(statistics.median(powers), 1.0, ratios, goal, unit="power", note=note)


def _seconds(function: Callable[[], Any], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls
