"""Training a world model of several streams: absent ones are not seen, all learn, each counts by its weight."""

import copy
from dataclasses import replace

import pytest
import torch

from drivewm.world_model import WorldModel, objective
from drivewm.world_model.exchange import EXCHANGES
from drivewm.world_model.objective import world_model_losses
from drivewm.world_model.tasks import TaskMix, Tasks, draw_present
from tests.world_model.tiny_joint import LIDAR, SIZE, STREAMS, make_clip, make_model

BOTH = ("occupancy", "lidar")


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def clip():
    return make_clip()


def total(losses):
    return sum(value for name, value in losses.items() if "loss" in name)


@pytest.mark.parametrize("absent", BOTH)
def test_in_training_an_absent_stream_is_not_seen(absent, clip, monkeypatch):
    """Its past may be any: no loss of any stream changes. That of what moves is apart, and does look at it."""

    def hide(streams, mix, tasks, uniform):
        return {name: torch.full_like(tasks.alone, name != absent) for name in streams}

    model = make_model(mix=dict(predict=0.7, denoise=0.2, recent=0.9, self_generated=0.5)).train()
    points, occupancy = clip.points.clone(), clip.occupancy.clone()
    points[:, :3] = points[:, :3].flip(3)
    occupancy[:, :3] = 17 - occupancy[:, :3]
    other = replace(clip, points=points) if absent == "lidar" else replace(clip, occupancy=occupancy)
    monkeypatch.setattr(objective, "draw_present", hide)
    for seed in range(2):
        usual, found = (world_model_losses(model, c, rng(seed)) for c in (clip, other))
        assert all(usual[name] == value for name, value in found.items())
    monkeypatch.setattr(objective, "draw_present", lambda s, m, tasks, u: {n: torch.ones_like(tasks.alone) for n in s})
    usual, found = (world_model_losses(model, c, rng()) for c in (clip, other))
    assert any(usual[name] != value for name, value in found.items())


def test_each_clip_is_shown_some_stream_and_any_subset_comes_up():
    alone = torch.zeros(4000, dtype=torch.bool)
    tasks = Tasks(alone, alone, alone, alone, alone)
    generator = rng()
    found = draw_present(BOTH, TaskMix(absent=0.3), tasks, lambda *n: torch.rand(4000, *n, generator=generator))
    occupancy, lidar = found.values()
    assert (occupancy | lidar).all()
    assert (occupancy & lidar).float().mean() == pytest.approx(0.49, abs=0.03)
    assert (occupancy & ~lidar).float().mean() == pytest.approx(0.255, abs=0.03)


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_the_losses_of_all_streams_fall_and_reach_the_exchange(exchange, clip):
    torch.manual_seed(0)
    model = WorldModel(streams=STREAMS, exchange=dict(type=exchange), **SIZE).train()
    frozen = copy.deepcopy({name: stream.tokenizer.state_dict() for name, stream in model.streams.items()})
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    found = []
    for _ in range(6):
        losses = world_model_losses(model, clip, rng())
        optimizer.zero_grad()
        total(losses).backward()
        optimizer.step()
        found.append({name: losses[f"{name}/loss_tokens"].item() for name in BOTH})
    assert all(found[-1][name] < found[0][name] for name in BOTH)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.trunk.exchanges.parameters())
    for name, stream in model.streams.items():
        assert all(torch.equal(value, frozen[name][key]) for key, value in stream.tokenizer.state_dict().items())


def test_a_stream_counts_by_its_weight(clip):
    losses = []
    for weight in (1.0, 0.25):
        torch.manual_seed(0)
        streams = STREAMS | dict(lidar=dict(tokenizer=LIDAR, weight=weight))
        losses.append(world_model_losses(WorldModel(streams=streams, **SIZE).train(), clip, rng()))
    for name, value in losses[0].items():
        factor = 0.25 if name.startswith("lidar/loss") else 1.0
        torch.testing.assert_close(losses[1][name], factor * value)


def test_it_trains_on_its_own_history(clip):
    clip, model = make_clip(history=2, future=4), make_model(mix=dict(own_history=1.0)).train()
    assert all(value.isfinite() for value in world_model_losses(model, clip, rng()).values())
