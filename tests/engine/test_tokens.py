"""From a tokenizer's checkpoint to clips with its tokens, and to a run that refuses those of another."""

import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from drivewm.data import DriveClips
from drivewm.engine import DataCheckHook, build_runner, load_model, weights_digest
from tests.engine.test_runs import TOKENIZER, small_config


@pytest.fixture(scope="module")
def run(tmp_path_factory, town_index):
    """Work dir of a tokenizer of one step, and a config of its size."""
    folder = tmp_path_factory.mktemp("tokens")
    config = small_config(TOKENIZER, town_index, 1, town_index.grid)
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


def test_tokens_of_another_tokenizer_stop_a_run(run, town_index):
    tokenizer = load_model(run / "config.py", run / "run" / "last_checkpoint")
    clips = DriveClips(town_index, "train", 2, 3, tokens=run / "cache")
    model = torch.nn.Module()
    model.tokenizer, model.grid = tokenizer, town_index.grid
    runner = SimpleNamespace(model=model, train_dataloader=SimpleNamespace(dataset=clips))
    DataCheckHook().before_train(runner)
    digest = weights_digest(tokenizer.state_dict())
    tokenizer.quantizer.scales[0].codebook[3, 1] += 1e-3
    with pytest.raises(ValueError, match=rf"cache are of a tokenizer with the digest {digest}, but that of the config"):
        DataCheckHook().before_train(runner)
    del model.tokenizer
    with pytest.raises(ValueError, match="has None"):
        DataCheckHook().before_train(runner)


def test_a_second_extraction_needs_to_be_asked_for(run):
    with pytest.raises(SystemExit, match="error: .*cache: .*overwrite"):
        extract(run)
