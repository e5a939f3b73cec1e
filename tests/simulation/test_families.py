"""Families of scenarios: what is to happen happens, the expert copes, parts are held out; agents that do not react."""

import numpy as np
import pytest

from drivewm.dynamics.bicycle import Control
from drivewm.geometry.boxes import bev_corners, polygons_overlap
from drivewm.simulation import FAMILIES, Town, TownSimulator, make_family
from drivewm.simulation.families import PLACES, parts
from drivewm.simulation.scenario import Actor, Driver
from drivewm.simulation.signals import GREEN
from drivewm.simulation.traffic import EGO

SITUATIONS = [name for name in FAMILIES if name != "nominal"]
ADVERSARIAL = ("stationary", "frontal", "side")


@pytest.fixture(scope="module")
def town() -> Town:
    return Town.generate(0, "fam-5")


def drive(sim, scenario, cruise=False, **options):
    """Until the end or a crash: did it crash, and the ego's poses. Cruising keeps the speed after 2 s."""
    sim.reset(scenario, **options)
    poses = []
    while not sim.done:
        control = sim.expert_control()
        sim.step(Control(0.0, control.steering_rate) if cruise and sim.time_s > 2.0 else control)
        poses.append(sim.ego.pose)
        ego = bev_corners(sim.traffic.boxes()[EGO])
        if polygons_overlap(ego[None], bev_corners(sim.boxes(30.0).boxes)).any():
            return True, np.array(poses)
    return False, np.array(poses)


@pytest.mark.parametrize("family", SITUATIONS)
def test_the_expert_copes_with_every_situation_and_it_takes_place(town, family):
    sim, happened = TownSimulator(town), 0
    for scenario in make_family(town, family, 3, 0, 12.0):
        assert scenario.family == family and family.replace("_", " ") in scenario.description
        crashed, _ = drive(sim, scenario)
        assert not crashed
        acted = np.isfinite(sim.traffic.script.acted_s) | np.array([not d.act for d in scenario.drivers], bool)
        happened += int(sim.actors.started.all() and acted.all())
    assert happened >= 2  # a light or a leader may keep the ego from getting there


@pytest.mark.parametrize("family", ADVERSARIAL)
def test_who_keeps_the_speed_crashes_in_adversarial_situations(town, family):
    sim = TownSimulator(town)
    scenarios = make_family(town, family, 3, 0, 12.0)
    assert sum(drive(sim, scenario, cruise=True)[0] for scenario in scenarios) >= 2


def test_a_cut_in_ends_in_the_lane_of_the_ego(town):
    sim, seen = TownSimulator(town), 0
    for scenario in make_family(town, "cut_in", 4, 3, 14.0):
        sim.reset(scenario)
        lane = sim.traffic.paths[1, 1]
        while not sim.done and np.isinf(sim.traffic.script.acted_s[0]):
            sim.step(sim.expert_control())
        if not sim.done:
            assert lane not in scenario.route
            assert sim.traffic.paths[1, 1] in scenario.route
            seen += 1
    assert seen >= 2


def test_a_red_light_stops_the_ego(town):
    sim = TownSimulator(town)
    for scenario in make_family(town, "red_light", 2, 0, 14.0):
        sim.reset(scenario)
        signalled = next(c for c in scenario.route if town.signals.phase[c] >= 0)
        stood = False
        while not sim.done:
            sim.step(sim.expert_control())
            state = town.signals.states(sim.time_s + scenario.lights_s)[signalled]
            stood |= sim.ego.speed < 0.2 and state != GREEN
        assert stood


def test_a_pedestrian_comes_from_behind_a_parked_vehicle(town):
    for scenario in make_family(town, "hidden_pedestrian", 3, 0, 14.0):
        start = np.array(scenario.actors[0].line[0])
        gap = np.hypot(*(town.scenery.parked_boxes[:, :2] - start).T)
        assert gap.min() < 9.0
        assert not town.road_map().is_drivable(start) or gap.min() < 6.0


def test_families_depend_on_their_arguments_only(town):
    assert make_family(town, "side", 2, 4) == make_family(town, "side", 2, 4)
    assert make_family(town, "side", 2, 4) != make_family(town, "side", 2, 5)
    assert make_family(town, "nominal", 0, 4) == []
    with pytest.raises(ValueError, match="no family is called 'fog'"):
        make_family(town, "fog", 1, 0)


@pytest.mark.parametrize("family", SITUATIONS)
def test_held_out_combinations_are_new_but_their_parts_are_not(family):
    known, held_out = set(parts(family, False)), set(parts(family, True))
    assert known and held_out and not known & held_out
    for part in (0, 1):
        assert {combination[part] for combination in held_out} <= {combination[part] for combination in known}


def test_held_out_scenarios_show_held_out_combinations(town):
    names = {(kind, place) for kind, place in parts("stationary", True)}
    for scenario in make_family(town, "stationary", 3, 1, held_out=True):
        station = np.concatenate([[0.0], np.cumsum(town.lanes.table.length[list(scenario.route)])])
        lane = scenario.route[np.searchsorted(station, scenario.actors[0].meet_m) - 1]
        street = town.streets[town.lanes.street[lane]]
        place = PLACES[2] if street.lanes > 1 else PLACES[int(street.curved)]
        assert (scenario.actors[0].kind, place) in names


def test_agents_that_are_replayed_do_not_react(town):
    scenario = make_family(town, "nominal", 1, 2, 8.0)[0]
    sim = TownSimulator(town)
    tracks = []
    for braking in (0.0, -6.0):
        sim.reset(scenario, reactive=False)
        boxes = []
        while not sim.done:
            control = sim.expert_control()
            sim.step(Control(braking, 0.0) if braking else control)
            boxes.append(sim.boxes().boxes)
        tracks.append(np.array(boxes))
    np.testing.assert_array_equal(*tracks)
    _, driven = drive(sim, scenario)
    sim.reset(scenario, reactive=False)
    again = []
    while not sim.done:  # with the expert at the wheel all is as it was
        sim.step(sim.expert_control())
        again.append(sim.ego.pose)
    np.testing.assert_allclose(again, driven, atol=1e-9)


def test_a_seed_gives_other_traffic_on_the_same_route(town):
    scenario = make_family(town, "nominal", 1, 2, 8.0)[0]
    sim, boxes = TownSimulator(town), []
    for seed in (None, scenario.seed, scenario.seed + 1):
        sim.reset(scenario, seed=seed)
        boxes.append(sim.boxes().boxes)
    np.testing.assert_array_equal(boxes[0], boxes[1])
    assert boxes[2].shape != boxes[0].shape or not np.array_equal(boxes[2], boxes[0])


def test_impossible_roles_are_refused():
    with pytest.raises(ValueError, match="act is 'fly'"):
        Driver(0, 0, 0.0, act="fly")
    with pytest.raises(ValueError, match="2 points"):
        Actor(0, ((0.0, 0.0),), 1.0, 0.0, 0.0)
