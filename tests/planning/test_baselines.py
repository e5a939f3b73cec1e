"""Rule-based planners on synthetic observations."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from drivewm.dynamics.idm import IDMParameters
from drivewm.evaluation.functional.planning import ego_boxes
from drivewm.geometry.boxes import bev_corners, polygons_overlap
from drivewm.planning.constant_turn_rate import ConstantTurnRatePlanner
from drivewm.planning.constant_velocity import ConstantVelocityPlanner
from drivewm.planning.idm import IDMPlanner
from drivewm.planning.pdm import PDMPlanner
from drivewm.planning.protocol import check_plan
from drivewm.planning.stop import StopPlanner
from drivewm.structures import RoadMap, Trajectory

PLANNERS = [ConstantVelocityPlanner(), ConstantTurnRatePlanner(), StopPlanner(), IDMPlanner(), PDMPlanner()]


@pytest.mark.parametrize("planner", PLANNERS, ids=lambda p: p.name)
def test_plans_are_complete_invariant_to_rigid_motion_and_leave_the_input_alone(planner, observe, bend_route):
    here = observe(6.0, bend_route, boxes=[(31.0, 20.0, math.pi / 2, 2.0)])
    before = copy.deepcopy(here)
    plan = planner.plan(here)
    check_plan(plan, batch=1)
    for name in ("center", "yaw", "velocity", "valid"):
        assert torch.equal(getattr(here.history.boxes, name), getattr(before.history.boxes, name))
    assert torch.equal(here.route.points, before.route.points)

    yaw, shift = 2.5, np.array([300.0, -70.0])
    c, s = math.cos(yaw), math.sin(yaw)
    turn = np.array([[c, s], [-s, c]])
    x, y = np.array([31.0, 20.0]) @ turn + shift
    moved = observe(6.0, bend_route @ turn + shift, [(x, y, yaw + math.pi / 2, 2.0)], pose=(*shift, yaw))
    assert torch.allclose(planner.plan(moved).poses, plan.poses, atol=1e-3)


def test_constant_velocity_and_stop_in_closed_form(observe):
    poses = ConstantVelocityPlanner().plan(observe(4.0)).poses[0]
    assert torch.allclose(poses[:, 0], 2.0 * torch.arange(1, 9))
    assert (poses[:, 1:] == 0).all()
    assert StopPlanner(deceleration=2.0).plan(observe(4.0)).poses[0, -1, 0].item() == pytest.approx(4.0)


def test_idm_keeps_its_desired_speed_on_a_free_road(observe, straight_route):
    plan = IDMPlanner(IDMParameters(desired_speed=8.0)).plan(observe(8.0, straight_route))
    assert torch.allclose(plan.poses[0, :, 0], 4.0 * torch.arange(1, 9), atol=0.01)


def test_idm_stops_behind_a_parked_car_in_its_lane_and_not_for_one_beside_it(observe, straight_route):
    front = 1.461 + 5.176 / 2
    plan = IDMPlanner().plan(observe(6.0, straight_route, [(25.0, 0.3, 0.0, 0.0)]))
    assert plan.poses[0, -1, 0] + front < 25.0 - 2.3
    free = IDMPlanner().plan(observe(6.0, straight_route))
    beside = IDMPlanner().plan(observe(6.0, straight_route, [(25.0, 3.0, 0.0, 0.0), (-12.0, 0.0, 0.0, 9.0)]))
    assert torch.equal(beside.poses, free.poses)


def test_idm_stops_at_a_red_light_unless_it_is_too_late(observe, straight_route):
    front, light = 1.461 + 5.176 / 2, np.array([[30.0, 0.0]])
    plan = IDMPlanner().plan(observe(8.0, straight_route, red_lights=light))
    assert 30.0 - 5.0 < plan.poses[0, -1, 0] + front < 30.3
    free = IDMPlanner().plan(observe(8.0, straight_route))
    late = IDMPlanner().plan(observe(8.0, straight_route, red_lights=np.array([[front + 3.0, 0.0]])))
    assert torch.equal(late.poses, free.poses)
    waiting = IDMPlanner().plan(observe(0.0, straight_route, red_lights=np.array([[front + 0.5, 0.0]])))
    assert waiting.poses[0, -1, 0] < 0.5


def test_idm_sees_a_leader_behind_a_bend(observe, bend_route):
    free = IDMPlanner().plan(observe(5.0, bend_route))
    blocked = IDMPlanner().plan(observe(5.0, bend_route, [(32.0, 14.0, math.pi / 2, 0.0)]))
    straight_on = IDMPlanner().plan(observe(5.0, bend_route, [(45.0, 0.0, 0.0, 0.0)]))
    assert blocked.poses[0, -1, 0] < free.poses[0, -1, 0] - 1.0
    assert torch.equal(straight_on.poses, free.poses)


def test_idm_slows_down_for_a_bend(observe, bend_route):
    poses = IDMPlanner(lateral_acceleration=2.0).plan(observe(10.0, bend_route)).poses[0].numpy()
    steps = np.linalg.norm(np.diff(np.concatenate([np.zeros((1, 3)), poses])[:, :2], axis=0), axis=1) / 0.5
    assert steps[-1] < 1.25 * math.sqrt(2.0 * 12)


def test_idm_reaches_the_equilibrium_gap_when_replanned(observe, straight_route):
    """With the leader at constant speed v, the gap settles where the acceleration is 0."""
    parameters, lead_speed = IDMParameters(desired_speed=10.0), 6.0
    planner, x, speed, lead = IDMPlanner(parameters), 0.0, 6.0, 40.0
    route = np.stack([np.linspace(-50, 2000, 2051), np.zeros(2051)], axis=-1)
    for _ in range(160):
        plan = planner.plan(observe(speed, route, [(lead, 0.0, 0.0, lead_speed)], pose=(x, 0.0, 0.0)))
        step = plan.poses[0, 0, 0].item()
        speed = 2 * step / 0.5 - speed  # the mean of start and end speed is the step's
        x, lead = x + step, lead + lead_speed * 0.5
    gap = lead - 2.3 - x - (1.461 + 5.176 / 2)
    wanted = (parameters.min_gap + parameters.headway * lead_speed) / math.sqrt(1 - (lead_speed / 10.0) ** 4)
    assert speed == pytest.approx(lead_speed, abs=0.05)
    assert gap == pytest.approx(wanted, abs=0.3)


def test_an_incomplete_plan_is_refused():
    poses = torch.zeros(1, 6, 3)
    with pytest.raises(ValueError, match=r"\(1, 6, 3\)"):
        check_plan(Trajectory.from_poses(poses, 0.5), 1)
    with pytest.raises(ValueError, match="0.1 s apart"):
        check_plan(Trajectory.from_poses(torch.zeros(1, 8, 3), 0.1), 1)
    with pytest.raises(ValueError, match="not valid"):
        check_plan(Trajectory(torch.zeros(1, 8, 3), torch.zeros(1, 8, dtype=torch.bool), 0.5), 1)
    with pytest.raises(ValueError, match="expected a Trajectory"):
        check_plan(poses, 1)


def test_constant_turn_rate_follows_the_circle(observe):
    inputs = observe(5.0)
    inputs.ego_state.yaw_rate[:] = 0.25  # radius 20 m, to the left
    poses = ConstantTurnRatePlanner().plan(inputs).poses[0].double()
    times = 0.5 * torch.arange(1, 9)
    assert torch.allclose(
        (poses[:, :2] - torch.tensor([0.0, 20.0])).norm(dim=-1), torch.tensor(20.0).double(), atol=1e-4
    )
    assert torch.allclose(poses[:, 2], 0.25 * times.double(), atol=1e-6)
    inputs.ego_state.yaw_rate[:] = 0.0
    straight = ConstantVelocityPlanner().plan(inputs).poses
    assert torch.allclose(ConstantTurnRatePlanner().plan(inputs).poses, straight)


def test_pdm_drives_like_idm_where_nothing_is_in_the_way(observe, straight_route):
    free = observe(8.0, straight_route)
    assert torch.allclose(PDMPlanner().plan(free).poses, IDMPlanner().plan(free).poses, atol=1e-5)


def test_pdm_waits_for_someone_who_is_about_to_cross_and_goes_on_behind(observe, straight_route):
    """A car that crosses at 5 m/s from the right and will be in the lane when an ego at full speed gets there."""
    crossing = observe(8.0, straight_route, boxes=[(24.0, -13.0, math.pi / 2, 5.0)])
    boxes = crossing.history.boxes
    planner = PDMPlanner()
    poses = planner.plan(crossing).poses[0].double().numpy()
    for step, pose in enumerate(poses):
        ego = ego_boxes(pose, (5.176, 2.297, 1.75), 1.461)
        other = boxes.boxes()[0, -1, 0].double().numpy().copy()
        other[:2] += 0.5 * (step + 1) * boxes.velocity[0, -1, 0].double().numpy()
        assert not polygons_overlap(bev_corners(ego), bev_corners(other))
    assert poses[-1, 0] > 5.0


def test_pdm_keeps_to_the_drivable_area_and_says_when_boxes_lack(observe, straight_route):
    inputs = observe(8.0, straight_route, boxes=[(18.0, -2.2, 0.0, 0.0)])  # parked half in the lane
    narrow = np.zeros((400, 40), bool)
    narrow[:, 18:22] = True  # y in [-2, 2): no room to pass
    inputs = replace(inputs, road_map=(RoadMap({}, narrow, (-100.0, -20.0), 1.0),))
    poses = PDMPlanner().plan(inputs).poses[0]
    assert (poses[:, 1].abs() < 0.86).all()
    inputs.history.boxes = None
    with pytest.raises(ValueError, match="needs history.boxes"):
        PDMPlanner().plan(inputs)
