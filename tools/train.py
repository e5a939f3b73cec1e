"""Train what a config describes: a tokenizer, or a world model with its planner."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from mmengine.config import DictAction

from drivewm.engine import bare_model, build_runner, load_checkpoint, load_config, load_streams, load_tokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", help="e.g. configs/tokenizers/occupancy_town.py")
    parser.add_argument("--work-dir", help="where logs and checkpoints go (default: work_dirs/CONFIG)")
    parser.add_argument(
        "--resume", action="store_true", help="go on from the last checkpoint in the work dir, if there is one"
    )
    parser.add_argument("--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none")
    parser.add_argument(
        "--cfg-options", nargs="+", action=DictAction, default={}, help="KEY=VALUE that replace the config's"
    )
    args = parser.parse_args()
    try:
        train(args)
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(f"error: {error}") from error


def train(args: argparse.Namespace) -> None:
    config = load_config(args.config, args.cfg_options)
    work_dir = args.work_dir or Path("work_dirs") / Path(args.config).stem
    runner = build_runner(config, work_dir, args.resume, args.launcher)
    if config.get("tokenizer_checkpoint"):
        load_tokenizer(bare_model(runner), config.tokenizer_checkpoint)
    start = config.get("start_checkpoint")
    if isinstance(start, Mapping):
        load_streams(bare_model(runner), {stream: path for stream, path in start.items() if path})
    elif start:
        load_checkpoint(bare_model(runner), start)
    runner.train()


if __name__ == "__main__":
    main()
