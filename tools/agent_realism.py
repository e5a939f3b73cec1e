"""How real do agents drive? Simulated agents beside recorded ones, by the likelihoods of WOSAC 2025.

    python tools/agent_realism.py --scenarios 24 --rollouts 16 --workers 2 --out work_dirs/agent_realism
    DRIVEWM_REAL_DATA=folder python tools/agent_realism.py --scenarios 0 --out work_dirs/agent_realism

The town's scenarios driven by the expert are recordings (so the town simulates itself); real ones are the logs in
Argoverse 2's layout in the folder that DRIVEWM_REAL_DATA names. Writes `agent_realism.json` and `.md`.
"""

from __future__ import annotations

import argparse
import os
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from tqdm import tqdm

from drivewm.closed_loop.realism.argoverse import argoverse_scenes
from drivewm.closed_loop.realism.rollouts import FUTURE_S, HISTORY_S, SPARE_S, LoggedScene
from drivewm.closed_loop.realism.scores import causal_difference, scenario_records, scene_records, summary_rows
from drivewm.closed_loop.scenarios import held_out_scenarios
from drivewm.data import DataError
from drivewm.data.argoverse import read_argoverse
from drivewm.evaluation.tables import markdown_table
from drivewm.host import in_processes, write_bytes, write_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenarios", type=int, default=24, help="of the town, in towns of their own; 0 for none")
    parser.add_argument("--family", default="nominal", help="of the town's scenarios")
    parser.add_argument("--rollouts", type=int, default=16, help="of each simulator in each scene")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--out", type=Path, required=True, help="folder for agent_realism.json and agent_realism.md")
    args = parser.parse_args()
    if args.rollouts < 1:
        parser.error(f"--rollouts must be at least 1, got {args.rollouts}")
    try:
        compare(args)
    except (DataError, ValueError) as error:
        raise SystemExit(f"error: {error}") from None


def compare(args: argparse.Namespace) -> None:
    found, text, real = {}, [], real_scenes()
    if args.scenarios:
        scenarios = held_out_scenarios(args.scenarios, args.seed, HISTORY_S + FUTURE_S + SPARE_S, args.family)
        work = partial(scenario_records, rollouts=args.rollouts, seed=args.seed)
        scored = in_processes(work, scenarios, args.workers)
        records = [r for several in tqdm(scored, total=len(scenarios), unit="scene") for r in several]
        found["town"] = sorted(records, key=lambda record: record["scene"])  # they come as they are ready
        text.append(f"causal test, what the others lose if the ego repeats its log: {causal_difference(found['town'])}")
    if real:
        found["real"] = [r for scene in real for r in scene_records(scene, args.rollouts, args.seed)]
    tables = [f"{name}\n\n{markdown_table(*summary_rows(records))}" for name, records in found.items()]
    print("\n\n".join([*tables, *text]))
    write_json(args.out / "agent_realism.json", found, indent=1)
    write_bytes(args.out / "agent_realism.md", ("\n\n".join([*tables, *text]) + "\n").encode())


def real_scenes() -> list[LoggedScene]:
    folder = os.environ.get("DRIVEWM_REAL_DATA")
    logs = [] if folder is None else sorted(path.parent for path in Path(folder).glob("*/city_SE3_egovehicle.feather"))
    if not logs:
        print("real logs: skipped (DRIVEWM_REAL_DATA names no folder with logs in Argoverse 2's layout)")
    elif find_spec("pyarrow") is None:
        print("real logs: skipped (no pyarrow: pip install drivewm[argoverse])")
        logs = []
    return [scene for log in logs for scene in argoverse_scenes(read_argoverse(log))]


if __name__ == "__main__":
    main()
