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
    in_two_processes(two_steps.__file__, town_index.folder, tmp_path / "two", "pytorch")
    two_steps.train(town_index.folder, tmp_path / "one", "none")
    one, two = (read_checkpoint(tmp_path / name / "last_checkpoint")["state_dict"] for name in ("one", "two"))
    start = read_checkpoint(tmp_path / "one" / "iter_1.pth")["state_dict"]
    for name, weight in one.items():
        assert torch.allclose(two[name], weight, rtol=1e-5, atol=1e-6), name
    assert not torch.equal(one["encoder.embedding.table.weight"], start["encoder.embedding.table.weight"])
    scores = [json.loads((tmp_path / name / "scores.json").read_bytes()) for name in ("one", "two")]
    assert scores[0]["iou"] > 0 and scores[1] == pytest.approx(scores[0], rel=1e-3)
