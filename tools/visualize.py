"""Draw one clip of a data set: its true frames, or what a model makes of it."""

from __future__ import annotations

import argparse
from pathlib import Path

from drivewm.data import DriveClips
from drivewm.engine import load_config, load_model
from drivewm.visualization.clips import draw_clip
from drivewm.visualization.forecasts import draw_model_forecast
from drivewm.visualization.points import POINT_FORMATS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    data = commands.add_parser("data", help="the true frames: from above, in perspective, as an animation")
    data.add_argument("--history", type=int, default=4, help="observed keyframes, t0 the last")
    forecast = commands.add_parser("forecast", help="forecast and an imagined future beside truth and warped copy")
    forecast.add_argument("--checkpoint", type=Path, required=True, help="a .pth file or last_checkpoint")
    forecast.add_argument("--config", default="configs/world_models/driving_town.py", help="that it was trained with")
    forecast.add_argument("--seed", type=int, default=0, help="of the imagined future")
    forecast.add_argument("--points-as", choices=POINT_FORMATS, default="ply", help="of LiDAR (pcd needs open3d)")
    for command in (data, forecast):
        command.add_argument("--index", type=Path, required=True, help="index of a data set (tools/create_index.py)")
        command.add_argument("--split", default="val")
        command.add_argument("--clip", type=int, default=0, help="number of the clip within the split")
        command.add_argument("--future", type=int, default=6, help="keyframes after t0")
        command.add_argument("--out", type=Path, required=True, help="folder of the pictures")
    args = parser.parse_args()
    try:
        files = draw(args)
    except (ValueError, FileNotFoundError, ImportError) as error:
        raise SystemExit(f"error: {error}") from None
    for name, path in files.items():
        print(f"{name}: {path}")


def draw(args: argparse.Namespace) -> dict[str, Path]:
    if args.command == "data":
        return draw_clip(read_clip(args, args.history, load_points=True), args.out)
    model = load_model(args.config, args.checkpoint)
    data = load_config(args.config).test_dataloader.dataset
    clip = read_clip(args, data.num_history, data.get("load_points", False))
    return draw_model_forecast(model, clip, args.out, args.seed, args.points_as)


def read_clip(args: argparse.Namespace, num_history: int, load_points: bool = False):
    clips = DriveClips(args.index, args.split, num_history, args.future, load_points=load_points)
    if not 0 <= args.clip < len(clips):
        raise ValueError(f"--clip must be 0 .. {len(clips) - 1} in split {args.split}, got {args.clip}")
    return clips[args.clip]["clip"]


if __name__ == "__main__":
    main()
