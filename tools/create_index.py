"""Build the index of a data set in nuScenes' format, or turn a recorded excerpt into such a data set and index it."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from drivewm.data import DataError, build_index
from drivewm.data.recordings import convert_recording
from drivewm.geometry import VoxelGrid


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--root", type=Path, help="data set in nuScenes' format")
    source.add_argument(
        "--recording", type=Path, help="nuscenes_scene-NNNN_*.npz or pandaset_NNN_*.npz, to be converted into --out"
    )
    parser.add_argument("--version", help="folder of the tables (default: the only v1.0-* folder)")
    parser.add_argument(
        "--out", type=Path, help="with --root: the index (default ROOT/index); with --recording: the data set"
    )
    parser.add_argument(
        "--grid-size", type=int, nargs=3, default=(64, 64, 8), metavar=("X", "Y", "Z"), help="with --recording"
    )
    parser.add_argument("--voxel", type=float, default=0.8, help="voxel edge [m], with --recording")
    parser.add_argument("--z-min", type=float, default=-1.0, help="lower end of the grid [m], with --recording")
    parser.add_argument("--cache-occupancy", action=argparse.BooleanOptionalAction, help="decode labels into the index")
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        if args.recording is not None:
            if args.out is None:
                parser.error("--recording needs --out")
            grid = VoxelGrid.centered(tuple(args.grid_size), args.voxel, args.z_min)
            root = convert_recording(args.recording, args.out, grid, args.overwrite)
            index = build_index(root, cache_occupancy=args.cache_occupancy)
        else:
            index = build_index(args.root, args.version, args.out, args.cache_occupancy, args.overwrite)
    except (DataError, ValueError) as error:
        raise SystemExit(f"error: {error}") from None
    splits = ", ".join(index.split_names)
    print(f"{index.folder}: {index.num_frames} keyframes of {index.num_scenes} scenes, splits {splits}")


if __name__ == "__main__":
    main()
