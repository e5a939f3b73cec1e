"""Configs load, and mistyped options do not pass in silence."""

from pathlib import Path

import pytest
import torch
from mmengine.registry import HOOKS, MODELS
from mmengine.runner import Runner

from drivewm.engine import load_config

CONFIGS = sorted(p for p in Path("configs").glob("*/*.py") if p.parent.name not in ("_base_", "evaluation"))

# No data set of the tests has views, labels and sweeps together: see test_joint.py.
JOINT_WITH_CAMERAS = Path("configs/world_models/joint_cameras_twin.py")


@pytest.mark.parametrize("path", CONFIGS, ids=str)
def test_every_config_loads(path):
    config = load_config(path)
    assert config.test_dataloader.batch_size > 0 and config.test_evaluator


def on_small_data(path, index) -> dict:
    """Options that point a config to the tests' town, on the town's grid and with a small network."""
    config = load_config(path)
    options = {f"{name}_dataloader.dataset.index": str(index.folder) for name in ("train", "test")}
    options |= {f"{name}_dataloader.num_workers": 0 for name in ("train", "test")}
    options |= {"train_dataloader.batch_size": 2, "train_dataloader.dataset.split": "train"}
    options |= {"test_dataloader.dataset.split": "val"}
    streams = config.model.get("streams", {})
    owners = {f"model.streams.{name}.tokenizer": stream.tokenizer for name, stream in streams.items()}
    if not owners:
        owners = {"model.tokenizer": config.model.tokenizer} if "tokenizer" in config.model else {"model": config.model}
    for prefix, owner in owners.items():
        if "grid" not in owner:
            continue
        options |= {f"{prefix}.grid.range_m": index.grid.range_m, f"{prefix}.grid.voxel_m": index.grid.voxel_m}
        small = {"channels": (32,) * len(owner.channels), "vocab_size": 32}
        options |= {f"{prefix}.{name}": value for name, value in small.items() if name in owner}
        if owner.get("coarse_scales"):
            options[f"{prefix}.coarse_scales"] = ((2, 2),) * len(owner.coarse_scales)
    data = config.test_dataloader.dataset
    options["test_dataloader.dataset.num_future"] = min(data.get("num_future", 6), 6)
    if data.get("load_images"):  # scenes of two keyframes
        parts = [f"{part}_dataloader.dataset" for part in ("train", "test")]
        options |= {f"{part}.image_size": (64, 32) for part in parts}
        options |= {f"{part}.num_history": 1 for part in parts}
        options |= {f"{part}.num_future": min(data.num_future, 1) for part in parts}
        owner = "model.tokenizer" if "tokenizer" in config.model else "model"
        small = {"image_size": (64, 32), "backbone": "test_convnext", "channels": (16,) * 4, "vocab_size": 32}
        options |= {f"{owner}.{name}": value for name, value in small.items()}
    # The town's frames are keyframes already.
    options |= {f"{part}_dataloader.dataset.frame_step": 1 for part in ("train", "test") if "frame_step" in data}
    network = "model.world_model" if "world_model" in config.model else "model"
    if config.model.get("world_model", config.model).get("depth"):
        options |= {f"{network}.{name}": value for name, value in {"dim": 16, "depth": 1, "heads": 2}.items()}
    if "points_per_frame" in config.model:
        options["model.points_per_frame"] = 512
    if "lidar" in streams:
        options["model.streams.lidar.points_per_frame"] = 512
    return options


@pytest.mark.parametrize("path", [p for p in CONFIGS if p != JOINT_WITH_CAMERAS], ids=str)
def test_every_config_makes_a_model_that_its_data_fit(path, request):
    """One training batch gives finite losses and gradients, one test batch predictions."""
    torch.manual_seed(0)
    reads_images = load_config(path).test_dataloader.dataset.get("load_images")
    index = request.getfixturevalue("camera_index" if reads_images else "town_index")
    config = load_config(path, on_small_data(path, index))
    model = MODELS.build(config.model)
    for hook in config.custom_hooks:
        HOOKS.build(hook)
    batch = next(iter(Runner.build_dataloader(config.train_dataloader, seed=0)))
    losses = model.train()(**model.data_preprocessor(batch, training=True), mode="loss")
    loss = sum(value for name, value in losses.items() if "loss" in name)
    loss.backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert torch.isfinite(loss) and gradients and all(torch.isfinite(g).all() for g in gradients)
    test = Runner.build_dataloader(config.test_dataloader, seed=0)
    clip = test.collate_fn([test.dataset[0]])
    with torch.no_grad():
        assert len(model.eval()(**model.data_preprocessor(clip), mode="predict")) == 1


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
