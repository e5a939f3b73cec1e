"""Drive planners in closed loop, and print how they did. A killed run goes on where it stopped."""

from __future__ import annotations

import argparse
import math
from functools import partial
from pathlib import Path

from tqdm import tqdm

from drivewm.closed_loop.runner import run
from drivewm.closed_loop.scenarios import held_out_scenarios
from drivewm.closed_loop.summary import summarize, summary_table
from drivewm.closed_loop.town import town_environment
from drivewm.engine.planners import BASELINES, planner_spec
from drivewm.host import write_bytes, write_json
from drivewm.planning.constant_velocity import ConstantVelocityPlanner
from drivewm.simulation import ADVERSARIAL, FAMILIES
from drivewm.visualization.driving_report import driving_report
from drivewm.visualization.report import write_report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--env", choices=["sim"], default="sim", help="sim: the town, sensors and agents simulated")
    parser.add_argument(
        "--planner",
        nargs="+",
        required=True,
        metavar="NAME",
        help=f"{', '.join(BASELINES)}; CONFIG.py that holds a planner; or CONFIG.py:CHECKPOINT of a trained one",
    )
    parser.add_argument("--scenarios", type=int, default=64, help="scenarios of each family, in towns of their own")
    parser.add_argument(
        "--families",
        nargs="+",
        default=["nominal"],
        choices=[*FAMILIES, "all"],
        metavar="NAME",
        help=f"situations: {', '.join(FAMILIES)}, or all",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the towns and scenarios")
    parser.add_argument("--seeds", type=int, default=1, help="variants of each: other traffic, or jittered actors")
    parser.add_argument("--replayed", action="store_true", help="agents repeat what they do while the expert drives")
    parser.add_argument("--duration", type=float, default=20.0, help="scored part of an episode [s]")
    parser.add_argument("--deadline", type=float, default=math.inf, help="for one plan [s]; a late one is a failure")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--batch", type=int, default=8, help="episodes that a worker drives side by side")
    parser.add_argument("--videos", type=int, default=2, help="of each planner's worst episodes, in the report")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        help="folder for records, rollouts, summary and report.html",
    )
    args = parser.parse_args()
    if set(args.families).intersection({*ADVERSARIAL, "all"}) and ConstantVelocityPlanner.name not in args.planner:
        parser.error("adversarial families need --planner constant_velocity: they count where it crashes")
    try:
        drive(args)
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(f"error: {error}") from None


def drive(args: argparse.Namespace) -> None:
    specs = [planner_spec(text, args.deadline) for text in args.planner]
    families = list(FAMILIES) if "all" in args.families else args.families
    scenarios = [
        s for f in families for s in held_out_scenarios(args.scenarios, args.seed, args.duration, f, args.seeds)
    ]
    setting = f"sim, agents {'replayed' if args.replayed else 'react'}"
    environment = partial(town_environment, reactive=not args.replayed)
    with tqdm(total=(len(specs) + 1) * len(scenarios), desc="closed loop", unit="episode") as bar:
        records = run(specs, scenarios, environment, args.out, args.workers, args.batch, setting, progress=bar.update)
        bar.total = bar.n  # episodes of an earlier run were not driven again
    summary = summarize(records)
    table = summary_table(summary)
    write_json(args.out / "summary.json", summary, indent=1)
    write_bytes(args.out / "summary.md", (table + "\n").encode())
    write_report(args.out / "report.html", driving_report(summary, records, args.out, setting, args.videos))
    print(table)
    for record in records:
        if record["status"] != "ok":
            print(
                f"failed: {record['planner']} in {record['scenario']}, variant {record['variant']}: {record['reason']}"
            )


if __name__ == "__main__":
    main()
