"""The trajectory head: what it depends on, and that it learns to stop."""

import pytest
import torch

from drivewm.geometry.voxel_grid import VoxelGrid
from drivewm.planning.head import TrajectoryHead, planning_loss
from drivewm.planning.protocol import check_plan
from drivewm.structures import EgoState, Route, Trajectory

GRID = VoxelGrid((-25.6, -25.6, -1.0, 25.6, 25.6, 5.4), 0.8)
CHANNELS = 6


def ego_at(speed):
    return EgoState(speed, torch.zeros_like(speed), torch.zeros_like(speed))


def straight(batch):
    x = 2.5 * torch.arange(25.0)
    points = torch.stack([x, torch.zeros(25)], dim=-1).expand(batch, -1, -1)
    return Route(points, torch.ones(batch, 25, dtype=torch.bool), 2.5)


def head(seed=0, **options):
    torch.manual_seed(seed)
    return TrajectoryHead(CHANNELS, GRID, **options).eval()


def test_the_plan_is_complete_and_never_goes_backwards():
    state = torch.randn(3, CHANNELS, 16, 16, generator=torch.Generator().manual_seed(1))
    plan = head()(state, straight(3), ego_at(torch.tensor([0.0, 4.0, 9.0])))
    check_plan(plan, 3)
    assert (plan.poses[:, 1:, 0] >= plan.poses[:, :-1, 0]).all()


def test_a_gradient_reaches_the_state():
    state = torch.randn(2, CHANNELS, 16, 16, generator=torch.Generator().manual_seed(1)).requires_grad_()
    plan = head()(state, straight(2), ego_at(torch.tensor([3.0, 6.0])))
    target = Trajectory.from_poses(torch.ones(2, 8, 3), 0.5)
    sum(planning_loss(plan, target).values()).backward()
    assert state.grad.isfinite().all()
    assert (state.grad.abs().sum((1, 2, 3)) > 0).all()
    # only cells near the route are read: y in [-2, 2], nothing far to the side
    assert state.grad[..., :4].abs().max() == 0
    assert state.grad[:, :, 10, 7:9].abs().max() > 0


def test_a_red_light_changes_the_plan_and_nothing_else_does_with_it_out_of_sight():
    state, ego, planner = torch.zeros(2, CHANNELS, 16, 16), ego_at(torch.tensor([5.0, 5.0])), head()
    route = straight(2)
    route.stop_m = torch.tensor([12.0, torch.inf])
    plans = planner(state, route, ego).poses
    assert plans.isfinite().all() and not torch.allclose(plans[0], plans[1])
    route.stop_m = torch.tensor([1e4, torch.inf])
    far = planner(state, route, ego).poses
    assert torch.allclose(far[0], far[1], atol=1e-5)


def test_without_a_route_it_plans_straight_ahead():
    state = torch.zeros(1, CHANNELS, 16, 16)
    nowhere = Route(torch.zeros(1, 25, 2), torch.zeros(1, 25, dtype=torch.bool), 2.5)
    ego, planner = ego_at(torch.tensor([5.0])), head()
    assert torch.equal(planner(state, nowhere, ego).poses, planner(state, None, ego).poses)
    assert torch.allclose(planner(state, None, ego).poses, planner(state, straight(1), ego).poses, atol=1e-4)


def test_the_ego_speed_is_used_unless_it_is_no_input_and_its_acceleration_never():
    state = torch.randn(1, CHANNELS, 16, 16, generator=torch.Generator().manual_seed(1))
    blind, seeing = head(use_ego_state=False), head()
    plans = [blind(state, straight(1), ego_at(torch.tensor([v]))).poses for v in (0.0, 8.0)]
    assert torch.allclose(*plans, atol=1e-5)
    plans = [seeing(state, straight(1), ego_at(torch.tensor([v]))).poses for v in (0.0, 8.0)]
    assert not torch.allclose(*plans, atol=1e-3)
    braking = EgoState(torch.tensor([8.0]), torch.tensor([-3.0]), torch.zeros(1))
    assert torch.equal(seeing(state, straight(1), braking).poses, plans[1])


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


def test_a_state_of_another_width_is_refused():
    with pytest.raises(ValueError, match=f"expected \\(B, {CHANNELS}, H, W\\)"):
        head()(torch.zeros(1, CHANNELS + 1, 16, 16), straight(1), ego_at(torch.zeros(1)))


def test_it_learns_to_stop_before_an_obstacle_that_only_the_state_shows():
    """The teacher drives 6 m/s up to 5 m before the obstacle; the ego's motion says nothing about it."""
    generator = torch.Generator().manual_seed(3)

    def sample(batch):
        stop_m = 6 + 16 * torch.rand(batch, generator=generator)
        state = 0.1 * torch.randn(batch, CHANNELS, 16, 16, generator=generator)
        x = -25.6 + 3.2 * (torch.arange(16) + 0.5)
        blocked = (x - stop_m[:, None]).abs() < 2.4
        state[:, 0, :, 7:9] += 2.0 * blocked[:, :, None]
        x = (3.0 * torch.arange(1, 9))[None].expand(batch, -1).minimum((stop_m - 5).clamp_min(0)[:, None])
        poses = torch.stack([x, torch.zeros_like(x), torch.zeros_like(x)], dim=-1)
        return state, Trajectory.from_poses(poses, 0.5), stop_m

    planner = head(hidden=64).train()
    optimizer = torch.optim.AdamW(planner.parameters(), lr=2e-3)
    ego = ego_at(torch.full((64,), 6.0))
    for _ in range(200):
        state, target, _ = sample(64)
        optimizer.zero_grad()
        sum(planning_loss(planner(state, straight(64), ego), target).values()).backward()
        optimizer.step()
    planner.eval()
    state, target, stop_m = sample(64)
    with torch.no_grad():
        reached = planner(state, straight(64), ego).poses[:, -1, 0]
        state[:, 0] = 0
        unaware = planner(state, straight(64), ego).poses[:, -1, 0]
    assert (reached < stop_m).float().mean() > 0.95
    assert (reached - target.poses[:, -1, 0]).abs().mean() < 1.5
    assert unaware.std() < 0.2 * reached.std()  # it cannot know where to stop
