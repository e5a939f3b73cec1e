"""Configs load, and mistyped options do not pass in silence."""

from pathlib import Path

import pytest

from drivewm.engine import load_config

CONFIGS = sorted(p for p in Path("configs").glob("*/*.py") if p.parent.name != "_base_")


@pytest.mark.parametrize("path", CONFIGS, ids=str)
def test_every_config_loads(path):
    config = load_config(path)
    assert config.test_dataloader.batch_size > 0 and config.test_evaluator


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("optim_wrapper.optimizer.lrr", "did you mean lr"),
        ("train_datloader.batch_size", "did you mean train_dataloader"),
        ("model.tokenizer.chanels", "did you mean channels"),
        ("max_iters", "is a variable of the config file"),
        ("grid.voxel_m", "is a variable of the config file"),
    ],
)
def test_an_option_that_would_change_nothing_is_refused(key, message):
    path = "configs/world_models/driving_town.py"
    with pytest.raises(ValueError, match=f"driving_town.py: --cfg-options {key}: .*{message}"):
        load_config(path, {key: 1})


def test_options_change_the_config():
    config = load_config("configs/tokenizers/occupancy_town.py", {"optim_wrapper.optimizer.lr": 0.5})
    assert config.optim_wrapper.optimizer.lr == 0.5


def test_a_missing_config_is_named():
    with pytest.raises(FileNotFoundError, match="nowhere.py"):
        load_config("configs/nowhere.py")
