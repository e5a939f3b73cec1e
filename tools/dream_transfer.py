"""Is what happens in a dream what happens in the town? From the same states, under the same controls.

    python tools/dream_transfer.py --world-model CONFIG.py:CHECKPOINT --out work_dirs/transfer

Prints the tables and writes `transfer.md` and `transfer.json` (with every sample) into the folder. Each section is one
function, which gives its tables and its figures.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from drivewm.closed_loop.dream.comparison import COPY, DREAM, SEEN, TOWN, Comparison, compare
from drivewm.closed_loop.dream.controls import CONTROLS
from drivewm.closed_loop.dream.dreamer import MODES, Dreamer, WorldSpec
from drivewm.closed_loop.dream.environment import observed_town
from drivewm.closed_loop.environment import REPLAN_S
from drivewm.closed_loop.scenarios import held_out_scenarios
from drivewm.engine.dreams import world_spec
from drivewm.evaluation.functional.events import event_score
from drivewm.evaluation.functional.occupancy import mean_iou, occupied_iou_of_sums
from drivewm.evaluation.tables import interval_cell, markdown_table
from drivewm.host import in_processes, without_nan, write_bytes, write_json
from drivewm.simulation import FAMILIES, Scenario
from drivewm.structures.labels import OCC3D

NAMES = {DREAM: "dream", COPY: "start, moved by the ego's motion", SEEN: "the town's frames, seen likewise"}
HORIZONS_S = (1.0, 2.0, 3.0, 4.0)


@dataclass(frozen=True)
class Section:
    """Part of the result: Markdown tables under a heading, and figures for JSON."""

    heading: str
    tables: list[str]
    figures: dict


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world-model", required=True, metavar="CONFIG.py:CHECKPOINT", help="that is asked")
    parser.add_argument("--dream", choices=MODES, default=MODES[0], help="its most likely frames, or frames drawn")
    parser.add_argument("--families", nargs="+", default=["all"], choices=[*FAMILIES, "all"], metavar="NAME")
    parser.add_argument("--scenarios", type=int, default=4, help="of each family, in towns of their own")
    parser.add_argument("--seed", type=int, default=0, help="of the towns and scenarios")
    parser.add_argument("--starts", type=int, default=3, help="states of each scenario to begin with")
    parser.add_argument("--every", type=float, default=3.0, help="time between these states [s]")
    parser.add_argument("--seconds", type=float, default=4.0, help="that are driven from each state")
    parser.add_argument("--controls", nargs="+", default=list(CONTROLS), choices=list(CONTROLS), metavar="NAME")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--out", type=Path, required=True, help="folder for transfer.md and transfer.json")
    args = parser.parse_args()
    try:
        world = world_spec(args.world_model, args.dream)
        sections = [fidelity(args, world)]
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(f"error: {error}") from None
    title = f"Dream against town: {world.setting}"
    text = "\n\n".join([title, *(part for s in sections for part in (s.heading, *s.tables))])
    figures = {section.heading: section.figures for section in sections}
    write_json(args.out / "transfer.json", without_nan({"setting": world.setting} | figures), indent=1)
    write_bytes(args.out / "transfer.md", (text + "\n").encode())
    print(text)


def fidelity(args: argparse.Namespace, world: WorldSpec) -> Section:
    """Frames and events under controls that no planner chose."""
    families = list(FAMILIES) if "all" in args.families else args.families
    scored_s = args.every * (args.starts - 1) + args.seconds
    options = args.seed, scored_s
    scenarios = [s for family in families for s in held_out_scenarios(args.scenarios, *options, family)]
    work = partial(compare_scenario, args=args, world=world)
    rows = []
    for found in tqdm(in_processes(work, scenarios, args.workers), total=len(scenarios), desc="dream against town"):
        rows += found
    rows.sort(key=lambda row: (row["scenario"], row["start"], row["control"]))
    samples = [row["comparison"] for row in rows]
    clusters = [row["scenario"] for row in rows]
    ends = [round(h / REPLAN_S) for h in HORIZONS_S if h <= args.seconds]
    frames = {name: frame_figures([sample.sums[name] for sample in samples], ends) for name in (DREAM, COPY)}
    events = {
        kind: {
            name: event_figures([getattr(sample, kind) for sample in samples], name, ends, clusters) for name in NAMES
        }
        for kind in ("touches", "off_road")
    }
    tables = [
        f"{len(samples)} drives of {args.seconds:g} s in {len(set(clusters))} scenarios, each by {len(args.controls)} "
        f"controls: {', '.join(args.controls)}.",
        frame_table(frames, ends),
        event_table("The ego touches somebody within so long", events["touches"], ends),
        event_table("A corner of the ego is off the road within so long", events["off_road"], ends),
    ]
    plain = [
        {name: row[name] for name in ("scenario", "start", "control")} | row["comparison"].to_dict() for row in rows
    ]
    return Section("Under the same controls", tables, {"frames": frames, **events, "samples": plain})


def compare_scenario(scenario: Scenario, args: argparse.Namespace, world: WorldSpec) -> list[dict]:
    """All starts and controls of a scenario."""
    town, dreamer, rows = observed_town(scenario, world), Dreamer(world), []
    for start in range(args.starts):
        for name in args.controls:
            found: Comparison = compare(town, dreamer, CONTROLS[name], round(args.seconds / REPLAN_S))
            rows.append({"scenario": scenario.name, "start": start, "control": name, "comparison": found})
        for _ in range(round(args.every / REPLAN_S) if start + 1 < args.starts else 0):
            town.step_reference()
    return rows


def frame_figures(sums: list[np.ndarray], ends: list[int]) -> dict[str, dict[str, float]]:
    """IoU of occupied voxels, and mIoU of all and of movable classes, at the ends of steps."""
    total = np.sum(sums, axis=0)[[end - 1 for end in ends]]
    scores = {
        "iou": occupied_iou_of_sums(total, OCC3D.free),
        "miou": mean_iou(total, OCC3D.occupied),
        "miou_movable": mean_iou(total, OCC3D.movable),
    }
    return {name: {_at(end): float(v) for end, v in zip(ends, values, strict=True)} for name, values in scores.items()}


def frame_table(figures: dict, ends: list[int]) -> str:
    names = {"iou": "IoU", "miou": "mIoU", "miou_movable": "mIoU, movable"}
    rows = [[NAMES[of], *(figures[of][score][_at(end)] for score in names for end in ends)] for of in figures]
    return markdown_table(["frames", *(f"{names[score]} {_at(end)}" for score in names for end in ends)], rows)


def event_figures(samples: list[dict], name: str, ends: list[int], clusters: list[str]) -> dict[str, dict]:
    """Has it happened by then: in the frames of this name, and in the town?"""
    figures = {}
    for end in ends:
        foretold, happened = (np.array([bool(sample[of][:end].any()) for sample in samples]) for of in (name, TOWN))
        score = event_score(foretold, happened, clusters, np.random.default_rng(0))
        intervals = {
            key: {bound: float(v) for bound, v in getattr(score, key)._asdict().items()}
            for key in ("precision", "recall", "f1")
        }
        counts = {key: getattr(score, key) for key in ("happened", "foretold", "samples")}
        figures[_at(end)] = intervals | counts
    return figures


def event_table(caption: str, figures: dict, ends: list[int]) -> str:
    rows = []
    for name, by_end in figures.items():
        for end in ends:
            own = by_end[_at(end)]
            cells = [interval_cell(own[key]) for key in ("precision", "recall", "f1")]
            rows.append([NAMES[name], _at(end), *cells, own["foretold"], own["happened"], own["samples"]])
    headers = ["seen in", "within", "precision", "recall", "F1", "foretold", "happened", "drives"]
    return f"{caption}\n\n{markdown_table(headers, rows)}"


def _at(end: int) -> str:
    return f"{end * REPLAN_S:g} s"


if __name__ == "__main__":
    main()
