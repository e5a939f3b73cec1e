"""Training on two processes, started as a user would."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from drivewm.engine.checkpoint import read_checkpoint
from tests.engine import two_steps
from tests.engine.test_runs import DRIVING, SMALL, TOKENIZER

ROOT = Path(__file__).resolve().parents[2]


def in_two_processes(*command: object) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    words = [*launcher, *map(str, command)]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]


def train(config, folder, index, grid, **options):
    prefix = "model" if config == TOKENIZER else "model.tokenizer"
    options |= {f"{prefix}.{key}": value for key, value in SMALL.items()}
    options |= {
        f"{prefix}.grid.range_m": list(grid.range_m),
        f"{prefix}.grid.voxel_m": grid.voxel_m,
        "train_dataloader.dataset.index": index.folder,
        "test_dataloader.dataset.index": index.folder,
        "train_dataloader.batch_size": 2,
        "train_cfg.max_iters": 2,
    }
    changes = [f"{key}={value}".replace(" ", "") for key, value in options.items()]
    arguments = ["--launcher", "pytorch", "--work-dir", folder, "--cfg-options", *changes]
    in_two_processes("tools/train.py", config, *arguments)
    return read_checkpoint(folder / "last_checkpoint")


@pytest.mark.long
def test_two_processes_train_tokenizer_and_world_model(tmp_path, town_index, town_grid):
    assert train(TOKENIZER, tmp_path / "tokenizer", town_index, town_grid)["meta"]["iter"] == 2
    small = {f"model.world_model.{key}": value for key, value in {"dim": 16, "depth": 1, "heads": 2}.items()}
    small["tokenizer_checkpoint"] = tmp_path / "tokenizer" / "last_checkpoint"
    content = train(DRIVING, tmp_path / "driving", town_index, town_grid, **small)
    assert content["meta"]["iter"] == 2
    assert not any(name.startswith("module.") for name in content["state_dict"])


@pytest.mark.long
def test_two_processes_get_the_weights_and_scores_of_one(tmp_path, town_index):
    one, start = same_in_two_processes(tmp_path / "tokenizer", town_index)
    assert not torch.equal(one["encoder.embedding.table.weight"], start["encoder.embedding.table.weight"])
    checkpoint = tmp_path / "tokenizer" / "one" / "last_checkpoint"
    one, start = same_in_two_processes(tmp_path / "world_model", town_index, checkpoint)
    for name in (
        "trunk.denoisers.occupancy.blocks.0.mlp.0.weight",
        "streams.occupancy.motion_field.leave.2.weight",
        "streams.occupancy.soft_decoder.head.2.weight",
    ):
        assert not torch.equal(one[name], start[name]), name


def same_in_two_processes(folder, index, *tokenizer):
    """Weights of one process after two steps and after one, once two processes were seen to get the same."""
    in_two_processes(two_steps.__file__, index.folder, folder / "two", "pytorch", *tokenizer)
    two_steps.train(index.folder, folder / "one", "none", *tokenizer)
    one, two = (read_checkpoint(folder / name / "last_checkpoint")["state_dict"] for name in ("one", "two"))
    for name, weight in one.items():
        assert torch.allclose(two[name], weight, rtol=1e-4, atol=1e-5), name
    scores = [json.loads((folder / name / "scores.json").read_bytes()) for name in ("one", "two")]
    score = "iou" if not tokenizer else "model/iou/1s"
    assert scores[0][score] > 0 and scores[1][score] == pytest.approx(scores[0][score], rel=1e-3)
    return one, read_checkpoint(folder / "one" / "iter_1.pth")["state_dict"]
