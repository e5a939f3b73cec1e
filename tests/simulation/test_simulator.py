"""Episodes: reproducible, free of crashes under the expert, and alive."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from drivewm.dynamics.bicycle import Control
from drivewm.geometry.boxes import bev_corners, polygons_overlap
from drivewm.simulation import Town, TownSimulator, make_scenarios
from drivewm.simulation.scenario import STRAIGHT_RAD
from drivewm.simulation.traffic import EGO


def drive(sim: TownSimulator, scenario, steps: int):
    """Poses of the ego and boxes of all agents, driven by the expert."""
    sim.reset(scenario)
    poses, boxes = [], []
    for _ in range(steps):
        poses.append(sim.ego.pose)
        boxes.append(sim.boxes().boxes)
        sim.step(sim.expert_control())
    return np.array(poses), np.array(boxes)


def test_an_episode_is_reproducible_from_town_and_scenario(small_town, grid):
    scenario = make_scenarios(small_town, 2, 11, 20.0)[1]
    sim = TownSimulator(small_town)
    first = drive(sim, scenario, 60)
    labels, points = sim.occupancy(grid), sim.lidar(np.random.default_rng(1)).points
    # Another episode in between, a fresh town, and a scenario that has been stored.
    drive(sim, make_scenarios(small_town, 1, 12, 20.0)[0], 10)
    stored = pickle.loads(pickle.dumps(scenario))
    again = TownSimulator(Town.generate(small_town.seed, small_town.location, small_town.extent_m))
    for other in (sim, again):
        second = drive(other, stored, 60)
        for a, b in zip(first, second, strict=True):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(labels, other.occupancy(grid))
        np.testing.assert_array_equal(points, other.lidar(np.random.default_rng(1)).points)
    assert len(pickle.dumps(scenario)) < 2000


def test_scenarios_depend_on_seed_only(small_town):
    assert make_scenarios(small_town, 3, 1, 20.0) == make_scenarios(small_town, 3, 1, 20.0)
    assert make_scenarios(small_town, 3, 1, 20.0) != make_scenarios(small_town, 3, 2, 20.0)
    assert make_scenarios(small_town, 0, 1, 20.0) == []


@pytest.mark.parametrize("seed", range(4))
def test_expert_and_traffic_do_not_crash(seed):
    town = Town.generate(seed, "crash", 220.0)
    sim, road_map = TownSimulator(town), town.road_map()
    for scenario in make_scenarios(town, 3, seed, 20.0):
        sim.reset(scenario)
        while not sim.done:
            sim.step(sim.expert_control())
            ego = bev_corners(sim.traffic.boxes()[EGO])
            assert not polygons_overlap(ego[None], bev_corners(sim.boxes(30.0).boxes)).any()
            assert road_map.is_drivable(ego).all()
            assert abs(sim.ego.speed * sim.ego.yaw_rate()) < 3.0


def test_straight_scenarios_stay_straight_and_others_do_not_all():
    town = Town.generate(1, "straight", 330.0)
    scenarios = make_scenarios(town, 12, 0, 20.0)
    assert 2 <= sum(s.straight for s in scenarios) <= 10
    sim = TownSimulator(town)
    for scenario in [s for s in scenarios if s.straight][:3]:
        poses, _ = drive(sim, scenario, 200)
        assert np.abs(np.unwrap(poses[:, 2]) - poses[0, 2]).max() < STRAIGHT_RAD + 0.05


def test_agents_move_turn_and_keep_their_tracks(small_town):
    sim = TownSimulator(small_town)
    sim.reset(make_scenarios(small_town, 1, 4, 20.0)[0])
    before = sim.boxes()
    for _ in range(50):
        sim.step(sim.expert_control())
    after = sim.boxes()
    np.testing.assert_array_equal(before.track, after.track)
    assert len(np.unique(after.track)) == len(after)
    assert before.category == after.category
    moved = np.linalg.norm(after.boxes[:, :2] - before.boxes[:, :2], axis=1)
    np.testing.assert_array_equal(moved[after.parked], 0.0)
    assert (moved[~after.parked] > 2.0).mean() > 0.5
    np.testing.assert_array_equal(before.boxes[:, 3:6], after.boxes[:, 3:6])


def test_traffic_brakes_for_an_ego_that_stands_in_the_way(small_town):
    sim = TownSimulator(small_town)
    for scenario in make_scenarios(small_town, 3, 9, 20.0):
        sim.reset(scenario)
        while not sim.done:
            sim.step(Control(-6.0, 0.0))
            ego = bev_corners(sim.traffic.boxes()[EGO])
            assert not polygons_overlap(ego[None], bev_corners(sim.boxes(30.0).boxes)).any()
        assert sim.ego.speed == 0.0


def test_an_empty_town_is_fine_and_the_wrong_town_is_not(small_town):
    sim = TownSimulator(small_town)
    scenario = make_scenarios(small_town, 1, 4, 20.0)[0]
    sim.reset(replace(scenario, density=0.0))
    assert not (~sim.boxes().parked).any()
    sim.step(sim.expert_control())
    with pytest.raises(ValueError, match="belongs to town"):
        sim.reset(replace(scenario, town="elsewhere"))
    with pytest.raises(ValueError, match="duration_s"):
        replace(scenario, duration_s=0.0)


def test_poses_and_clock(small_town):
    sim = TownSimulator(small_town)
    sim.reset(make_scenarios(small_town, 1, 4, 20.0)[0])
    start = sim.timestamp_us
    T = sim.T_global_ego()
    np.testing.assert_allclose(T[:2, 3], sim.ego.pose[:2])
    assert T.shape == (4, 4) and T[2, 3] == 0.0
    for _ in range(5):
        sim.step(sim.expert_control())
    assert sim.timestamp_us - start == 500_000 and sim.time_s == 0.5
    route = sim.route_points()
    assert np.hypot(*(route - sim.ego.pose[:2]).T).min() < 1.0
    sim.set_ego(np.array([1.0, 2.0, 0.5]), 3.0)
    np.testing.assert_array_equal(sim.ego.pose, [1.0, 2.0, 0.5])


def test_chance_may_decide_otherwise_from_now_on(small_town):
    sim = TownSimulator(small_town)
    sim.reset(make_scenarios(small_town, 2, 5, 20.0)[1])

    def rollout(seed):
        twin = sim.fork()
        if seed is not None:
            twin.redraw(seed)
        boxes = [np.vstack([twin.traffic.boxes(), twin.boxes().boxes])]
        for _ in range(80):
            twin.step(twin.expert_control())
            boxes.append(np.vstack([twin.traffic.boxes(), twin.boxes().boxes]))
        moving = twin.traffic.boxes()
        overlap = polygons_overlap(bev_corners(moving)[:, None], bev_corners(moving)[None])
        assert not (overlap & ~np.eye(len(moving), dtype=bool)).any()
        return np.array(boxes)

    plain, one, same, other = rollout(None), rollout(1), rollout(1), rollout(2)
    assert np.array_equal(one, same)
    assert np.array_equal(one[0], plain[0]) and np.array_equal(other[0], plain[0])
    moved = np.linalg.norm(one[-1, :, :2] - other[-1, :, :2], axis=-1)
    assert moved[EGO] > 0.1 and (moved > 0.5).sum() > 3
    assert np.array_equal(rollout(None), plain)  # the forks have not changed it
    sim.reset(make_scenarios(small_town, 2, 5, 3.0)[1], reactive=False)
    with pytest.raises(ValueError, match="nothing to redraw"):
        sim.redraw(1)
