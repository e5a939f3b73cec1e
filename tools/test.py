"""Evaluate a checkpoint on its config's test set, beside the baselines."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from mmengine.config import DictAction

from drivewm.engine import bare_model, build_runner, load_checkpoint, load_config
from drivewm.host import write_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", help="e.g. configs/world_models/driving_town.py")
    parser.add_argument("checkpoint", help="a .pth file, or the last_checkpoint file of a work dir")
    parser.add_argument("--work-dir", help="where logs go (default: work_dirs/CONFIG)")
    parser.add_argument("--out", type=Path, help="write all figures to this JSON file")
    parser.add_argument("--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none")
    parser.add_argument(
        "--cfg-options", nargs="+", action=DictAction, default={}, help="KEY=VALUE that replace the config's"
    )
    args = parser.parse_args()
    try:
        evaluate(args)
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(f"error: {error}") from error


def evaluate(args: argparse.Namespace) -> None:
    config = load_config(args.config, args.cfg_options)
    work_dir = args.work_dir or Path("work_dirs") / Path(args.config).stem
    runner = build_runner(config, work_dir, launcher=args.launcher)
    load_checkpoint(bare_model(runner), args.checkpoint)
    metrics = runner.test()
    if args.out:
        # JSON has no NaN, which is the score of a class that never came up.
        figures = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
        write_json(args.out, figures, indent=1)


if __name__ == "__main__":
    main()
