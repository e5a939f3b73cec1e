"""The ego-MLP from its config: trained, tested, and made into a driver of the closed loop."""

import pickle

import pytest

from drivewm.engine import build_runner, load_checkpoint, load_config
from drivewm.engine.planners import planner_spec


@pytest.mark.parametrize("name", ["ego_mlp", "ego_mlp_blind"])
def test_from_config_to_driver(name, tmp_path, town_index):
    path = f"configs/planners/{name}_town.py"
    options = {
        "train_dataloader.dataset.index": str(town_index.folder),
        "test_dataloader.dataset.index": str(town_index.folder),
        "train_dataloader.dataset.num_future": 6,
        "test_dataloader.dataset.num_future": 6,
        "train_dataloader.batch_size": 4,
        "train_cfg.max_iters": 3,
    }
    runner = build_runner(load_config(path, options), tmp_path / "train")
    runner.train()
    runner = build_runner(load_config(path, options), tmp_path / "test")
    load_checkpoint(runner.model, tmp_path / "train/last_checkpoint")
    figures = runner.test()
    assert figures[f"{name}/l2_instant/3s"] > 0 and figures["constant_velocity/l2_instant/3s"] > 0
    spec = planner_spec(f"{path}:{tmp_path / 'train/last_checkpoint'}")
    assert spec.name == name and spec.grid is None and spec.num_history == 3
    assert pickle.loads(pickle.dumps(spec)).build().name == name
