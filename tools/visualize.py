"""Draw what is in a data set: one clip from above, in perspective and as an animation."""

from __future__ import annotations

import argparse
from pathlib import Path

from drivewm.data import DataError, NuScenesClips
from drivewm.visualization.clips import draw_clip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    data = commands.add_parser("data", help="the true frames of one clip")
    data.add_argument("--index", type=Path, required=True, help="index of a data set (tools/create_index.py)")
    data.add_argument("--split", default="val")
    data.add_argument("--clip", type=int, default=0, help="number of the clip within the split")
    data.add_argument("--history", type=int, default=4, help="observed keyframes, t0 the last")
    data.add_argument("--future", type=int, default=6, help="keyframes after t0")
    data.add_argument("--out", type=Path, required=True, help="folder of the pictures")
    args = parser.parse_args()
    try:
        clips = NuScenesClips(args.index, args.split, args.history, args.future, load_points=True)
        if not 0 <= args.clip < len(clips):
            raise ValueError(f"--clip must be 0 .. {len(clips) - 1} in split {args.split}, got {args.clip}")
        files = draw_clip(clips[args.clip]["clip"], args.out)
    except (DataError, ValueError) as error:
        raise SystemExit(f"error: {error}") from None
    for name, path in files.items():
        print(f"{name}: {path}")


if __name__ == "__main__":
    main()
