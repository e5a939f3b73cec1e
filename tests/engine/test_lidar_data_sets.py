"""The LiDAR configs at paper size, made tiny: from each data set as it lies on disk to its table."""

import importlib.util
from pathlib import Path

import pytest

from drivewm.data import Index, build_argoverse2_index, build_kitti_index
from drivewm.engine import build_runner, load_checkpoint, load_config, load_tokenizer
from tests.data import handmade_argoverse2, handmade_kitti

SWEEPS = 56
"""Two windows of 10 sweeps 6 apart."""
GRID = dict(range_m=(-64.0, -64.0, -4.0, 64.0, 64.0, 8.0), voxel_m=4.0)
SMALL = {"point_dim": 8, "channels": (16, 16, 16), "blocks": 2, "window": 4, "vocab_size": 32, "objective.rays": 64}
STEPS = {
    "nuscenes": {"1s": [0.5, 1.0], "3s": [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]},
    "kitti": {"1s": [0.2, 0.4, 0.6, 0.8, 1.0], "3s": [0.6, 1.2, 1.8, 2.4, 3.0]},
}
STEPS["argoverse2"] = STEPS["kitti"]
SPLITS = {"nuscenes": ("train", "val"), "kitti": ("train", "test"), "argoverse2": ("train", "val")}


@pytest.fixture(scope="module", params=STEPS)
def data_set(request, tmp_path_factory, town_index) -> tuple[str, Index]:
    """Its name, and the town or a yard in its layout."""
    root = tmp_path_factory.mktemp(request.param)
    if request.param == "nuscenes":
        return request.param, town_index
    if request.param == "kitti":
        for name in ("00", "08"):
            handmade_kitti.write_sequence(root, name, SWEEPS)
        return request.param, build_kitti_index(root)
    if importlib.util.find_spec("pyarrow") is None:
        pytest.skip("pyarrow is not installed")
    for name in ("train/a", "val/b"):
        handmade_argoverse2.write_log(root / name, SWEEPS)
    return request.param, build_argoverse2_index(root)


def small_config(path: str, index: Index):
    """The config on other files, with a small network on a coarse grid; windows and splits are its own."""
    tokenizer = "tokenizers" in path
    network = SMALL | {f"grid.{key}": value for key, value in GRID.items()}
    options = {f"model.{'' if tokenizer else 'tokenizer.'}{key}": value for key, value in network.items()}
    for part in ("train", "test"):
        options[f"{part}_dataloader.dataset.index"] = str(index.folder)
        options[f"{part}_dataloader.num_workers"] = 0
    options |= {"train_cfg.max_iters": 2, "train_cfg.batch_size": 2, "train_dataloader.batch_size": 2}
    options["test_dataloader.dataset.stride"] = 20
    if not tokenizer:
        options |= {"model.dim": 16, "model.depth": 1, "model.heads": 2, "model.points_per_frame": 128}
    return load_config(path, options)


@pytest.fixture(scope="module")
def tokenizer(data_set, tmp_path_factory) -> Path:
    """Two steps of the data set's tokenizer, which forecasts of 1 s and of 3 s share."""
    name, index = data_set
    config = small_config(f"configs/tokenizers/lidar_{name}.py", index)
    runner = build_runner(config, tmp_path_factory.mktemp("run"))
    runner.train()
    assert runner.test()["perplexity/4x4"] >= 1
    return Path(runner.work_dir) / "last_checkpoint"


@pytest.mark.parametrize("horizon", ["1s", "3s"])
def test_from_files_to_the_table(data_set, tokenizer, horizon, tmp_path):
    name, index = data_set
    config = small_config(f"configs/world_models/lidar_forecast_{name}_{horizon}.py", index)
    assert config.tokenizer_checkpoint == f"work_dirs/lidar_{name}/last_checkpoint"
    runner = build_runner(config, tmp_path)
    assert (runner.train_dataloader.dataset.split, runner.test_dataloader.dataset.split) == SPLITS[name]
    load_tokenizer(runner.model, tokenizer)
    runner.train()
    load_checkpoint(runner.model, tmp_path / "last_checkpoint")
    figures = runner.test()
    (metric,) = runner.test_evaluator.metrics
    assert [float(step[:-1]) for step in metric.report["steps"]] == pytest.approx(STEPS[name][horizon])
    assert figures[f"lidar/raycast_history/l1_mean/avg_{horizon}"] > 0
    assert f"lidar/model/cd_in/avg_{horizon}" in figures
    assert metric.report["windows"] == len(runner.test_dataloader.dataset)
    # What moves is scored where there are boxes. In Argoverse's yard the car comes to a wall, whose points it then has.
    assert ("Points in moving boxes" in metric.text()) == (name != "kitti")
