"""Build the index of a data set, or turn a recording into a data set in nuScenes' format and index that.

python tools/create_index.py --root data/nuscenes --version v1.0-trainval
python tools/create_index.py --dataset kitti --root data/kitti
python tools/create_index.py --dataset argoverse2 --root data/argoverse2
python tools/create_index.py --dataset pandaset --root downloads/pandaset/002 --out data/pandaset
python tools/create_index.py --recording nuscenes_scene-0001_kf00-15.npz --out data/recording
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from drivewm.data import DataError, Index, build_argoverse2_index, build_index, build_kitti_index
from drivewm.data.recordings import convert_recording
from drivewm.geometry import VoxelGrid


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--dataset",
        choices=("nuscenes", "kitti", "argoverse2", "pandaset"),
        default="nuscenes",
        help="layout of --root (default: nuscenes' format, whatever wrote it); pandaset is converted into --out",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--root", type=Path, help="the data set")
    source.add_argument("--recording", type=Path, help="nuscenes_scene-NNNN_*.npz or pandaset_NNN_*.npz, converted too")
    parser.add_argument("--version", help="folder of nuScenes' tables (default: the only v1.0-* folder)")
    parser.add_argument(
        "--out", type=Path, help="the index (default ROOT/index); of what is converted, the data set to be"
    )
    parser.add_argument(
        "--grid-size", type=int, nargs=3, default=(64, 64, 8), metavar=("X", "Y", "Z"), help="of what is converted"
    )
    parser.add_argument("--voxel", type=float, default=0.8, help="voxel edge [m], of what is converted")
    parser.add_argument("--z-min", type=float, default=-1.0, help="lower end of the grid [m], of what is converted")
    parser.add_argument(
        "--x-min", type=float, help="where it begins behind the ego [m]; by default the ego is in its middle"
    )
    parser.add_argument("--keyframe-s", type=float, help="time between PandaSet's keyframes [s] (default 0.5)")
    parser.add_argument("--cache-occupancy", action=argparse.BooleanOptionalAction, help="decode labels into the index")
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        index = build(parser, args)
    except (DataError, ValueError) as error:
        raise SystemExit(f"error: {error}") from None
    splits = ", ".join(index.split_names)
    print(f"{index.folder}: {index.num_frames} keyframes of {index.num_scenes} scenes, splits {splits}")


def build(parser: argparse.ArgumentParser, args: argparse.Namespace) -> Index:
    if args.recording is not None or args.dataset == "pandaset":
        if args.out is None:
            parser.error("--recording and --dataset pandaset need --out")
        grid = VoxelGrid.centered(tuple(args.grid_size), args.voxel, args.z_min, args.x_min)
        root = convert_recording(args.recording or args.root, args.out, grid, args.overwrite, args.keyframe_s)
        return build_index(root, cache_occupancy=args.cache_occupancy)
    if args.keyframe_s is not None:
        parser.error("--keyframe-s is for PandaSet")
    if args.dataset == "kitti":
        return build_kitti_index(args.root, args.out, args.overwrite)
    if args.dataset == "argoverse2":
        return build_argoverse2_index(args.root, args.out, args.overwrite)
    return build_index(args.root, args.version, args.out, args.cache_occupancy, args.overwrite)


if __name__ == "__main__":
    main()
