"""The town as an environment: what it shows, what plans do in it, and that episodes repeat."""

import json
import math

import numpy as np
import pytest
import torch

from drivewm.closed_loop.episodes import PlannerSpec
from drivewm.closed_loop.recorder import RolloutRecorder
from drivewm.closed_loop.runner import run
from drivewm.closed_loop.scenarios import held_out_scenarios
from drivewm.closed_loop.town import TownEnvironment, town_environment
from drivewm.geometry import VoxelGrid, se3
from drivewm.geometry.boxes import points_in_boxes
from drivewm.planning.constant_velocity import ConstantVelocityPlanner
from drivewm.planning.idm import IDMPlanner
from drivewm.planning.stop import StopPlanner

GRID = VoxelGrid((-25.6, -25.6, -1.0, 25.6, 25.6, 5.4), 0.8)
IDM = PlannerSpec("idm", IDMPlanner)


@pytest.fixture(scope="module")
def scenarios():
    return held_out_scenarios(3, seed=1, scored_s=4.0)


def environment(scenario, grid=None, num_history=3) -> TownEnvironment:
    return town_environment(scenario, PlannerSpec("any", StopPlanner, grid=grid, num_history=num_history))


def test_the_history_is_what_the_readers_of_recordings_give(scenarios):
    town = environment(scenarios[0], GRID, num_history=4)
    inputs = town.observe()
    history = inputs.history
    assert history.occupancy.shape == (1, 4, *GRID.shape)
    assert torch.equal(history.timestamp_us.diff(), torch.full((1, 3), 500_000))
    assert np.allclose(history.T_global_ego[0, -1], town.simulator.T_global_ego())
    speed, _, _ = history.motion()
    assert speed.item() == pytest.approx(town.simulator.ego.speed, abs=0.8)
    assert inputs.ego_state.speed.item() == pytest.approx(town.simulator.ego.speed)
    assert history.route is inputs.route and inputs.route.valid.all()
    assert torch.linalg.norm(inputs.route.points[0, 0]) < 0.5


def test_boxes_are_where_the_occupancy_shows_them(scenarios):
    history = environment(scenarios[0], GRID).observe().history
    boxes, occupancy = history.boxes, history.occupancy[0, -1].numpy()
    shown = 0
    for slot in range(boxes.valid.shape[2]):
        center = boxes.center[0, -1, slot]
        if not boxes.valid[0, -1, slot] or center[:2].abs().max() > 22 or boxes.label[0, -1, slot] == 7:
            continue
        inside = points_in_boxes(GRID.centers().reshape(-1, 3), boxes.boxes()[0, -1, slot : slot + 1].numpy())[:, 0]
        found = set(occupancy.reshape(-1)[inside].tolist())
        assert int(boxes.label[0, -1, slot]) in found
        shown += 1
    assert shown > 0


def test_box_velocities_move_the_boxes(scenarios):
    """A box seen half a second ago, moved by its velocity, is where it is seen now (ego motion taken out)."""
    history = environment(scenarios[0]).observe().history
    boxes = history.boxes
    T_now_before = np.linalg.inv(history.T_global_ego[0, -1].numpy()) @ history.T_global_ego[0, -2].numpy()
    both = (boxes.valid[0, -1] & boxes.valid[0, -2]).numpy()
    speed = boxes.velocity[0, -2].norm(dim=-1).numpy()
    before = boxes.center[0, -2].double().numpy().copy()
    before[:, :2] += 0.5 * boxes.velocity[0, -2].double().numpy()
    now = se3.transform_points(T_now_before, before)
    error = np.linalg.norm(now[:, :2] - boxes.center[0, -1].numpy()[:, :2], axis=-1)
    assert (both & (speed > 1)).any()
    assert error[both].max() < 1.0  # braking and bends


def test_a_stop_plan_stops_and_a_straight_plan_goes_straight(scenarios):
    town = environment(scenarios[0])
    start = town.simulator.ego
    while not town.done:
        town.step(StopPlanner().plan(town.observe()))
    assert town.simulator.ego.speed < 0.3
    rollout = town.rollout()
    assert rollout.poses.shape == (41, 3) and rollout.dt_s == 0.1
    assert np.allclose(rollout.poses[0], start.pose)
    heading = np.angle(np.exp(1j * (rollout.poses[:, 2] - start.yaw)))
    assert np.abs(heading).max() < 0.1


def test_the_warm_up_is_not_in_the_rollout_and_grows_with_the_history(scenarios):
    town = environment(scenarios[0], num_history=7)
    assert town.simulator.time_s == pytest.approx(3.0)
    assert len(town.rollout().poses) == 1
    with pytest.raises(ValueError, match="warm-up"):
        environment(scenarios[0], num_history=20)


def test_workers_and_batches_do_not_change_the_records(scenarios, tmp_path):
    specs = [IDM, PlannerSpec("constant_velocity", ConstantVelocityPlanner)]
    here = run(specs, scenarios, town_environment, tmp_path / "here", batch=3)
    there = run(specs, scenarios, town_environment, tmp_path / "there", workers=2, batch=1)
    assert json.dumps(here) == json.dumps(there)
    reference = [r for r in here if r["planner"] == "expert"]
    assert all(r["status"] == "ok" for r in reference)
    assert all(r["score"][term] == 1.0 for r in reference for term in ("nc", "dac", "ddc", "tlc", "lk"))


def test_held_out_scenarios_repeat_and_share_no_town_with_data(scenarios):
    assert held_out_scenarios(3, seed=1, scored_s=4.0) == scenarios
    assert all(s.town.startswith("held-out") for s in scenarios)
    assert all(math.isclose(s.duration_s, 6.0) for s in scenarios)


def test_situations_in_towns_of_their_own(scenarios):
    found = held_out_scenarios(2, seed=1, scored_s=4.0, family="stationary")
    assert held_out_scenarios(1, seed=1, scored_s=4.0, family="stationary") == found[:1]
    assert all(scenario.family == "stationary" and scenario.actors for scenario in found)
    assert not {scenario.name for scenario in found} & {scenario.name for scenario in scenarios}
    with pytest.raises(ValueError, match="no family is called 'fog'"):
        held_out_scenarios(1, seed=1, family="fog")


def test_planners_are_told_of_red_lights_on_their_route():
    scenario = held_out_scenarios(1, seed=1, scored_s=6.0, family="red_light")[0]
    town, seen = environment(scenario), []
    while not town.done:
        stop_m = float(town.observe().route.stop_m[0])
        seen.append(np.isfinite(stop_m))
        if seen[-1]:  # the way along the route is no shorter than straight to one of the stop lines
            gap = np.hypot(*(town.simulator.red_lights() - town.simulator.ego.pose[:2]).T)
            assert gap.min() <= stop_m + 1.0
        town.step_reference()
    assert any(seen)


def test_lidar_is_shown_where_it_is_wanted_and_repeats(scenarios):
    spec = PlannerSpec("any", StopPlanner, num_history=2, lidar=True)
    history = town_environment(scenarios[0], spec).observe().history
    assert environment(scenarios[0]).observe().history.points is None
    assert torch.equal(history.points, town_environment(scenarios[0], spec).observe().history.points)
    rays = history.ray_directions.shape[2]
    assert history.ray_hit.shape == (1, 2, rays) and history.points.shape[:2] == (1, 2)
    for frame in range(2):
        count = int(history.points_valid[0, frame].sum())
        assert count == history.ray_hit[0, frame].sum()
        # Each point lies on the ray that it came back on; points are in the order of their rays.
        T = history.T_ego_lidar[0, frame]
        own = (history.points[0, frame, :count, :3] - T[:3, 3]) @ T[:3, :3]
        sent = history.ray_directions[0, frame][history.ray_hit[0, frame]]
        assert torch.allclose(own / own.norm(dim=-1, keepdim=True), sent, atol=1e-4)


def test_a_place_without_lights_is_fine(scenarios):
    """Some towns have none: that is known, and is not the same as not knowing."""
    town = environment(scenarios[0])
    recorder = RolloutRecorder(
        0.1, town.simulator.vehicle, town.road_map, town.simulator.route_points(), np.zeros(0, int)
    )
    for _ in range(3):
        recorder.add(town.simulator.ego, town.simulator.boxes(20.0), np.zeros(0, bool))
    lights = recorder.rollout().lights
    assert lights.lane.shape == (0,) and lights.red.shape == (3, 0)
