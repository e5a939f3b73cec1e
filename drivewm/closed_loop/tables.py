"""The tables of a closed-loop run: all episodes, and the scores by kind of situation."""

from __future__ import annotations

from dataclasses import dataclass, replace

from drivewm.closed_loop.summary import NCAP, OVER_BASELINE, SCORES
from drivewm.evaluation.functional.aggregate import EPDMS, PDMS
from drivewm.evaluation.tables import interval_cell, markdown_table

_RATES = {
    "collision_rate": "collision",
    "at_fault_rate": "at fault",
    "off_road_rate": "off road",
    "progress": "progress",
    "direction": "direction",
    "lights": "lights",
}
_NONE = {"value": None}
_COUNTS = ("episodes", "failed", "discarded", "invalid")


@dataclass(frozen=True)
class SummaryTable:
    """A table of `summarize`'s figures: means with their intervals, a row a planner.

    Attributes:
        caption: what it shows.
        headers: one a column.
        rows: cells; privileged planners are marked.
    """

    caption: str
    headers: list[str]
    rows: list[list[object]]

    def markdown(self) -> str:
        """As text."""
        return f"{self.caption}\n\n{markdown_table(self.headers, self.rows)}"


def summary_tables(summary: dict[str, dict[str, dict]], note: str = "") -> list[SummaryTable]:
    """Main figures of all episodes; each score by subset; NeuroNCAP's score, where there are adversarial families.

    A note on what was driven stands in front of each caption.
    """
    scores = _scores(summary)
    subsets = list(next(iter(summary.values()), {}))
    keys = {**scores, OVER_BASELINE: f"{PDMS.name} over constant velocity", **_RATES}
    rows = []
    for planner, by_subset in summary.items():
        row = by_subset["all"]
        rows.append(
            [_name(planner, row), *(interval_cell(row.get(key)) for key in keys), *(row[count] for count in _COUNTS)]
        )
    tables = [SummaryTable("All episodes", ["planner", *keys.values(), *_COUNTS], rows)]
    for key, name in scores.items():
        if sum(by_subset["all"].get(key, _NONE)["value"] is not None for by_subset in summary.values()) > 1:
            tables.append(_by_subset(summary, key, subsets, f"`{name}`, higher is better"))
    adversarial = [s for s in subsets if any(NCAP in by_subset[s] for by_subset in summary.values())]
    if adversarial:
        caption = "NeuroNCAP's score: 5 without a collision, 0 for the impact of an ego that keeps its velocity"
        tables.append(_by_subset(summary, NCAP, adversarial, caption))
    return [replace(table, caption=f"{note}. {table.caption}") for table in tables] if note else tables


def _by_subset(summary: dict, key: str, subsets: list[str], caption: str) -> SummaryTable:
    rows = [
        [_name(planner, by_subset["all"]), *(interval_cell(by_subset[subset].get(key)) for subset in subsets)]
        for planner, by_subset in summary.items()
    ]
    if key != NCAP:
        counts = next(iter(summary.values()))
        rows.append(["episodes (discarded)", *(f"{counts[s]['episodes']} ({counts[s]['discarded']})" for s in subsets)])
    return SummaryTable(caption, ["planner", *(subset.replace("_", " ") for subset in subsets)], rows)


def _scores(summary: dict) -> dict[str, str]:
    """Keys of the scores in a summary's rows, and their full names: those of which there is any value."""
    rates = [item for subsets in summary.values() for row in subsets.values() for item in row.items()]
    found = {key for key, value in rates if isinstance(value, dict) and value["value"] is not None}
    complete = {key: name for name, key in SCORES.items() if key in found}
    return complete | {key: key for key in sorted(found) if key.startswith((f"{PDMS.name}_", f"{EPDMS.name}_"))}


def _name(planner: str, row: dict) -> str:
    return planner.replace("_", " ") + (" (privileged)" if row["privileged"] else "")
