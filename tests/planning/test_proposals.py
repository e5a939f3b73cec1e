"""Proposals and what is learned from a driven path."""

import pytest
import torch

from drivewm.planning.profile import CONTROLS
from drivewm.planning.proposals import Proposals, covered_m, planning_loss, proposal_losses, worth_loss
from drivewm.structures import Trajectory
from tests.planning.test_profile import driver


def proposals(batch=2, number=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    controls = torch.randn(batch, number, CONTROLS, generator=generator).requires_grad_()
    logits = torch.randn(batch, number, generator=generator).requires_grad_()
    worth = torch.randn(batch, number, generator=generator).requires_grad_()
    return Proposals(driver(*[5.0] * batch), controls, logits, worth)


def test_picking_gives_the_plan_of_that_number():
    found = proposals()
    assert torch.equal(found.pick(torch.tensor([2, 0])).poses, torch.stack([found.poses[0, 2], found.poses[1, 0]]))


def test_what_drivers_take_is_preferred_unless_it_is_worth_little():
    usual, rare = torch.tensor([0.9, 0.1]).log()
    for worth, preferred in (((0.9, 0.9), 0), ((0.8, 0.9), 0), ((0.1, 0.9), 1)):
        logits, chances = torch.stack([usual, rare])[None], torch.tensor([worth]).logit()
        found = Proposals(driver(5.0), torch.zeros(1, 2, CONTROLS), logits, chances)
        assert found.preference.argmax(1).item() == preferred
        assert torch.equal(found.preferred().poses, found.pick(torch.tensor([preferred])).poses)


def test_controls_logits_and_worth_must_fit():
    for logits, worth in (((1, 3), (1, 3)), ((1, 2), (1, 3))):
        with pytest.raises(ValueError, match=rf"expected \(B, M, {CONTROLS}\)"):
            Proposals(driver(5.0), torch.zeros(1, 2, CONTROLS), torch.zeros(logits), torch.zeros(worth))


def test_only_the_nearest_is_pulled_and_it_alone_gains_probability():
    found = proposals()
    target = Trajectory.from_poses(torch.ones(2, 8, 3), 0.5)
    sum(proposal_losses(found, torch.tensor([1, 2]), target).values()).backward()
    pulled = found.controls.grad.abs().amax(-1) > 0
    assert torch.equal(pulled, torch.tensor([[False, True, False], [False, False, True]]))
    assert torch.equal(found.logits.grad < 0, pulled)


def test_what_each_is_worth_is_learned_of_all_where_it_is_known():
    found, outcome = proposals(), torch.tensor([[0.0, 1.0, 0.5], [torch.nan] * 3])
    (grad,) = torch.autograd.grad(worth_loss(found, outcome), found.worth)
    torch.testing.assert_close(grad[0], (found.worth[0].sigmoid() - outcome[0]) / 3)
    assert grad[1].abs().max() == 0


def test_an_ego_without_a_driven_path_teaches_nothing():
    found = proposals()
    valid = torch.tensor([[True] * 8, [False] * 8])
    target = Trajectory(torch.where(valid[..., None], 1.0, torch.nan).expand(2, 8, 3), valid, 0.5)
    losses = proposal_losses(found, torch.tensor([1, 2]), target)
    sum(losses.values()).backward()
    assert found.controls.grad[1].abs().max() == 0 and found.logits.grad[1].abs().max() == 0
    assert found.logits.grad[0].abs().max() > 0


def test_the_loss_counts_valid_steps_only_and_names_what_differs():
    poses = torch.randn(2, 8, 3, generator=torch.Generator().manual_seed(2))
    plan = Trajectory.from_poses(poses, 0.5)
    valid = torch.ones(2, 8, dtype=torch.bool)
    valid[:, 5:] = False
    target = torch.where(valid[..., None], poses, torch.nan)
    losses = planning_loss(plan, Trajectory(target, valid, 0.5))
    assert all(value.item() == pytest.approx(0.0, abs=1e-6) for value in losses.values())
    turned = Trajectory.from_poses(poses + torch.tensor([0.0, 0.0, 2 * torch.pi]), 0.5)
    assert planning_loss(plan, turned)["loss_plan_pose"].item() == pytest.approx(0.0, abs=1e-4)
    with pytest.raises(ValueError, match="0.1 s"):
        planning_loss(plan, Trajectory.from_poses(poses, 0.1))


def test_getting_too_far_costs_more_than_not_far_enough():
    x = 2.0 * torch.arange(1.0, 9.0)[None, :, None] * torch.tensor([1.0, 0.0, 0.0])
    target = Trajectory.from_poses(x, 0.5)
    far, short = (planning_loss(Trajectory.from_poses(k * x, 0.5), target, caution=2.5) for k in (1.2, 0.8))
    assert far["loss_plan_progress"] == pytest.approx(2.5 * short["loss_plan_progress"].item(), rel=1e-3)
    assert far["loss_plan_pose"] == pytest.approx(short["loss_plan_pose"].item(), rel=1e-3)


def test_distance_covered_on_a_circle_is_its_chords():
    angle = 0.1 * torch.arange(1, 9)
    poses = torch.stack([10 * angle.sin(), 10 * (1 - angle.cos()), angle], dim=-1)
    expected = 2 * 10 * torch.sin(torch.tensor(0.05)) * torch.arange(1, 9)
    torch.testing.assert_close(covered_m(poses[None])[0], expected, atol=1e-2, rtol=0)
