"""Does the order of planners in the dream hold in the simulator?

    python tools/rank_transfer.py work_dirs/sim work_dirs/dream --out work_dirs/rank_transfer.json

Both folders are of `tools/closed_loop.py`, with the same planners in the same scenarios.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from drivewm.closed_loop.transfer import read_records, score_name, transfer, transfer_dict, transfer_tables
from drivewm.host import write_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sim", type=Path, help="folder of the run whose ranking is believed")
    parser.add_argument("dream", type=Path, help="folder of the other")
    parser.add_argument("--score", choices=["score", "extended_score"], default="score", help="PDMS or EPDMS")
    parser.add_argument("--seed", type=int, default=0, help="of the intervals")
    parser.add_argument("--out", type=Path, help="JSON file")
    args = parser.parse_args()
    try:
        runs = [read_records(folder) for folder in (args.sim, args.dream)]
        names = tuple(score_name(run, args.score) for run in runs)
        found = transfer(*runs, args.score, args.seed)
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(f"error: {error}") from None
    print("\n\n".join(table.markdown() for table in transfer_tables(found, names)))
    if args.out is not None:
        write_json(args.out, {"scores": names} | transfer_dict(found), indent=1)


if __name__ == "__main__":
    main()
