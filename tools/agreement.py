"""Do the voxels and the LiDAR returns that a world model imagines tell of one scene?

    python tools/agreement.py configs/world_models/joint_twin.py work_dirs/joint_twin/last_checkpoint \\
        --apart configs/world_models/forecast_twin.py:work_dirs/forecast_twin/last_checkpoint \\
                configs/world_models/lidar_forecast_twin.py:work_dirs/lidar_forecast_twin/last_checkpoint

Printed is the share of returns from above the ground that lie in occupied voxels or next to one, for futures that are
drawn together, apart, by two models that know nothing of each other, and for the recorded one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from mmengine.config import DictAction
from tqdm import tqdm

from drivewm.engine import load_model, load_tested
from drivewm.evaluation.agreement import agreement_report, agreement_text
from drivewm.evaluation.functional.agreement import returns_in_occupied
from drivewm.host import without_nan, write_json
from drivewm.structures import SceneClip
from drivewm.world_model.agreement import TOGETHER, Scenes, scenes_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "config", help="of a world model of occupancy and LiDAR, e.g. configs/world_models/joint_twin.py"
    )
    parser.add_argument("checkpoint", help="a .pth file, or the last_checkpoint file of a work dir")
    parser.add_argument(
        "--apart", nargs=2, metavar="CONFIG.py:CHECKPOINT", help="a model of occupancy and one of LiDAR beside it"
    )
    parser.add_argument("--clips", type=int, default=40, help="so many of the config's test clips, evenly spread")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, help="write the report to this JSON file")
    parser.add_argument(
        "--cfg-options", nargs="+", action=DictAction, default={}, help="KEY=VALUE that replace the config's"
    )
    args = parser.parse_args()
    try:
        measure(args)
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(f"error: {error}") from error


def measure(args: argparse.Namespace) -> None:
    model, clips = load_tested(args.config, args.checkpoint, args.clips, args.device, args.cfg_options)
    others = {}
    for text in args.apart or ():
        other = load_model(*text.rsplit(":", 1)).to(args.device)
        others[other.leading] = other
    records = []
    for row, number in enumerate(tqdm(clips.indices, desc="clips")):
        clip = clips[row]["clip"].to(args.device)
        with torch.autocast(args.device, dtype=torch.bfloat16):
            scenes = scenes_of(model, clip, number, others)
        records.append(record(clip, scenes))
    report = agreement_report(records, TOGETHER)
    print(f"\n# Do voxels and returns of {Path(args.config).stem} agree?\n\n{agreement_text(report, TOGETHER)}")
    if args.out:
        write_json(args.out, without_nan(report), indent=1)


def record(clip: SceneClip, scenes: dict[str, Scenes]) -> dict:
    """Counts of one clip (B = 1), as `agreement_report` takes them."""
    counts = {
        name: [
            returns_in_occupied(points[valid].float().cpu().numpy(), labels.cpu().numpy(), clip.grid)
            for labels, points, valid in zip(own.labels[0], own.points[0], own.valid[0], strict=True)
        ]
        for name, own in scenes.items()
    }
    return {"scene": clip.scene[0], "times_s": clip.future_times_s()[0].cpu().numpy(), "counts": counts}


if __name__ == "__main__":
    main()
