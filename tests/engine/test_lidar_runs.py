"""Real mmengine runs of the LiDAR configs, made tiny: tokenizer, world model, figures."""

from drivewm.engine import build_runner, load_checkpoint, load_config, load_tokenizer
from drivewm.evaluation.metrics import LidarForecastMetric

TOKENIZER, FORECAST = "configs/tokenizers/lidar_twin.py", "configs/world_models/lidar_forecast_twin.py"
SMALL = dict(point_dim=8, channels=(16, 16, 16), vocab_size=32, quantize_after=0)


def small_options(path, index):
    """Options of a config that make it tiny."""
    prefix = "model" if path == TOKENIZER else "model.tokenizer"
    options = {f"{prefix}.{key}": value for key, value in SMALL.items()}
    options |= {f"{part}_dataloader.dataset.index": str(index.folder) for part in ("train", "test")}
    options |= {"train_dataloader.batch_size": 2, "train_cfg.max_iters": 2, "test_dataloader.dataset.stride": 12}
    if path == FORECAST:
        small = {"dim": 16, "depth": 1, "points_per_frame": 512}
        options |= {f"model.{key}": value for key, value in small.items()} | {"test_dataloader.batch_size": 1}
    return options


def small_config(path, index):
    return load_config(path, small_options(path, index))


def test_from_sweeps_to_figures(tmp_path, town_index):
    tokenizer = build_runner(small_config(TOKENIZER, town_index), tmp_path / "tokenizer")
    tokenizer.train()
    figures = tokenizer.test()
    # After two steps nothing is known to be solid: no ray returns, and there is nothing to measure.
    assert figures["returns"] == 0 and figures["perplexity/30x30"] > 1

    forecast = build_runner(small_config(FORECAST, town_index), tmp_path / "forecast")
    load_tokenizer(forecast.model, tmp_path / "tokenizer/last_checkpoint")
    forecast.train()
    load_checkpoint(forecast.model, tmp_path / "forecast/last_checkpoint")
    figures = forecast.test()
    assert "lidar/model/l1_median/3s" in figures and figures["lidar/raycast_history/cd_in/avg_3s"] > 0
    (metric,) = forecast.test_evaluator.metrics
    assert isinstance(metric, LidarForecastMetric) and "raycast_history" in metric.text()
