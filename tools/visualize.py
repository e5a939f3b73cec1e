"""Draw a clip of a data set: its true frames, or what a model makes of it; or what a planner considers in the town."""

from __future__ import annotations

import argparse
from pathlib import Path

from drivewm.closed_loop.scenarios import held_out_scenarios
from drivewm.closed_loop.town import town_environment
from drivewm.data import DriveClips
from drivewm.engine import load_config, load_model
from drivewm.engine.planners import planner_spec
from drivewm.simulation import FAMILIES
from drivewm.visualization.clips import draw_clip
from drivewm.visualization.driven_scenarios import driven_scenarios
from drivewm.visualization.forecasts import draw_model_forecast
from drivewm.visualization.points import POINT_FORMATS
from drivewm.visualization.reconstructions import draw_views
from drivewm.visualization.thought_episodes import thinker
from drivewm.visualization.thought_files import draw_thoughts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    data = commands.add_parser("data", help="the true frames: from above, in perspective, as an animation")
    data.add_argument("--history", type=int, default=4, help="observed keyframes, t0 the last")
    forecast = commands.add_parser("forecast", help="forecast and an imagined future beside truth and warped copy")
    forecast.add_argument("--checkpoint", type=Path, required=True, help="a .pth file or last_checkpoint")
    forecast.add_argument("--config", default="configs/world_models/driving_town.py", help="that it was trained with")
    forecast.add_argument("--seed", type=int, default=0, help="of the imagined future")
    forecast.add_argument("--inputs", nargs="+", metavar="STREAM", help="show the model the history of these alone")
    forecast.add_argument("--points-as", choices=POINT_FORMATS, default="ply", help="of LiDAR (pcd needs open3d)")
    cameras = commands.add_parser("cameras", help="camera views at one keyframe, as their tokens keep them")
    cameras.add_argument("--checkpoint", type=Path, required=True, help="a .pth file or last_checkpoint")
    cameras.add_argument("--config", default="configs/tokenizers/camera_twin.py", help="that it was trained with")
    cameras.set_defaults(future=0)
    for command in (data, forecast, cameras):
        command.add_argument("--index", type=Path, required=True, help="index of a data set (tools/create_index.py)")
        command.add_argument("--split", default="val")
        command.add_argument("--clip", type=int, default=0, help="number of the clip within the split")
        command.add_argument("--out", type=Path, required=True, help="folder of the pictures")
    for command in (data, forecast):
        command.add_argument("--future", type=int, default=6, help="keyframes after t0")
    thoughts = commands.add_parser("thoughts", help="a planner's candidates, imagined scenes and plan, in the town")
    thoughts.add_argument("--planner", required=True, metavar="CONFIG.py:CHECKPOINT", help="one that imagines")
    thoughts.add_argument("--families", nargs="+", default=["nominal"], choices=FAMILIES, metavar="NAME")
    thoughts.add_argument("--scenarios", type=int, default=1, help="of each family")
    thoughts.add_argument("--seed", type=int, default=0, help="of the towns and scenarios")
    thoughts.add_argument("--duration", type=float, default=20.0, help="scored part of an episode [s]")
    thoughts.add_argument("--episodes", type=Path, help="episodes.jsonl of a closed-loop run: its scenarios instead")
    thoughts.add_argument("--worst", type=int, default=0, help="of these, so many in which the planner did worst")
    thoughts.add_argument("--best", type=int, default=0, help="and best")
    thoughts.add_argument("--moment", type=float, nargs="+", default=[2.0], help="to draw, after the warm-up [s]")
    thoughts.add_argument("--video", action="store_true", help="of the whole episode too")
    thoughts.add_argument("--out", type=Path, required=True, help="folder of the pictures")
    args = parser.parse_args()
    if args.command == "thoughts" and (args.episodes is None) != (args.worst + args.best == 0):
        parser.error("--episodes needs --worst or --best, and they need it")
    try:
        files = think(args) if args.command == "thoughts" else draw(args)
    except (ValueError, FileNotFoundError, ImportError) as error:
        raise SystemExit(f"error: {error}") from None
    for name, path in files.items():
        print(f"{name}: {path}")


def draw(args: argparse.Namespace) -> dict[str, Path]:
    if args.command == "data":
        return draw_clip(read_clip(args, args.history, load_points=True), args.out)
    model = load_model(args.config, args.checkpoint)
    data = load_config(args.config).test_dataloader.dataset
    views = {name: data[name] for name in ("load_images", "cameras", "image_size") if name in data}
    if args.command == "cameras":
        return draw_views(model, read_clip(args, data.num_history, load_occupancy=False, **views), args.out)
    clip = read_clip(args, data.num_history, load_points=data.get("load_points", False), **views)
    if args.inputs:
        if len(getattr(model, "streams", ())) < 2:
            raise ValueError(f"--inputs is for models of several streams; that of {args.config} has one")
        model.inputs = model.named(args.inputs)
    return draw_model_forecast(model, clip, args.out, args.seed, args.points_as)


def think(args: argparse.Namespace) -> dict[str, Path]:
    spec = planner_spec(args.planner)
    planner = thinker(spec)
    if args.episodes is None:
        options = args.scenarios, args.seed, args.duration
        scenarios = [s for family in args.families for s in held_out_scenarios(*options, family)]
    else:
        scenarios = driven_scenarios(args.episodes, spec, args.seed, args.duration, args.worst, args.best)
    files = {}
    for scenario in scenarios:
        own = draw_thoughts(planner, town_environment(scenario, spec), args.out, args.moment, args.video)
        files |= {f"{scenario.name}, variant {scenario.variant}, {name}": path for name, path in own.items()}
    return files


def read_clip(args: argparse.Namespace, num_history: int, **parts):
    clips = DriveClips(args.index, args.split, num_history, args.future, **parts)
    if not 0 <= args.clip < len(clips):
        raise ValueError(f"--clip must be 0 .. {len(clips) - 1} in split {args.split}, got {args.clip}")
    return clips[args.clip]["clip"]


if __name__ == "__main__":
    main()
