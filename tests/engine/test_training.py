"""The recipe: batches in parts, read-ahead workers and resuming, averaged weights."""

import shutil

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.optim import SGD

from drivewm.engine import (
    Bfloat16OptimWrapper,
    ResumableSampler,
    ResumableTrainLoop,
    SaveCheckpointHook,
    build_runner,
    load_checkpoint,
)
from drivewm.engine.checkpoint import read_checkpoint
from tests.engine.test_runs import TOKENIZER, small_config


class Fit(BaseModel):
    """A small network whose loss is a mean over samples, and which notes what it was given."""

    grid, specs = None, ()

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
        self.seen = []

    def forward(self, x, y, mode="tensor"):
        self.seen += x[:, 0].tolist()
        return {"loss": (self.net(x)[:, 0] - y).square().mean()}


class Samples(torch.utils.data.Dataset):
    def __len__(self):
        return 24

    def __getitem__(self, item):
        generator = torch.Generator().manual_seed(item)
        return {
            "x": torch.cat([torch.tensor([float(item)]), torch.randn(3, generator=generator)]),
            "y": float(item % 3),
        }


def fit(folder, at_once, batch_size=None, steps=3, workers=0, resume=False):
    loader = dict(
        batch_size=at_once,
        num_workers=workers,
        sampler=dict(type=ResumableSampler, seed=5),
        dataset=Samples(),
        collate_fn=torch.utils.data.default_collate,
    )
    model = Fit()
    Runner(
        model,
        str(folder),
        train_dataloader=loader,
        train_cfg=dict(type=ResumableTrainLoop, max_iters=steps, batch_size=batch_size),
        optim_wrapper=dict(type=Bfloat16OptimWrapper, optimizer=dict(type=SGD, lr=0.1), clip_grad=dict(max_norm=0.5)),
        default_hooks=dict(checkpoint=dict(type=SaveCheckpointHook, interval=2)),
        resume=resume,
        experiment_name=f"{folder}-{resume}",
    ).train()
    return model


@pytest.mark.parametrize("at_once", [2, 4])
def test_a_batch_in_parts_is_as_good_as_at_once(tmp_path, at_once):
    whole, parts = fit(tmp_path / "whole", 8), fit(tmp_path / "parts", at_once, batch_size=8)
    assert parts.seen == whole.seen and len(whole.seen) == 24
    start = Fit().net.state_dict()
    for name, weight in whole.net.state_dict().items():
        moved = (weight - start[name]).abs().max()
        assert moved > 2e-3
        assert (parts.net.state_dict()[name] - weight).abs().max() < 0.02 * moved  # gradients are bfloat16


def test_a_batch_that_cannot_be_had_in_whole_parts_is_refused(tmp_path):
    with pytest.raises(ValueError, match="train_cfg.batch_size is 6, expected a multiple of 4"):
        fit(tmp_path, 4, batch_size=6)


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.long)])
def test_a_resumed_run_goes_on_with_the_next_samples(tmp_path, workers):
    whole = fit(tmp_path / "whole", 2, batch_size=4, steps=4, workers=workers)
    fit(tmp_path / "stopped", 2, batch_size=4, steps=2, workers=workers)
    resumed = fit(tmp_path / "stopped", 2, batch_size=4, steps=4, workers=workers, resume=True)
    assert resumed.seen == whole.seen[8:] and len(resumed.seen) == 8
    for name, weight in whole.net.state_dict().items():
        assert torch.equal(resumed.net.state_dict()[name], weight)


AVERAGING = dict(
    type="EMAHook", ema_type="MomentumAnnealingEMA", momentum=0.25, gamma=2, update_buffers=True, strict_load=True
)


def averaged_config(index, steps):
    config = small_config(TOKENIZER, index, steps, index.grid)
    config.custom_hooks.append(AVERAGING)
    config.default_hooks.checkpoint.update(interval=1, keep=9)
    return config


def test_a_resumed_run_goes_on_with_the_average_and_tests_use_it(tmp_path, town_index):
    build_runner(averaged_config(town_index, 3), tmp_path / "whole").train()
    resumed = tmp_path / "resumed"
    resumed.mkdir()
    shutil.copy(tmp_path / "whole" / "iter_2.pth", resumed)
    (resumed / "last_checkpoint").write_text(str(resumed / "iter_2.pth"))
    build_runner(averaged_config(town_index, 3), resumed, resume=True).train()

    before, after = (read_checkpoint(resumed / f"iter_{i}.pth") for i in (2, 3))
    momentum = 2 / (2 + 2)  # gamma / (gamma + steps), steps counted from 0
    assert after["ema_state_dict"]["steps"] == 3
    own = {name: after["ema_state_dict"][f"module.{name}"] for name in after["state_dict"]}
    assert not torch.equal(own["encoder.embedding.table.weight"], after["state_dict"]["encoder.embedding.table.weight"])
    for name, average in after["state_dict"].items():
        if average.is_floating_point():
            expected = (1 - momentum) * before["state_dict"][name] + momentum * own[name]
            assert torch.allclose(average, expected, atol=1e-5), name
        # The step began at the weights, not at their average.
        step = (own[name].float() - before["ema_state_dict"][f"module.{name}"].float()).abs().max()
        assert step <= 2 * 2e-3 or name.startswith("quantizer."), name

    figures = []
    for config in (averaged_config(town_index, 3), small_config(TOKENIZER, town_index, 3, town_index.grid)):
        runner = build_runner(config, tmp_path / f"test_{len(figures)}")
        load_checkpoint(runner.model, resumed / "last_checkpoint")
        assert all(torch.equal(v, after["state_dict"][k]) for k, v in runner.model.state_dict().items())
        figures.append(runner.test())
    assert figures[0] == pytest.approx(figures[1], nan_ok=True)
