"""The proposal head: what it depends on, and that it learns to stop."""

import pytest
import torch

from drivewm.geometry.voxel_grid import VoxelGrid
from drivewm.planning.head import ACCELERATIONS, LATERALS, ProposalHead
from drivewm.planning.proposals import proposal_losses
from drivewm.planning.protocol import check_plan
from drivewm.planning.scene_maps import SceneMaps
from drivewm.planning.state import PlannerState
from drivewm.structures import EgoState, Route, Trajectory

GRID = VoxelGrid((-12.8, -25.6, -1.0, 38.4, 25.6, 5.4), 0.8)
CHANNELS, TIMES_S = 6, (1.0, 2.0)


def ego_at(speed):
    return EgoState(speed, torch.zeros_like(speed), torch.zeros_like(speed))


def straight(batch):
    x = 2.5 * torch.arange(25.0)
    points = torch.stack([x, torch.zeros(25)], dim=-1).expand(batch, -1, -1)
    return Route(points, torch.ones(batch, 25, dtype=torch.bool), 2.5)


def head(seed=0, **options):
    torch.manual_seed(seed)
    found = ProposalHead(CHANNELS, len(TIMES_S), GRID, **options).eval()
    torch.nn.init.normal_(found.output.weight, std=0.2)  # an untrained one would ignore its inputs
    return found


def state(batch, seed=1, noise=1.0):
    generator = torch.Generator().manual_seed(seed)
    hidden = noise * torch.randn(batch, len(TIMES_S), CHANNELS, 16, 16, generator=generator)
    maps = [torch.rand(batch, len(TIMES_S) + 1, 64, 64, generator=generator) * noise for _ in range(2)]
    return PlannerState(hidden, SceneMaps(*maps, torch.zeros(batch, len(TIMES_S) + 1, 3), GRID), TIMES_S)


def test_the_plans_are_complete_and_never_go_backwards():
    found = head()(state(3), straight(3), ego_at(torch.tensor([0.0, 4.0, 9.0])))
    assert found.poses.shape == (3, len(ACCELERATIONS) * len(LATERALS), 8, 3)
    check_plan(found.preferred(), 3)
    assert (found.poses[..., 1:, 0] >= found.poses[..., :-1, 0] - 1e-5).all()


def test_proposals_differ_as_their_anchors_do():
    planner = head()
    torch.nn.init.zeros_(planner.output.weight)
    found = planner(state(1), straight(1), ego_at(torch.tensor([6.0]))).poses[0].detach()
    t = torch.tensor(4.0)
    for number, acceleration in enumerate(ACCELERATIONS[:3]):
        assert found[number, -1, 0] == pytest.approx(float(6.0 * t + 0.5 * acceleration * t**2), abs=1e-3)
    assert found[len(ACCELERATIONS), -1, 1] > 0.9 and found[2 * len(ACCELERATIONS), -1, 1] < -0.9


def test_the_nearest_anchor_is_the_one_that_was_driven_and_at_standstill_the_first():
    planner, t = head(), 0.5 * torch.arange(1, 9)
    for number, acceleration in enumerate(ACCELERATIONS):
        made = torch.clamp(t, max=8.0 / -acceleration if acceleration < 0 else torch.inf)
        x = 8.0 * made + 0.5 * acceleration * made**2
        target = Trajectory.from_poses(torch.stack([x, 0 * x, 0 * x], dim=-1)[None], 0.5)
        assert planner.nearest_anchor(ego_at(torch.tensor([8.0])), target).item() == number
    stays = Trajectory.from_poses(torch.zeros(1, 8, 3), 0.5)
    assert planner.nearest_anchor(ego_at(torch.zeros(1)), stays).item() == 0


def test_a_gradient_reaches_what_lies_on_the_route_and_nothing_else():
    seen = state(2)
    seen.hidden.requires_grad_()
    found = head()(seen, straight(2), ego_at(torch.tensor([3.0, 6.0])))
    target = Trajectory.from_poses(torch.ones(2, 8, 3), 0.5)
    sum(proposal_losses(found, torch.tensor([0, 1]), target).values()).backward()
    reached = seen.hidden.grad.abs().sum((0, 1, 2))
    assert seen.hidden.grad.isfinite().all() and reached[4:, 7:9].min() > 0
    assert reached[:, :5].max() == 0 and reached[:3].max() == 0


def test_maps_of_every_moment_matter():
    planner, seen, ego = head(), state(1), ego_at(torch.tensor([5.0]))
    usual = planner(seen, straight(1), ego).logits
    for moment in range(len(TIMES_S) + 1):
        other = state(1)
        other.maps.blocked[:, moment, 32:] = 1.0
        assert not torch.allclose(planner(other, straight(1), ego).logits, usual)


def test_a_red_light_changes_the_plan_and_nothing_else_does_with_it_out_of_sight():
    seen, ego, planner = state(2, noise=0.0), ego_at(torch.tensor([5.0, 5.0])), head()
    route = straight(2)
    route.stop_m = torch.tensor([12.0, torch.inf])
    plans = planner(seen, route, ego).poses
    assert plans.isfinite().all() and not torch.allclose(plans[0], plans[1])
    route.stop_m = torch.tensor([1e4, torch.inf])
    far = planner(seen, route, ego).poses
    assert torch.allclose(far[0], far[1], atol=1e-4)


def test_without_a_route_it_plans_straight_ahead():
    seen = state(1, noise=0.0)
    nowhere = Route(torch.zeros(1, 25, 2), torch.zeros(1, 25, dtype=torch.bool), 2.5)
    ego, planner = ego_at(torch.tensor([5.0])), head()
    assert torch.equal(planner(seen, nowhere, ego).poses, planner(seen, None, ego).poses)
    assert torch.allclose(planner(seen, None, ego).poses, planner(seen, straight(1), ego).poses, atol=1e-3)


def test_the_ego_speed_is_used_unless_it_is_no_input_and_its_acceleration_never():
    blind, seeing = head(use_ego_state=False), head()
    plans = [blind(state(1), straight(1), ego_at(torch.tensor([v]))).poses for v in (0.0, 8.0)]
    assert torch.allclose(*plans, atol=1e-4)
    plans = [seeing(state(1), straight(1), ego_at(torch.tensor([v]))).poses for v in (0.0, 8.0)]
    assert not torch.allclose(*plans, atol=1e-3)
    braking = EgoState(torch.tensor([8.0]), torch.tensor([-3.0]), torch.zeros(1))
    assert torch.equal(seeing(state(1), straight(1), braking).poses, plans[1])


def test_a_state_of_another_width_is_refused():
    wrong = state(1)
    wrong.hidden = wrong.hidden[:, :, 1:]
    with pytest.raises(ValueError, match=rf"expected \(B, {len(TIMES_S)}, {CHANNELS}, H, W\)"):
        head()(wrong, straight(1), ego_at(torch.zeros(1)))


def test_it_learns_to_stop_before_an_obstacle_that_only_the_state_shows():
    """The teacher drives 6 m/s and brakes for what is ahead; the ego's motion says nothing about it."""
    generator = torch.Generator().manual_seed(3)

    def sample(batch):
        stop_m = 8 + 14 * torch.rand(batch, generator=generator)
        seen = state(batch, noise=0.0)
        x = -12.8 + 0.8 * (torch.arange(64) + 0.5)
        blocked = (x - stop_m[:, None]).abs() < 1.5
        seen.maps.blocked[:, :, :, 28:36] = blocked[:, None, :, None].float()
        x = (3.0 * torch.arange(1, 9))[None].expand(batch, -1).minimum((stop_m - 5).clamp_min(0)[:, None])
        poses = torch.stack([x, torch.zeros_like(x), torch.zeros_like(x)], dim=-1)
        return seen, Trajectory.from_poses(poses, 0.5), stop_m

    torch.manual_seed(0)
    planner = ProposalHead(CHANNELS, len(TIMES_S), GRID, hidden=48).train()
    optimizer = torch.optim.AdamW(planner.parameters(), lr=3e-3)
    ego = ego_at(torch.full((32,), 6.0))
    for _ in range(200):
        seen, target, _ = sample(32)
        optimizer.zero_grad()
        found = planner(seen, straight(32), ego)
        sum(proposal_losses(found, planner.nearest_anchor(ego, target), target).values()).backward()
        optimizer.step()
    planner.eval()
    seen, target, stop_m = sample(32)
    with torch.no_grad():
        reached = planner(seen, straight(32), ego).preferred().poses[:, -1, 0]
        seen.maps.blocked[:] = 0
        unaware = planner(seen, straight(32), ego).preferred().poses[:, -1, 0]
    assert (reached < stop_m).float().mean() > 0.9
    assert (reached - target.poses[:, -1, 0]).abs().mean() < 2.0
    assert unaware.std() < 0.2 * reached.std()  # it cannot know where to stop
