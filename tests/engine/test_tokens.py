"""From a tokenizer's checkpoint to clips with its tokens, and to a run that refuses those of another."""

import runpy
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.registry import MODELS

from drivewm.data import DriveClips, collate
from drivewm.data.augment import mirror
from drivewm.engine import DataCheckHook, build_runner, load_model, load_tokenizer, weights_digest
from drivewm.geometry import VoxelGrid
from drivewm.tokenizers.point_cloud import PointCloud
from drivewm.world_model.objective import world_model_losses
from tests.engine import test_lidar_runs
from tests.engine.test_runs import TOKENIZER, small_config

NEAR = {"range_m": (-24.0, -24.0, -1.8, 24.0, 24.0, 5.4), "voxel_m": 1.2}


@pytest.fixture(scope="module")
def run(tmp_path_factory, town_index):
    """Work dir of a tokenizer of one step, a config of its size, and its tokens."""
    return train(tmp_path_factory.mktemp("tokens"), small_config(TOKENIZER, town_index, 1, town_index.grid))


@pytest.fixture(scope="module")
def lidar_run(tmp_path_factory, town_index):
    """The same of LiDAR."""
    config = test_lidar_runs.small_config(test_lidar_runs.TOKENIZER, town_index)
    config.merge_from_dict({"model.grid": NEAR, "train_cfg.max_iters": 1})
    return train(tmp_path_factory.mktemp("sweep_tokens"), config)


def train(folder: Path, config) -> Path:
    config.dump(folder / "config.py")
    build_runner(config, folder / "run").train()
    extract(folder)
    return folder


def extract(folder: Path) -> None:
    arguments = [folder / "config.py", folder / "run" / "last_checkpoint", "--out", folder / "cache"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["extract_tokens.py", *map(str, arguments)])
        runpy.run_path("tools/extract_tokens.py", run_name="__main__")


def test_clips_have_what_the_tokenizer_would_give(run, town_index):
    tokenizer = load_model(run / "config.py", run / "run" / "last_checkpoint")
    clip = DriveClips(town_index, "val", 2, 3, tokens=run / "cache")[4]["clip"]
    with torch.no_grad():
        assert torch.equal(clip.tokens[0].indices, tokenizer.encode(clip.occupancy)[0].indices)
        assert torch.equal(clip.mirrored_tokens[0].indices, tokenizer.encode(clip.occupancy.flip(3))[0].indices)
    assert clip.tokens[0].spec == tokenizer.specs[0] and clip.tokens[0].indices.unique().numel() > 2


def test_sweeps_have_what_the_tokenizer_would_give(lidar_run, town_index):
    tokenizer = load_model(lidar_run / "config.py", lidar_run / "run" / "last_checkpoint")
    clip = DriveClips(town_index, "val", 2, 3, load_points=True, tokens=lidar_run / "cache")[4]["clip"]
    other_side = PointCloud.of(clip)
    other_side.points = other_side.points * torch.tensor([1.0, -1.0, 1.0, 1.0])
    for (grid,), cloud in ((clip.tokens, PointCloud.of(clip)), (clip.mirrored_tokens, other_side)):
        with torch.no_grad():
            (expected,) = tokenizer.encode(cloud)
        assert grid.spec == expected.spec and torch.equal(grid.indices, expected.indices)
    assert clip.tokens[0].indices.unique().numel() > 2
    assert not torch.equal(clip.tokens[0].indices, clip.mirrored_tokens[0].indices)


def test_lidar_trains_on_them_as_on_its_sweeps_to_the_bit(lidar_run, town_index):
    """With some of the clips mirrored."""
    config = test_lidar_runs.small_config(test_lidar_runs.FORECAST, town_index)
    config.merge_from_dict({"model.tokenizer.grid": NEAR})
    model = MODELS.build(config.model).train()
    load_tokenizer(model, lidar_run / "run" / "last_checkpoint")
    found = []
    for tokens in (lidar_run / "cache", None):
        clips = DriveClips(town_index, "train", 3, 3, load_points=True, load_occupancy=False, tokens=tokens)
        batch = collate([clips[n] for n in (0, 5, 9, 14)])["clip"]
        seen = mirror(batch, torch.tensor([False, True, True, False]))
        found.append(world_model_losses(model, seen, torch.Generator().manual_seed(0)))
        assert (len(model.stream.memo._tokens) == 0) == (tokens is not None)
    cached, plain = found
    assert cached["loss_tokens"] > 0 and cached.keys() == plain.keys()
    assert all(torch.equal(cached[name], plain[name]) for name in plain)


def check(model: torch.nn.Module, clips: DriveClips) -> None:
    """What a run does before it starts."""
    DataCheckHook().before_train(SimpleNamespace(model=model, train_dataloader=SimpleNamespace(dataset=clips)))


def test_tokens_of_another_modality_or_grid_stop_a_run(run, lidar_run, town_index):
    occupancy, lidar = (
        load_model(folder / "config.py", folder / "run" / "last_checkpoint") for folder in (run, lidar_run)
    )
    options = dict(load_points=True, load_occupancy=True)
    labels, sweeps = (DriveClips(town_index, "train", 2, 3, tokens=f / "cache", **options) for f in (run, lidar_run))
    model = torch.nn.Module()
    for tokenizer, own, other in ((occupancy, labels, sweeps), (lidar, sweeps, labels)):
        model.tokenizer, model.grid, model.specs = tokenizer, tokenizer.grid, tokenizer.specs
        check(model, own)
        with pytest.raises(
            ValueError, match="cache are of a tokenizer with the digest .*, but that of the config's model"
        ):
            check(model, other)
    lidar.grid = VoxelGrid(NEAR["range_m"], 2.4)
    with pytest.raises(ValueError, match=r"cache are of the grid .*voxel_m=1\.2\), but the config's model has .*=2\.4"):
        check(model, sweeps)


def test_a_stream_makes_its_own_where_tokens_are_of_another_modality(run, lidar_run, town_index):
    """Of several streams, some may have a cache."""
    config = test_lidar_runs.small_config(test_lidar_runs.FORECAST, town_index)
    config.merge_from_dict({"model.tokenizer.grid": NEAR})
    clip = DriveClips(town_index, "train", 2, 3, load_points=True, tokens=run / "cache")[0]["clip"]
    stream = MODELS.build(config.model).eval().stream
    tokens = stream.tokens(clip)
    assert clip.tokens_of("lidar") == () and torch.equal(tokens, stream.tokens(replace(clip, tokens=None)))
    assert tokens.shape == (1, 5, stream.scales.row.num_tokens)


def test_tokens_of_another_tokenizer_stop_a_run(run, town_index):
    tokenizer = load_model(run / "config.py", run / "run" / "last_checkpoint")
    clips = DriveClips(town_index, "train", 2, 3, tokens=run / "cache")
    model = torch.nn.Module()
    model.tokenizer, model.grid = tokenizer, town_index.grid
    check(model, clips)
    digest = weights_digest(tokenizer.state_dict())
    tokenizer.quantizer.scales[0].codebook[3, 1] += 1e-3
    with pytest.raises(ValueError, match=rf"cache are of a tokenizer with the digest {digest}, but that of the config"):
        check(model, clips)
    del model.tokenizer
    with pytest.raises(ValueError, match="has None"):
        check(model, clips)


def test_a_second_extraction_needs_to_be_asked_for(run):
    with pytest.raises(SystemExit, match="error: .*cache: .*overwrite"):
        extract(run)
