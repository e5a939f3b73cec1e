"""Real mmengine runs of a few steps: train, kill, resume, hand over, test, and what is refused."""

import shutil
from pathlib import Path

import pytest
import torch

from drivewm.engine import build_runner, load_checkpoint, load_config, load_tokenizer
from drivewm.engine.checkpoint import read_checkpoint

TOKENIZER, DRIVING = "configs/tokenizers/occupancy_town.py", "configs/world_models/driving_town.py"
HEAD = "configs/planners/head_town.py"
SMALL = {"label_dim": 4, "channels": (16, 16), "blocks": 1, "code_dim": 8, "vocab_size": 32}


def small_config(path, index, iterations, grid):
    """The town's config, made tiny and pointed at the tests' data."""
    tokenizer = {**SMALL, "grid": {"range_m": grid.range_m, "voxel_m": grid.voxel_m}}
    prefix = "model" if path == TOKENIZER else "model.tokenizer"
    options = {f"{prefix}.{key}": value for key, value in tokenizer.items()}
    options |= {
        "train_dataloader.dataset.index": str(index.folder),
        "test_dataloader.dataset.index": str(index.folder),
        "train_dataloader.batch_size": 2,
        "train_cfg.max_iters": iterations,
        "default_hooks.checkpoint.interval": 2,
        "test_dataloader.dataset.stride": 4,
    }
    if path != TOKENIZER:
        options |= {
            "model.world_model.dim": 16,
            "model.world_model.depth": 1,
            "model.world_model.heads": 2,
            "test_dataloader.dataset.num_future": 6,
            "train_dataloader.dataset.num_future": 8,
        }
    return load_config(path, options)


@pytest.fixture(scope="module")
def tokenizer_run(tmp_path_factory, town_index, town_grid) -> Path:
    """A tokenizer trained for four steps."""
    folder = tmp_path_factory.mktemp("runs") / "tokenizer"
    build_runner(small_config(TOKENIZER, town_index, 4, town_grid), folder).train()
    return folder


def test_a_resumed_run_goes_on_from_the_last_complete_checkpoint(tmp_path, tokenizer_run, town_index, town_grid):
    stopped = tmp_path / "stopped"
    stopped.mkdir()
    shutil.copy(tokenizer_run / "iter_2.pth", stopped)
    (stopped / "last_checkpoint").write_text(str(stopped / "iter_2.pth"))
    (stopped / ".iter_4.partial.pth").write_bytes(b"half written")
    build_runner(small_config(TOKENIZER, town_index, 4, town_grid), stopped, resume=True).train()
    whole, resumed = (read_checkpoint(folder / "last_checkpoint") for folder in (tokenizer_run, stopped))
    assert resumed["meta"]["iter"] == 4
    state = whole["optimizer"]["state"]
    assert state and all(torch.equal(state[k]["step"], v["step"]) for k, v in resumed["optimizer"]["state"].items())


def test_from_tokenizer_to_figures(tmp_path, tokenizer_run, town_index, town_grid):
    runner = build_runner(small_config(TOKENIZER, town_index, 4, town_grid), tmp_path / "tokenizer_test")
    load_checkpoint(runner.model, tokenizer_run / "last_checkpoint")
    assert 0 <= runner.test()["miou"] <= 100

    runner = build_runner(small_config(DRIVING, town_index, 3, town_grid), tmp_path / "driving")
    load_tokenizer(runner.model, tokenizer_run / "last_checkpoint")
    weights = read_checkpoint(tokenizer_run / "last_checkpoint")["state_dict"]
    assert torch.equal(runner.model.tokenizer.quantizer.scales[0].codebook, weights["quantizer.scales.0.codebook"])
    runner.train()

    runner = build_runner(small_config(HEAD, town_index, 3, town_grid), tmp_path / "head")
    load_checkpoint(runner.model, tmp_path / "driving" / "last_checkpoint")
    before = {name: tensor.clone() for name, tensor in runner.model.state_dict().items()}
    runner.train()
    moved = {name for name, tensor in runner.model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved and all(name.startswith("head.") for name in moved)

    runner = build_runner(small_config(DRIVING, town_index, 3, town_grid), tmp_path / "driving_test")
    load_checkpoint(runner.model, tmp_path / "driving" / "last_checkpoint")
    assert torch.equal(runner.model.tokenizer.quantizer.scales[0].codebook, weights["quantizer.scales.0.codebook"])
    figures = runner.test()
    for name in ("model", "copy_last", "ego_warped_copy"):
        assert 0 <= figures[f"{name}/miou/3s"] <= 100
    assert figures["learned/l2_instant/3s"] > 0 and figures["constant_velocity/l2_instant/3s"] > 0


def test_checkpoints_of_something_else_are_refused(tmp_path, tokenizer_run, town_index, town_grid):
    path = tokenizer_run / "iter_4.pth"
    driving = build_runner(small_config(DRIVING, town_index, 3, town_grid), tmp_path / "a").model
    with pytest.raises(
        ValueError, match="iter_4.pth: model is OccupancyTokenizer, but the config's model has DrivingModel"
    ):
        load_checkpoint(driving, path)
    driving.tokenizer.specs = (type(driving.specs[0])("occupancy", (8, 8), 64),)
    with pytest.raises(ValueError, match="tokens is .*32.*64"):
        load_tokenizer(driving, path)
    options = {"model.channels": (16, 32)}
    config = small_config(TOKENIZER, town_index, 3, town_grid)
    config.merge_from_dict(options)
    with pytest.raises(ValueError, match="(?s)does not fit the config's model.*size mismatch"):
        load_checkpoint(build_runner(config, tmp_path / "b").model, path)

    with pytest.raises(FileNotFoundError, match="nothing.pth"):
        read_checkpoint(tmp_path / "nothing.pth")
    cut = tmp_path / "cut.pth"
    cut.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match="cut.pth is not a complete checkpoint"):
        read_checkpoint(cut)
    torch.save({"state_dict": {}}, tmp_path / "foreign.pth")
    with pytest.raises(ValueError, match="foreign.pth was not written by drivewm"):
        read_checkpoint(tmp_path / "foreign.pth")
    torch.save({"state_dict": {}, "meta": Path("x")}, tmp_path / "objects.pth")
    with pytest.raises(ValueError, match="objects.pth is not a complete checkpoint of tensors and plain data"):
        read_checkpoint(tmp_path / "objects.pth")


def test_a_dataset_of_another_grid_is_refused(tmp_path, town_index, town_grid):
    config = small_config(TOKENIZER, town_index, 2, town_grid)
    config.model.grid.voxel_m, config.model.grid.range_m = 0.4, tuple(v / 2 for v in town_grid.range_m)
    with pytest.raises(
        ValueError, match=r"(?s)has the grid VoxelGrid.*voxel_m=0\.8.*model has VoxelGrid.*voxel_m=0\.4"
    ):
        build_runner(config, tmp_path / "grid").train()
