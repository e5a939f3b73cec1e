"""Generate a data set of drives through the procedural town, in nuScenes' format, with its index.

    python tools/make_town.py --out data/town --scenes 50 --no-cameras --no-sweeps    what the models learn from
    python tools/make_town.py --out data/town --image-size 1600 900                   all of nuScenes' sensors but radar

A scene of 20 s takes 225 MB of sweeps, 25 MB of LiDAR keyframes and 5 MB of images, and half a minute on one core; at
1600 x 900 there are 46 MB of images, and it takes two minutes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tqdm import tqdm

from drivewm.data import DataError, build_index
from drivewm.data.files import read_json
from drivewm.data.town import write_town
from drivewm.data.town_plan import TownOptions, TownSensors, plan_scenes
from drivewm.data.town_scene import scenario_of, town_at
from drivewm.geometry import VoxelGrid
from drivewm.simulation import FAMILIES
from drivewm.visualization.contact_sheet import contact_sheet
from drivewm.visualization.files import write_png


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the data set to be")
    parser.add_argument("--scenes", type=int, default=50, help="number of scenes; about 22 %% become the val split")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes; the result does not depend on it")
    parser.add_argument("--duration", type=float, default=20.0, help="length of a scene [s]")
    parser.add_argument("--grid-size", type=int, nargs=3, default=(64, 64, 8), metavar=("X", "Y", "Z"), help="voxels")
    parser.add_argument("--voxel", type=float, default=0.8, help="edge of a voxel [m]")
    parser.add_argument("--z-min", type=float, default=-1.0, help="lower end of the grid [m]")
    parser.add_argument(
        "--x-min", type=float, help="where the grid begins behind the ego [m]; by default the ego is in its middle"
    )
    on_off = argparse.BooleanOptionalAction
    parser.add_argument("--cameras", action=on_off, default=True, help="images of six cameras at keyframes")
    parser.add_argument(
        "--image-size", type=int, nargs=2, default=(400, 224), metavar=("W", "H"), help="nuScenes has 1600 900"
    )
    parser.add_argument("--sweeps", action=on_off, default=True, help="LiDAR at 20 Hz, not only at keyframes")
    parser.add_argument("--depth", action="store_true", help="depth images as well")
    parser.add_argument("--semantic", action="store_true", help="images of classes as well")
    parser.add_argument(
        "--families",
        nargs="+",
        default=["nominal"],
        choices=[*FAMILIES, "all"],
        metavar="NAME",
        help=f"situations that take turns: {', '.join(FAMILIES)}, or all; with others than nominal there is a split "
        "held_out of new combinations",
    )
    parser.add_argument("--density", type=float, default=1.0, help="vehicles and people, relative to the usual number")
    parser.add_argument("--contact-sheet", type=Path, metavar="FILE", help="also draw the first scene as a picture")
    parser.add_argument("--overwrite", action="store_true", help="replace what is at --out")
    args = parser.parse_args()
    try:
        grid = VoxelGrid.centered(tuple(args.grid_size), args.voxel, args.z_min, args.x_min)
        sensors = TownSensors(args.cameras, tuple(args.image_size), args.sweeps, args.depth, args.semantic)
        with tqdm(total=args.scenes, desc="town", unit="scene") as bar:

            def progress(done: int, total: int) -> None:
                if bar.n == 0 and done:
                    bar.initial = done  # scenes of a run that was killed say nothing about the time left
                bar.n = done
                bar.refresh()

            families = tuple(FAMILIES) if "all" in args.families else tuple(args.families)
            options = TownOptions(args.scenes, args.seed, grid, args.duration, sensors, families, args.density)
            if args.overwrite or not _lacks_only_its_index(args.out, options):
                write_town(args.out, options, args.workers, args.overwrite, progress)
        index = build_index(args.out)
        if args.contact_sheet is not None:
            plan = plan_scenes(options.scenes, options.families)[0]
            picture = contact_sheet(town_at(options.seed, plan.location), scenario_of(options, plan), grid=grid)
            write_png(args.contact_sheet, picture)
    except (DataError, ValueError) as error:
        raise SystemExit(f"error: {error}") from None
    print(f"{args.out}: {index.num_scenes} scenes, {index.num_frames} keyframes")


def _lacks_only_its_index(out: Path, options: TownOptions) -> bool:
    """Was an earlier run with these options killed between data and index?"""
    description = out / "dataset.json"
    return (
        description.exists() and not (out / "index").exists() and read_json(description, dict) == options.description()
    )


if __name__ == "__main__":
    main()
