"""Compare parts of drivewm with other ways to the same result or with a bar: seconds, their ratio, goal and verdict.

    python tools/benchmark.py                          every comparison but the opening of trainval
    python tools/benchmark.py --only raycast_open3d    one of them (may be repeated)
    python tools/benchmark.py --json rows.json         also as a list of rows, in seconds
    python tools/benchmark.py --checkpoints DIR        with tokenizers that were trained equally long: DIR/ours and
                                                       DIR/occworld, see `benchmarks/quality.py`

Both sides are timed in turns in one process on the same inputs, and only after their results were found equal. Rows of
the town are timed against a bar, the seconds that they may take; rows of FLOPs and memory are counted, not timed; rows
of scaling give a fitted power. The ratio is against / ours: higher is better.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks import BENCHMARKS, ON_REQUEST, QUALITY_GATED
from benchmarks.measure import NotHere
from benchmarks.quality import gated
from drivewm.host import write_json

HEADER = f"{'name':28} {'ours':>11} {'against':>11} {'ratio':>8} {'min':>8} {'max':>8} {'goal':>6} {'verdict':>8}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", action="append", choices=sorted(BENCHMARKS), metavar="NAME", help=f"one of {', '.join(BENCHMARKS)}"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there")
    parser.add_argument("--checkpoints", type=Path, metavar="DIR", help="work dirs of tokenizers trained equally long")
    parser.add_argument("--threads", type=int, help="threads of torch (default: its own choice)")
    args = parser.parse_args()
    if args.threads is not None:
        torch.set_num_threads(args.threads)

    rows = []
    print(HEADER)
    for name in args.only or [name for name in BENCHMARKS if name not in ON_REQUEST]:
        try:
            measured = BENCHMARKS[name]()
        except NotHere as missing:
            print(f"{name:28} left out: {missing}", file=sys.stderr)
            continue
        row = (gated(measured, args.checkpoints) if name in QUALITY_GATED else measured).as_dict(name)
        rows.append(row)
        print(as_line(row), flush=True)
        if row["note"]:
            print(f"{'':28} {row['note']}", flush=True)
    if args.json is not None:
        write_json(args.json, rows, indent=2)


def as_line(row: dict[str, Any]) -> str:
    """A row (`Row.as_dict`) under HEADER."""
    ratio, goal = row["ratio"], "-" if row["goal"] is None else f"{row['goal']:g}"
    ours, against = (_readable(row[side], row["unit"]) for side in ("ours", "against"))
    return (
        f"{row['name']:28} {ours:>11} {against:>11} {ratio['median']:8.1f} "
        f"{ratio['min']:8.1f} {ratio['max']:8.1f} {goal:>6} {row['verdict'] or '-':>8}"
    )


def _readable(cost: float, unit: str) -> str:
    if unit == "power":
        return f"n^{cost:.2f}"
    if unit != "s":
        return f"{cost:.3g} {unit}" if cost < 1000 else f"{cost:.0f} {unit}"
    return f"{cost * 1e3:.3g} ms" if cost < 1 else f"{cost:.3g} s"


if __name__ == "__main__":
    main()
