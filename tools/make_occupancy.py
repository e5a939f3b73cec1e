"""Make Occ3D-style occupancy labels from LiDAR sweeps, poses, boxes and point classes (nuScenes-lidarseg).

    python tools/make_occupancy.py --root data/nuscenes --workers 16          gts/ and index/ of the data set
    python tools/make_occupancy.py --root data/town --out work_dirs/labels --compare work_dirs/labels.json

Labels look at the whole scene (--causal: only back): they are truth, never what a predictor sees. A run that was killed
goes on when it is called again. --compare scores the labels at --out, made now or before, against those in gts/.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from tqdm import tqdm

from drivewm.data import DataError, build_index
from drivewm.data.labels.comparison import SUBSETS, compare_labels
from drivewm.data.labels.maker import LabelOptions, is_made_with, make_labels
from drivewm.data.nuscenes_index import grid_of
from drivewm.evaluation.tables import markdown_table
from drivewm.geometry import OCC3D_GRID, VoxelGrid
from drivewm.host import write_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="data set in nuScenes' format")
    parser.add_argument("--version", help="folder of the tables (default: the only v1.0-* folder)")
    parser.add_argument(
        "--out", type=Path, help="folder of the labels (default: ROOT/gts, and the index is built again)"
    )
    parser.add_argument("--scenes", nargs="+", default=[], metavar="NAME", help="these alone (default: all)")
    parser.add_argument(
        "--workers", type=int, default=1, help="processes, a scene each; the result does not depend on it"
    )
    parser.add_argument("--causal", action="store_true", help="use no sweep later than the keyframe")
    parser.add_argument("--keyframes-only", action="store_true", help="leave out the sweeps between keyframes")
    parser.add_argument(
        "--rays-step",
        type=int,
        default=5,
        metavar="N",
        help="mask_lidar: from the rays of every N-th sweep and the keyframe's (default 5); 0: the keyframe's alone",
    )
    parser.add_argument(
        "--grid-size", type=int, nargs=3, metavar=("X", "Y", "Z"), help="default: the data set's grid, or Occ3D's"
    )
    parser.add_argument("--voxel", type=float, default=OCC3D_GRID.voxel_m, help="voxel edge [m], with --grid-size")
    parser.add_argument("--z-min", type=float, default=-1.0, help="lower end of the grid [m], with --grid-size")
    parser.add_argument("--compare", type=Path, metavar="JSON", help="score the labels at --out against ROOT/gts")
    parser.add_argument("--overwrite", action="store_true", help="replace labels that are there")
    args = parser.parse_args()
    if args.compare is not None and args.out is None:
        parser.error("--compare needs --out: labels beside those in gts/")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        grid = grid_of(args.root) or OCC3D_GRID
        if args.grid_size is not None:
            grid = VoxelGrid.centered(tuple(args.grid_size), args.voxel, args.z_min)
        out = args.root / "gts" if args.out is None else args.out
        options = LabelOptions(grid, args.causal, args.keyframes_only, args.rays_step)
        if args.compare is None or args.overwrite or not is_made_with(out, options):
            make(args, out, options)
        if args.out is None:
            build_index(args.root, args.version, overwrite=True)
        if args.compare is not None:
            compare(out, args.root / "gts", grid, args.compare)
    except (DataError, ValueError) as error:
        raise SystemExit(f"error: {error}") from None


def make(args: argparse.Namespace, out: Path, options: LabelOptions) -> None:
    with tqdm(desc="labels", unit="scene") as bar:

        def progress(done: int, total: int) -> None:
            if bar.n == 0 and done:
                bar.initial = done  # scenes of a run that was killed say nothing about the time left
            bar.total, bar.n = total, done
            bar.refresh()

        make_labels(args.root, out, options, args.version, args.scenes, args.workers, args.overwrite, progress)
    print(f"{out}: {options.statement()['kind']} labels of {'x'.join(map(str, options.grid.shape))} voxels")


def compare(made: Path, truth: Path, grid: VoxelGrid, file: Path) -> None:
    found = compare_labels(made, truth, grid)
    columns = {"IoU": "iou", "mIoU": "miou", "precision": "precision", "recall": "recall"}
    rows = []
    for name in SUBSETS:
        scores = [found[name][key] for key in columns.values()]
        rows.append([name, *(None if score is None else 100 * score for score in scores)])
    print(markdown_table(["voxels", *columns], rows))
    claimed = 100 * found["claimed_share_of_visible"]
    print(f"{found['keyframes']} keyframes, in percent; {claimed:.2f} of what is visible is claimed")
    write_json(file, found, indent=1)


if __name__ == "__main__":
    main()
