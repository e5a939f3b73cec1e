"""What is the world model's choice worth? Every candidate is driven for real. A killed run goes on where it stopped.

    python tools/regret.py configs/planners/rank_drives.py:work_dirs/driving_drives/last_checkpoint --families all \
        --scenarios 10 --moments 4 --workers 2 --out work_dirs/regret
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tqdm import tqdm

from drivewm.closed_loop.choosers import DEFAULT, Chooser
from drivewm.closed_loop.episodes import REFERENCE, REFERENCE_SPEC
from drivewm.closed_loop.records import OtherRunError
from drivewm.closed_loop.regret import measure_regret
from drivewm.closed_loop.regret_summary import summarize_regret
from drivewm.closed_loop.regret_tables import regret_tables
from drivewm.closed_loop.scenarios import held_out_scenarios
from drivewm.engine.planners import planner_spec
from drivewm.host import write_bytes, write_json
from drivewm.simulation import FAMILIES

SCORES = {"score": "episode_pdms", "extended_score": "episode_epdms_without_ec"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("planner", metavar="CONFIG.py:CHECKPOINT", help="of a model that proposes and imagines")
    parser.add_argument(
        "--families",
        nargs="+",
        default=["nominal"],
        choices=[*FAMILIES, "all"],
        metavar="NAME",
        help=f"situations: {', '.join(FAMILIES)}, or all",
    )
    parser.add_argument("--scenarios", type=int, default=10, help="of each family, in towns of their own")
    parser.add_argument("--duration", type=float, default=10.0, help="scored part of an episode, with the moments [s]")
    parser.add_argument("--moments", type=int, default=4, help="of each episode")
    parser.add_argument("--choosers", nargs="+", default=list(DEFAULT), metavar="NAME", help=" ".join(DEFAULT))
    parser.add_argument("--driver", default=REFERENCE, help="planner that drives from moment to moment")
    parser.add_argument("--seed", type=int, default=0, help="of towns, scenarios, moments and draws")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--out", type=Path, required=True, help="folder for records and summary")
    args = parser.parse_args()
    families = list(FAMILIES) if "all" in args.families else args.families
    try:
        spec, choosers = planner_spec(args.planner), [Chooser.parse(name) for name in args.choosers]
        driver = REFERENCE_SPEC if args.driver == REFERENCE else planner_spec(args.driver)
        options = args.scenarios, args.seed, args.duration
        scenarios = [s for family in families for s in held_out_scenarios(*options, family)]
        with tqdm(total=len(scenarios), desc="regret", unit="scenario") as bar:
            records = measure_regret(
                spec, scenarios, args.out, choosers, args.moments, args.seed, driver, args.workers, bar.update
            )
    except (ValueError, FileNotFoundError, OtherRunError) as error:
        raise SystemExit(f"error: {error}") from None
    summaries = {name: summarize_regret(records, key) for key, name in SCORES.items()}
    tables = [table for name, summary in summaries.items() for table in regret_tables(summary, name)]
    text = "\n\n".join(table.markdown() for table in tables)
    write_json(args.out / "summary.json", summaries, indent=1)
    write_bytes(args.out / "summary.md", (text + "\n").encode())
    print(text)


if __name__ == "__main__":
    main()
