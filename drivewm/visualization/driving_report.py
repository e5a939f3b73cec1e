"""The closed loop's report page: tables of all planners, and what happened in each one's worst episodes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from drivewm.closed_loop.episodes import episode_name
from drivewm.closed_loop.rollout_files import load_rollout
from drivewm.closed_loop.summary import NCAP, PRINTED, discarded, score_columns
from drivewm.evaluation.functional.collisions import find_collisions
from drivewm.visualization.files import write_gif
from drivewm.visualization.report import Figure, Report, Section, Table
from drivewm.visualization.rollout import animate_rollout

_EVERY, _PIXELS_PER_M, _VIEW_M = 3, 4.0, 32.0


def driving_report(summary: dict, records: Sequence[dict], folder: Path, setting: str, videos: int) -> Report:
    """The page of a closed-loop run.

    Args:
        summary: `summarize(records)`.
        records: of all episodes.
        folder: the run's; holds `rollouts/`, and takes `videos/`.
        setting: what was driven, in words.
        videos: how many of each planner's worst episodes are shown.
    """
    sections = [Section("All episodes", [setting, _READING], [_rates_table(summary)])]
    families = [name for name in next(iter(summary.values())) if name != "all"]
    sections.append(Section("By kind of situation", [], _family_tables(summary, families)))
    for planner in summary:
        figures = [_video(record, folder) for record in worst_episodes(records, planner, videos)]
        if figures:
            sections.append(Section(f"Worst of {_words(planner)}", [], [], figures))
    failed = [record for record in records if record["status"] != "ok"]
    if failed:
        rows = [[_words(r["planner"]), r["scenario"], r["variant"], r["reason"]] for r in failed]
        table = Table(["planner", "scenario", "variant", "reason"], rows)
        sections.append(Section("Failed", ["A planner that fails is not scored."], [table]))
    return Report("Planners in closed loop", sections, setting)


_READING = (
    "Values are means with 95 % bootstrap intervals over scenarios. Privileged planners know what the others will do. "
    "The episode's score is 0 after an at-fault collision or off the road."
)


def worst_episodes(records: Sequence[dict], planner: str, count: int) -> list[dict]:
    """The `count` episodes of a planner with the lowest scores, those in which it was at fault first."""
    useless = discarded(records)
    own = [r for r in records if r["planner"] == planner and r["status"] == "ok" and r["scenario"] not in useless]
    return sorted(own, key=lambda r: (r["score"]["score"], not r["score"]["at_fault"]))[:count]


def _rates_table(summary: dict) -> Table:
    columns = score_columns(summary)
    rows = []
    for planner, subsets in summary.items():
        row = subsets["all"]
        counts = row["episodes"], row["failed"], row["discarded"]
        rows.append([_title(planner, row), *(_interval(row.get(key)) for key in (*columns, *PRINTED)), *counts])
    headers = ["planner", *columns.values(), *PRINTED.values(), "episodes", "failed", "discarded"]
    return Table(
        headers, rows, "Adversarial episodes count only where constant velocity crashes and the expert does not."
    )


def _family_tables(summary: dict, families: Sequence[str]) -> list[Table]:
    tables = []
    for key, name in score_columns(summary).items():
        rows = [
            [_title(planner, subsets["all"]), *(_interval(subsets[family].get(key)) for family in families)]
            for planner, subsets in summary.items()
        ]
        tables.append(Table(["planner", *map(_words, families)], rows, f"`{name}`, higher is better."))
    adversarial = [f for f in families if any(NCAP in subsets[f] for subsets in summary.values())]
    if adversarial:
        rows = [
            [_title(planner, subsets["all"]), *(_interval(subsets[f].get(NCAP)) for f in adversarial)]
            for planner, subsets in summary.items()
        ]
        note = "NeuroNCAP's score: 5 without a collision, 0 for the impact of an ego that keeps its velocity."
        tables.append(Table(["planner", *map(_words, adversarial)], rows, note))
    return tables


def _video(record: dict, folder: Path) -> Figure:
    rollout = load_rollout(folder / "rollouts" / f"{episode_name(record)}.npz")
    hit = [collision.agent for collision in find_collisions(rollout)]
    frames = animate_rollout(rollout, every=_EVERY, view_m=_VIEW_M, pixels_per_m=_PIXELS_PER_M, marked=hit)
    path = folder / "videos" / f"{episode_name(record)}.gif"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_gif(path, frames, fps=1 / (_EVERY * rollout.dt_s))
    score = record["score"]
    told = [f"{score['score_name']} {score['score']:.2f}", f"progress {100 * score['progress']:.0f} %"]
    told += [f"collision: {kind}" for kind in score["collision_kinds"]]
    words = f"{_words(record['family'])}, `{record['scenario']}`, variant {record['variant']}: {', '.join(told)}"
    return Figure(path, f"{_words(record['planner'])} drives {record['scenario']}, seen from above", words)


def _title(planner: str, row: dict) -> str:
    return _words(planner) + (" (privileged)" if row["privileged"] else "")


def _interval(rate: dict | None) -> str:
    if rate is None or rate["value"] is None:
        return "-"
    return f"{rate['value']:.2f} [{rate['low']:.2f}, {rate['high']:.2f}]"


def _words(name: str) -> str:
    return name.replace("_", " ")
