"""Drive planners in closed loop, and print how they did. A killed run goes on where it stopped."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from tqdm import tqdm

from drivewm.closed_loop.episodes import PlannerSpec
from drivewm.closed_loop.runner import run
from drivewm.closed_loop.scenarios import held_out_scenarios
from drivewm.closed_loop.summary import summarize, summary_table
from drivewm.closed_loop.town import town_environment
from drivewm.host import write_bytes, write_json
from drivewm.planning.constant_turn_rate import ConstantTurnRatePlanner
from drivewm.planning.constant_velocity import ConstantVelocityPlanner
from drivewm.planning.idm import IDMPlanner
from drivewm.planning.log_replay import LogReplayPlanner
from drivewm.planning.pdm import PDMPlanner
from drivewm.planning.privileged import PrivilegedPlanner
from drivewm.planning.stop import StopPlanner
from drivewm.simulation import ADVERSARIAL, FAMILIES

BASELINES = {
    planner.name: planner
    for planner in (ConstantVelocityPlanner, ConstantTurnRatePlanner, IDMPlanner, PDMPlanner, StopPlanner)
}
PRIVILEGED = {planner.name: planner for planner in (LogReplayPlanner, PrivilegedPlanner)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--env", choices=["sim"], default="sim", help="sim: the town, sensors and agents simulated")
    parser.add_argument("--planner", nargs="+", choices=[*BASELINES, *PRIVILEGED, "learned"], required=True)
    parser.add_argument("--checkpoint", type=Path, help="of the learned planner: a .pth file or last_checkpoint")
    parser.add_argument("--config", default="configs/world_models/driving_town.py", help="that it was trained with")
    parser.add_argument("--scenarios", type=int, default=64, help="episodes of each family, in towns of their own")
    parser.add_argument(
        "--families",
        nargs="+",
        default=["nominal"],
        choices=[*FAMILIES, "all"],
        metavar="NAME",
        help=f"situations: {', '.join(FAMILIES)}, or all",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the towns and episodes")
    parser.add_argument(
        "--seeds", type=int, default=1, help="variants of each scenario: other traffic, jittered actors"
    )
    parser.add_argument("--deadline", type=float, default=math.inf, help="for one plan [s]; missed, it is a failure")
    parser.add_argument("--duration", type=float, default=20.0, help="scored part of an episode [s]")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--batch", type=int, default=8, help="episodes that a worker drives side by side")
    parser.add_argument("--rollouts", action="store_true", help="also write what happened in each episode as .npz")
    parser.add_argument("--out", type=Path, required=True, help="folder: episodes.jsonl, summary.json, summary.md")
    args = parser.parse_args()
    if ("learned" in args.planner) != (args.checkpoint is not None):
        parser.error("--planner learned and --checkpoint need each other")
    if set(args.families).intersection({*ADVERSARIAL, "all"}) and ConstantVelocityPlanner.name not in args.planner:
        parser.error("adversarial families need --planner constant_velocity: they count where it crashes")
    try:
        drive(args)
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(f"error: {error}") from None


def drive(args: argparse.Namespace) -> None:
    specs = [planner_spec(name, args) for name in args.planner]
    families = list(FAMILIES) if "all" in args.families else args.families
    scenarios = [
        s for f in families for s in held_out_scenarios(args.scenarios, args.seed, args.duration, f, args.seeds)
    ]
    with tqdm(total=(len(specs) + 1) * len(scenarios), desc="closed loop", unit="episode") as bar:
        records = run(
            specs, scenarios, town_environment, args.out, args.workers, args.batch, args.rollouts, progress=bar.update
        )
        bar.total = bar.n  # episodes of an earlier run were not driven again
    summary = summarize(records)
    table = summary_table(summary)
    write_json(args.out / "summary.json", summary, indent=1)
    write_bytes(args.out / "summary.md", (table + "\n").encode())
    print(table)
    for record in records:
        if record["status"] != "ok":
            print(f"failed: {record['planner']} in {record['scenario']}: {record['reason']}")


def planner_spec(name: str, args: argparse.Namespace) -> PlannerSpec:
    if name != "learned":
        return PlannerSpec(
            name, (BASELINES | PRIVILEGED)[name], privileged=name in PRIVILEGED, deadline_s=args.deadline
        )
    from drivewm.engine.planners import learned_spec

    return learned_spec(args.config, args.checkpoint)


if __name__ == "__main__":
    main()
