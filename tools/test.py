"""Evaluate on a config's test set, beside the baselines: a checkpoint, or forecasts in files (of any model).

python tools/test.py configs/world_models/driving_town.py work_dirs/driving_town/last_checkpoint --out scores.json
python tools/test.py configs/evaluation/occupancy_forecast.py --predictions DIR --out scores.json
python tools/test.py configs/evaluation/lidar_forecast.py --predictions DIR --out scores.json
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from mmengine.config import Config, ConfigDict, DictAction
from mmengine.dist import is_main_process
from mmengine.runner import Runner

from drivewm.data.predictions import PredictionSet
from drivewm.engine import DumpPredictionsHook, bare_model, build_runner, load_checkpoint, load_config
from drivewm.evaluation.metrics import (
    CameraForecastMetric,
    LidarForecastMetric,
    LidarGenerationMetric,
    OccupancyForecastMetric,
)
from drivewm.evaluation.tables import figure_table
from drivewm.host import without_nan, write_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="e.g. configs/world_models/driving_town.py")
    parser.add_argument("checkpoint", nargs="?", help="a .pth file, or the last_checkpoint file of a work dir")
    parser.add_argument("--predictions", type=Path, help="score the forecasts in this folder instead of a checkpoint")
    parser.add_argument("--ego-pose", choices=["given", "planner"], help="forecast under whose ego motion")
    parser.add_argument("--inputs", nargs="+", metavar="STREAM", help="show the model the history of these alone")
    parser.add_argument("--outputs", nargs="+", metavar="STREAM", help="forecast and score these alone")
    parser.add_argument("--out", type=Path, help="write all figures to this JSON file")
    parser.add_argument("--dump", type=Path, help="write the forecasts to this folder, for --predictions")
    parser.add_argument("--dump-probabilities", action="store_true", help="and how likely each class is (large)")
    parser.add_argument("--work-dir", help="where logs go (default: work_dirs/CONFIG)")
    parser.add_argument("--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none")
    parser.add_argument(
        "--cfg-options", nargs="+", action=DictAction, default={}, help="KEY=VALUE that replace the config's"
    )
    args = parser.parse_args()
    if (args.checkpoint is None) == (args.predictions is None):
        parser.error("give a checkpoint or --predictions DIR, one of them")
    if args.predictions and (args.ego_pose or args.inputs or args.outputs or args.dump or args.launcher != "none"):
        parser.error(
            "--ego-pose, --inputs, --outputs, --dump and --launcher are for checkpoints; predictions say whose ego "
            "pose they have"
        )
    try:
        evaluate(args)
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(f"error: {error}") from error


def evaluate(args: argparse.Namespace) -> None:
    config = load_config(args.config, args.cfg_options)
    if args.predictions:
        read_from_files(config, args.predictions)
    if args.ego_pose:
        set_ego_pose(config, args.ego_pose)
    if args.inputs or args.outputs:
        set_streams(config, args.inputs, args.outputs)
    work_dir = args.work_dir or Path("work_dirs") / Path(args.config).stem
    runner = build_runner(config, work_dir, launcher=args.launcher)
    if args.checkpoint:
        load_checkpoint(bare_model(runner), args.checkpoint)
    if args.dump:
        runner.register_hook(DumpPredictionsHook(args.dump, args.dump_probabilities))
    metrics = run_test(runner)
    if is_main_process():
        reports = report(runner, metrics)
        if args.out:
            write_json(args.out, without_nan({"figures": metrics} | reports), indent=1)


def read_from_files(config: Config, folder: Path) -> None:
    """Let the config's data be scored on the windows of these predictions, by the metric of their modality alone."""
    lidar = PredictionSet.open(folder).modality == "lidar"
    metric = LidarForecastMetric if lidar else OccupancyForecastMetric
    # Types by name: mmengine writes the config down, and could not write classes that no config file imported.
    config.model = ConfigDict(
        type="drivewm.engine.RecordedPredictions",
        folder=str(folder),
        data_preprocessor=dict(type="drivewm.engine.ClipPreprocessor"),
    )
    data = config.test_dataloader.dataset
    names = ("index", "split", "data_root", "load_boxes", "num_sweeps")
    where = {name: data[name] for name in names if name in data}
    config.test_dataloader.dataset = ConfigDict(type="drivewm.engine.PredictedClips", predictions=str(folder), **where)
    evaluators = config.test_evaluator if isinstance(config.test_evaluator, list) else [config.test_evaluator]
    config.test_evaluator = [e for e in evaluators if e["type"] is metric]
    if not config.test_evaluator:
        raise ValueError(f"{config.filename}: test_evaluator has no {metric.__name__} to score predictions with")


def set_streams(config: Config, inputs: list[str] | None, outputs: list[str] | None) -> None:
    """Show a model of several streams the history of some, and score its forecasts of some, by their metrics alone."""
    options = config.model.get("world_model", config.model)
    if not options.get("streams"):
        raise ValueError(f"--inputs and --outputs are for models of several streams; that of {config.filename} has one")
    options.inputs, options.outputs = inputs, outputs
    others = [METRICS[name] for name in set(METRICS) - set(outputs or METRICS)]
    evaluators = config.test_evaluator if isinstance(config.test_evaluator, list) else [config.test_evaluator]
    config.test_evaluator = [e for e in evaluators if not any(e["type"] in metrics for metrics in others)]


def set_ego_pose(config: Config, ego_pose: str) -> None:
    """Forecast under the driven ego motion ("given") or the model's own plan ("planner")."""
    has_planner = hasattr(config.model.type, "plan")
    if not has_planner and ego_pose != "given":
        name = getattr(config.model.type, "__name__", config.model.type)
        raise ValueError(f"--ego-pose {ego_pose}: {name} of {config.filename} has no planner")
    if has_planner:
        config.model.ego_pose = ego_pose


def run_test(runner: Runner) -> dict[str, float]:
    """All figures. mmengine's line that holds them all goes to the log file alone; tables are for people."""
    for handler in runner.logger.handlers:
        if not isinstance(handler, logging.FileHandler):
            handler.setLevel(logging.WARNING)
    return runner.test()


METRICS = {
    "occupancy": (OccupancyForecastMetric,),
    "lidar": (LidarForecastMetric, LidarGenerationMetric),
    "camera": (CameraForecastMetric,),
}
"""Of each modality."""
REPORTS = {
    OccupancyForecastMetric: ("forecasts", "Occupancy forecasts"),
    LidarForecastMetric: ("lidar_forecasts", "LiDAR forecasts"),
    LidarGenerationMetric: ("lidar_generation", "Generated LiDAR clouds"),
}
"""Metrics with a report: its name in the JSON file and its title."""


def report(runner: Runner, metrics: dict[str, float]) -> dict[str, dict | None]:
    """Print the tables; returns the report of each kind in `REPORTS`, None where there is none."""
    reports: dict[str, dict | None] = {key: None for key, _ in REPORTS.values()}
    rest = dict(metrics)
    for metric in runner.test_evaluator.metrics:
        if type(metric) not in REPORTS:
            continue
        key, title = REPORTS[type(metric)]
        shown = metric.report["predictors"] if isinstance(metric, OccupancyForecastMetric) else [metric.prefix]
        reports[key] = metric.report
        rest = {name: value for name, value in rest.items() if name.split("/")[0] not in shown}
        print(f"\n# {title}\n\n{metric.text()}")
    if rest:
        print(f"\n# {'Other figures' if any(reports.values()) else 'Figures'}\n\n{figure_table(rest)}")
    return reports


if __name__ == "__main__":
    main()
