"""Learning in the dream: what is trained, what is drawn, what moves."""

import torch

from drivewm.planning.dreaming import _dream_on, dream_losses
from drivewm.planning.joint import DrivingModel
from drivewm.structures import Route
from tests.planning.test_imagining import WORLD_MODEL
from tests.world_model.tiny import TOKENIZER, make_clip, randomized


def model(**options):
    torch.manual_seed(0)
    return randomized(DrivingModel(TOKENIZER, WORLD_MODEL, head=dict(hidden=24, heads=2), **options))


def clip_on_route():
    clip, x = make_clip(future=8), 2.5 * torch.arange(25.0)
    clip.route = Route(torch.stack([x, 0 * x], -1).expand(2, -1, -1), torch.ones(2, 25, dtype=torch.bool), 2.5)
    return clip


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_gradient_reaches_the_head_and_nothing_else():
    dreamer = model(dream_steps=1).train()
    losses = dreamer.losses(clip_on_route())
    assert all(torch.as_tensor(value).isfinite() for value in losses.values())
    sum(value for name, value in losses.items() if "loss" in name).backward()
    moved = {name for name, p in dreamer.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
    assert moved and all(name.startswith("head.") for name in moved)


def test_dreams_are_seeded_and_reach_further_than_the_recording():
    dreamer, clip = model(), clip_on_route()
    first, again, other = (dream_losses(dreamer, clip, 2, rng(seed)) for seed in (0, 0, 1))
    assert first["loss_dream_choice"] == again["loss_dream_choice"] != other["loss_dream_choice"]
    assert dream_losses(dreamer, clip, 0)["loss_dream_choice"] != first["loss_dream_choice"]


def test_the_recorded_future_does_not_matter():
    dreamer, clip = model(), clip_on_route()
    usual = dream_losses(dreamer, clip, 1, rng())
    clip.occupancy[:, clip.num_history :] = 0
    clip.T_global_ego[:, clip.num_history :, 0, 3] += 5.0
    assert dream_losses(dreamer, clip, 1, rng()) == usual


def test_the_ego_is_where_its_plan_led_and_the_route_begins_there():
    dreamer, clip = model(), clip_on_route()
    history = clip.history()
    clip.route.stop_m[:] = 20.0
    proposals = dreamer.propose(history, clip.route)
    later, route = _dream_on(dreamer, history, clip.route, proposals, torch.tensor([0, 1]))
    assert later.num_frames == history.num_frames
    assert torch.equal(later.timestamp_us[:, -1] - history.timestamp_us[:, -1], torch.tensor([500_000] * 2))
    moved = (torch.linalg.inv(history.T_global_ego[:, -1]) @ later.T_global_ego[:, -1])[:, :2, 3]
    expected = proposals.poses[torch.arange(2), torch.tensor([0, 1]), 0, :2]
    torch.testing.assert_close(moved.float(), expected, atol=1e-4, rtol=0)
    assert route.points[:, 0].norm(dim=-1).max() < 2.0
    torch.testing.assert_close(route.stop_m, 20.0 - expected[:, 0], atol=0.3, rtol=0)
