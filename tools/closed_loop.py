"""Drive planners in closed loop, and print how they did. A killed run goes on where it stopped."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tqdm import tqdm

from drivewm.closed_loop.dream.dreamer import MODES
from drivewm.closed_loop.dream.environment import check_planner, dream_environment
from drivewm.closed_loop.episodes import PlannerSpec
from drivewm.closed_loop.log.scenarios import log_environment, log_scenarios
from drivewm.closed_loop.log.validity import MAX_DURATION_S
from drivewm.closed_loop.records import OtherRunError
from drivewm.closed_loop.runner import run
from drivewm.closed_loop.scenarios import held_out_scenarios
from drivewm.closed_loop.summary import summarize
from drivewm.closed_loop.tables import summary_tables
from drivewm.closed_loop.town import town_environment
from drivewm.dynamics.bicycle import PACIFICA, RENAULT_ZOE
from drivewm.dynamics.idm import NUPLAN_IDM, IDMParameters
from drivewm.engine.dreams import world_spec
from drivewm.engine.planners import BASELINES, planner_spec
from drivewm.host import write_bytes, write_json
from drivewm.planning.constant_velocity import ConstantVelocityPlanner
from drivewm.simulation import ADVERSARIAL, FAMILIES
from drivewm.visualization.driving_report import driving_report
from drivewm.visualization.report import write_report

AGENTS = {"reactive": IDMParameters(), "replayed": None, "nuplan": NUPLAN_IDM}
VEHICLES = {"pacifica": PACIFICA, "zoe": RENAULT_ZOE}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--env",
        choices=["sim", "log", "dream"],
        default="sim",
        help="sim: the town; log: recorded drives of a data set; dream: what a world model makes of the town",
    )
    parser.add_argument(
        "--planner",
        nargs="+",
        required=True,
        metavar="NAME",
        help=f"{', '.join(BASELINES)}; CONFIG.py that holds a planner; or CONFIG.py:CHECKPOINT of a trained one",
    )
    parser.add_argument("--duration", type=float, help="scored part of an episode [s]: 20, in log at most 8")
    parser.add_argument(
        "--agents",
        choices=list(AGENTS),
        default="reactive",
        help="replayed: they repeat the reference drive; nuplan (log): they brake with 2 m/s^2 at most",
    )
    parser.add_argument("--deadline", type=float, default=math.inf, help="for one plan [s]; a late one is a failure")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--batch", type=int, default=8, help="episodes that a worker drives side by side")
    parser.add_argument("--videos", type=int, default=2, help="of each planner's worst episodes, in the report")
    parser.add_argument("--out", type=Path, required=True, help="folder for records, rollouts, summary, report.html")
    sim = parser.add_argument_group("sim and dream")
    sim.add_argument("--scenarios", type=int, default=64, help="of each family, in towns of their own")
    sim.add_argument(
        "--families",
        nargs="+",
        default=["nominal"],
        choices=[*FAMILIES, "all"],
        metavar="NAME",
        help=f"situations: {', '.join(FAMILIES)}, or all",
    )
    sim.add_argument("--seed", type=int, default=0, help="of the towns and scenarios")
    sim.add_argument("--seeds", type=int, default=1, help="variants of each: other traffic, or jittered actors")
    log = parser.add_argument_group("log")
    log.add_argument("--index", type=Path, help="of the data set")
    log.add_argument("--split", default="val", help="whose scenes are driven")
    log.add_argument("--vehicle", choices=list(VEHICLES), default="zoe", help="that carries the plans out")
    log.add_argument("--warm-up", type=float, default=2.0, help="followed before an episode [s]")
    dream = parser.add_argument_group("dream", "what is driven in a dream is no measure of driving (level L4)")
    dream.add_argument("--world-model", metavar="CONFIG.py:CHECKPOINT", help="that gives the next observation")
    dream.add_argument("--dream", choices=MODES, default=MODES[0], help="its most likely frames, or frames drawn")
    args = parser.parse_args()
    if set(args.families).intersection({*ADVERSARIAL, "all"}) and ConstantVelocityPlanner.name not in args.planner:
        parser.error("adversarial families need --planner constant_velocity: they count where it crashes")
    if (args.env == "log") != (args.index is not None):
        parser.error("--env log and --index need each other")
    if (args.env == "dream") != (args.world_model is not None):
        parser.error("--env dream and --world-model need each other")
    try:
        specs = [planner_spec(text, args.deadline) for text in args.planner]
        scenarios, environment, setting = EPISODES[args.env](args, specs)
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(f"error: {error}") from None
    try:
        drive(args, specs, scenarios, environment, setting)
    except OtherRunError as error:
        raise SystemExit(f"error: {error}") from None


def drive(
    args: argparse.Namespace, specs: list[PlannerSpec], scenarios: list, environment: Callable, setting: str
) -> None:
    with tqdm(total=(len(specs) + 1) * len(scenarios), desc="closed loop", unit="episode") as bar:
        records = run(
            specs,
            scenarios,
            environment,
            args.out,
            workers=args.workers,
            batch=args.batch,
            setting=setting,
            human=args.env == "log",
            progress=bar.update,
        )
        bar.total = bar.n  # episodes of an earlier run were not driven again
    summary = summarize(records)
    note = setting if args.env == "dream" else ""
    text = "\n\n".join(table.markdown() for table in summary_tables(summary, note))
    write_json(args.out / "summary.json", summary, indent=1)
    write_bytes(args.out / "summary.md", (text + "\n").encode())
    write_report(args.out / "report.html", driving_report(summary, records, args.out, setting, args.videos))
    print(text)
    for record in records:
        if record["status"] != "ok":
            print(f"failed: {record['planner']} in {record['scenario']} ({record['variant']}): {record['reason']}")


def sim_episodes(args: argparse.Namespace, specs: list[PlannerSpec]) -> tuple[list, Callable, str]:
    """Scenarios in the town, how to begin one, and what else decides them, in words."""
    if args.agents == "nuplan":
        raise ValueError("--agents nuplan is for recorded drives; the town's drivers have parameters of their own")
    environment = partial(town_environment, reactive=args.agents != "replayed")
    return town_scenarios(args), environment, f"sim, agents {args.agents}"


def town_scenarios(args: argparse.Namespace) -> list:
    """The same ones for town and dream, so that records pair by name and variant."""
    families = list(FAMILIES) if "all" in args.families else args.families
    options = args.seed, 20.0 if args.duration is None else args.duration
    return [s for f in families for s in held_out_scenarios(args.scenarios, *options, f, args.seeds)]


def log_episodes(args: argparse.Namespace, specs: list[PlannerSpec]) -> tuple[list, Callable, str]:
    """Windows of recorded drives, as `sim_episodes`."""
    duration_s = MAX_DURATION_S if args.duration is None else args.duration
    options = VEHICLES[args.vehicle], AGENTS[args.agents]
    scenarios = log_scenarios(args.index, args.split, duration_s, args.warm_up, *options)
    return scenarios, log_environment, f"log, agents {args.agents}"


def dream_episodes(args: argparse.Namespace, specs: list[PlannerSpec]) -> tuple[list, Callable, str]:
    """The town's scenarios, dreamed after their warm-up, as `sim_episodes`."""
    if args.agents != "reactive":
        raise ValueError(f"--agents {args.agents} is not for dreams: what others do is up to the world model")
    world = world_spec(args.world_model, args.dream)
    for spec in specs:
        check_planner(spec, world)
    setting = f"dream (level L4, which is no driving performance): {world.setting}"
    return town_scenarios(args), partial(dream_environment, world=world), setting


EPISODES = {"sim": sim_episodes, "log": log_episodes, "dream": dream_episodes}


if __name__ == "__main__":
    main()
