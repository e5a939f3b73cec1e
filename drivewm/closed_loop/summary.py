"""From episode records to the table: a row a planner, intervals by scene, all episodes and the straight ones."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from drivewm.evaluation.functional.bootstrap import clustered_mean_interval, paired_difference_interval
from drivewm.evaluation.tables import markdown_table

SCORE_NAME = "episode_pdms"
BASELINE = "constant_velocity"
OVER_BASELINE = f"score_over_{BASELINE}"
SUBSETS = ("all", "straight")
_RATES = {
    "score": lambda score: score[SCORE_NAME],
    "collision_rate": lambda score: float(score["collided"]),
    "at_fault_rate": lambda score: float(score["at_fault"]),
    "off_road_rate": lambda score: 1.0 - score["dac"],
    "progress": lambda score: score["progress"],
    "comfort": lambda score: score["comfort"],
    "ttc": lambda score: score["ttc"],
}


def summarize(records: Iterable[dict], seed: int = 0) -> dict[str, dict[str, dict]]:
    """`{planner: {"all" | "straight": {rate: {"value", "low", "high"}, "episodes", "failed"}}}`.

    Rates lie in [0, 1]. Intervals are 95 % bootstrap intervals over scenarios. Episodes in which the planner failed are
    counted, not scored. Beside the baseline's rows, `score_over_constant_velocity` is the paired difference on the
    scenarios that both finished.
    """
    records = sorted(records, key=lambda record: (record["planner"], record["scenario"]))
    table: dict[str, dict[str, dict]] = {}
    for planner in dict.fromkeys(record["planner"] for record in records):
        own = [record for record in records if record["planner"] == planner]
        table[planner] = {}
        for subset in SUBSETS:
            chosen = [r for r in own if subset == "all" or r["straight"]]
            done = {r["scenario"]: r["score"] for r in chosen if r["status"] == "ok"}
            row: dict = {"episodes": len(chosen), "failed": len(chosen) - len(done)}
            for rate, read in _RATES.items():
                row[rate] = _interval([read(score) for score in done.values()], list(done), seed)
            table[planner][subset] = row
    if BASELINE in table:
        _compare(table, records, seed)
    return table


def summary_table(summary: dict[str, dict[str, dict]]) -> str:
    """The summary as Markdown, values in percent with their intervals."""
    rates = ["score", "collision", "at fault", "off road", "progress", "comfort", "TTC"]
    headers = ["planner", "episodes of", *rates, "score over constant velocity", "n", "failed"]
    rows = []
    for subset in SUBSETS:
        for planner, subsets in summary.items():
            row = subsets[subset]
            cells = [_cell(row[rate]) for rate in _RATES]
            cells.append(_cell(row[OVER_BASELINE]) if OVER_BASELINE in row else "-")
            rows.append([planner.replace("_", " "), subset, *cells, row["episodes"], row["failed"]])
    return markdown_table(headers, rows)


def _compare(table: dict, records: list[dict], seed: int) -> None:
    scores = {(r["planner"], r["scenario"]): r["score"][SCORE_NAME] for r in records if r["status"] == "ok"}
    straight = {r["scenario"] for r in records if r["straight"]}
    for planner in table:
        both = [s for p, s in scores if p == planner and (BASELINE, s) in scores]
        for subset in SUBSETS:
            chosen = [s for s in both if subset == "all" or s in straight]
            if planner != BASELINE and chosen:
                ours, theirs = (np.array([scores[p, s] for s in chosen]) for p in (planner, BASELINE))
                found = paired_difference_interval(ours, theirs, chosen, np.random.default_rng(seed))
                table[planner][subset][OVER_BASELINE] = found._asdict()


def _interval(values: list[float], scenarios: list[str], seed: int) -> dict[str, float | None]:
    if not values:
        return {"value": None, "low": None, "high": None}
    return clustered_mean_interval(np.array(values), scenarios, np.random.default_rng(seed))._asdict()


def _cell(interval: dict) -> str:
    if interval["value"] is None:
        return "-"
    return f"{100 * interval['value']:.1f} [{100 * interval['low']:.1f}, {100 * interval['high']:.1f}]"
