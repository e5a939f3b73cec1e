"""The closed loop's report page: tables of all planners, and what happened in each one's worst episodes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from drivewm.closed_loop.episodes import episode_name
from drivewm.closed_loop.rollout_files import load_rollout
from drivewm.closed_loop.summary import discarded, is_valid
from drivewm.closed_loop.tables import summary_tables
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
    first, *others = (Table(table.headers, table.rows, table.caption) for table in summary_tables(summary))
    sections = [Section("All episodes", [setting, _READING], [first]), Section("By kind of situation", [], others)]
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
    "The episode's score is 0 after an at-fault collision or off the road. Adversarial episodes count only where "
    "constant velocity crashes and the expert does not, recorded ones only where they are valid."
)


def worst_episodes(records: Sequence[dict], planner: str, count: int) -> list[dict]:
    """The `count` episodes of a planner with the lowest scores, those in which it was at fault first."""
    useless = discarded(records)
    own = [r for r in records if r["planner"] == planner and r["status"] == "ok"]
    own = [r for r in own if r["scenario"] not in useless and is_valid(r)]
    return sorted(own, key=lambda r: (r["score"]["score"], not r["score"]["at_fault"]))[:count]


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


def _words(name: str) -> str:
    return name.replace("_", " ")
