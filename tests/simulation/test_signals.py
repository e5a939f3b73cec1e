"""Lights: never green for those in each other's way, time for people to cross; lanes and lane changes."""

import numpy as np
import pytest

from drivewm.dynamics.idm import IDMParameters
from drivewm.simulation import Town, TownSimulator, make_scenarios
from drivewm.simulation.lane_change import Drift, worth_changing
from drivewm.simulation.shading import paint_bodies
from drivewm.simulation.signals import ALL_RED_S, GREEN, LIGHT_SIZE_M, RED, YELLOW, YELLOW_S, lit_lamps
from drivewm.simulation.streets import LANE_WIDTH_M
from drivewm.simulation.traffic import EGO

TIMES_S = np.arange(0.0, 120.0, 0.25)


@pytest.fixture(scope="module")
def lit_town() -> Town:
    return Town.generate(0, "lights")


@pytest.fixture(scope="module")
def states(lit_town) -> np.ndarray:
    """`(T, L)` of all lights."""
    return np.stack([lit_town.signals.states(t) for t in TIMES_S])


def test_lights_stand_at_junctions_of_three_streets_and_show_every_colour(lit_town, states):
    signals, lanes = lit_town.signals, lit_town.lanes
    lit = np.flatnonzero(signals.phase >= 0)
    assert len(lit) and lanes.is_connector[lit].all()
    assert (states[:, signals.phase < 0] == GREEN).all()
    for lane in lit:
        assert set(states[:, lane]) == {GREEN, YELLOW, RED}
        changes = list(dict.fromkeys(states[:, lane][np.flatnonzero(np.diff(states[:, lane], prepend=-1))][1:4]))
        assert changes in ([GREEN, YELLOW, RED], [YELLOW, RED, GREEN], [RED, GREEN, YELLOW])
    for node in np.unique(lanes.junction[lit]):
        assert sum(node in street.nodes for street in lit_town.streets) >= 3


def test_only_turns_across_oncoming_traffic_are_green_together_with_what_they_cross(lit_town, states):
    lanes, moving = lit_town.lanes, states != RED
    a, b = np.nonzero((lanes.conflicts >= 0) & (lit_town.signals.phase >= 0)[:, None])
    together = (moving[:, a] & moving[:, b]).any(0)
    same_phase = lit_town.signals.phase[a] == lit_town.signals.phase[b]
    np.testing.assert_array_equal(together, same_phase)
    for i, j in zip(a[together], b[together], strict=True):
        assert (lanes.turn[[i, j]] != 0).any()


def test_all_lights_of_a_junction_are_red_in_between(lit_town, states):
    signals, lanes = lit_town.signals, lit_town.lanes
    for node in np.unique(lanes.junction[signals.phase >= 0]):
        own = np.flatnonzero((signals.phase >= 0) & (lanes.junction == node))
        share = (states[:, own] == RED).all(1).mean()
        phases = len(np.unique(signals.phase[own]))
        assert signals.cycle_s[own[0]] == pytest.approx(phases * (signals.green_s[own[0]] + YELLOW_S + ALL_RED_S))
        assert share == pytest.approx(phases * ALL_RED_S / signals.cycle_s[own[0]], abs=0.02)


def test_people_who_get_a_walk_signal_reach_the_other_side_before_the_traffic(lit_town):
    signals, walks = lit_town.signals, lit_town.walks
    lit = np.flatnonzero(signals.crossing_lane >= 0)
    assert len(lit)
    for crossing in lit:
        needed_s = 2 * walks.crossing_half_m[crossing] / 1.2
        allowed = [t for t in TIMES_S if signals.may_walk(t)[crossing]]
        assert allowed
        for t in allowed[::5]:
            during = [signals.states(t + s)[signals.crossing_lane[crossing]] for s in np.arange(0.0, needed_s, 0.2)]
            assert set(during) == {RED}


def test_nobody_drives_through_a_red_light(lit_town):
    sim = TownSimulator(lit_town)
    entered = 0
    for scenario in make_scenarios(lit_town, 3, 1, 20.0):
        sim.reset(scenario)
        before = sim.traffic.paths[:, 1].copy()
        while not sim.done:
            sim.step(sim.expert_control())
            current = sim.traffic.paths[:, 1]
            fresh = (current != before) & (lit_town.signals.phase[current] >= 0)
            # The centre crosses into the junction up to 2 s after the bumper has passed the line.
            for lane in current[fresh]:
                past = [lit_town.signals.states(sim.time_s + scenario.lights_s - s)[lane] for s in (0.0, 1.0, 2.0)]
                assert RED not in past[1:] or GREEN in past or YELLOW in past
            entered += int(fresh.sum())
            before = current.copy()
    assert entered > 5


def test_red_lights_are_stop_lines_ahead(lit_town):
    sim = TownSimulator(lit_town)
    sim.reset(make_scenarios(lit_town, 1, 1, 20.0)[0])
    lanes, states = lit_town.lanes, lit_town.signals.states(sim.scenario.lights_s)
    closed = {lanes.predecessors[i][0] for i in np.flatnonzero(states != GREEN)}
    red = sim.red_lights()
    assert 0 < len(red) <= len(closed)
    for point in red:
        assert min(np.hypot(*(lanes.table.polyline(lane) - point).T).min() for lane in closed) < 0.3


def test_lanes_of_a_street_lie_beside_each_other(lit_town):
    lanes = lit_town.lanes
    assert (lanes.beside >= 0).any()
    for lane, (left, right) in enumerate(lanes.beside):
        assert left < 0 or lanes.beside[left, 1] == lane
        assert right < 0 or lanes.beside[right, 0] == lane
        for other, sign in ((left, 1.0), (right, -1.0)):
            if other >= 0:
                line, beside = lanes.table.polyline(lane), lanes.table.polyline(other)
                gap = np.linalg.norm(line[:, None] - beside[None], axis=-1).min(1)
                np.testing.assert_allclose(gap[5:-5], LANE_WIDTH_M, atol=0.05)
                ahead, away = line[1] - line[0], beside[0] - line[0]
                assert np.sign(ahead[0] * away[1] - ahead[1] * away[0]) == sign


def test_turns_begin_and_end_in_the_lane_beside_the_kerb_or_the_middle(lit_town):
    lanes = lit_town.lanes
    for connector in np.flatnonzero(lanes.is_connector & (lanes.turn != 0)):
        source, target = lanes.predecessors[connector][0], lanes.successors[connector][0]
        alternatives = [c for c in lanes.successors[source] if lanes.street[lanes.successors[c][0]] != -1]
        if len({lanes.turn[c] for c in alternatives}) > 1:  # a lane with a choice turns only on its own side
            side = 1 if lanes.turn[connector] < 0 else 0
            assert lanes.beside[source, side] < 0 and lanes.beside[target, side] < 0


def test_some_change_lanes_smoothly_and_keep_their_distance(lit_town):
    sim = TownSimulator(lit_town)
    changes = 0
    for scenario in make_scenarios(lit_town, 4, 2, 20.0):
        sim.reset(scenario)
        traffic = sim.traffic
        poses, lane = traffic.poses.copy(), traffic.paths[:, 1].copy()
        while not sim.done:
            sim.step(sim.expert_control())
            current = traffic.paths[:, 1]
            over = (lit_town.lanes.beside[lane] == current[:, None]).any(1)
            changes += int(over.sum())
            step = np.hypot(*(traffic.poses - poses)[:, :2].T)
            slack = 0.35 + 0.1 * np.abs(traffic.acceleration)
            assert (np.abs(step - 0.1 * traffic.speed)[EGO + 1 :] < slack[EGO + 1 :]).all()
            poses, lane = traffic.poses.copy(), current.copy()
    assert changes > 3


def test_a_drift_ends_in_the_middle_of_the_lane():
    drift = Drift(3)
    drift.begin(1, -3.5)
    before = drift.offset_m.copy()
    for _ in range(60):
        drift.step(0.1, np.array([10.0, 10.0, 0.0]))
        np.testing.assert_allclose(drift.offset_m - before, 0.1 * drift.rate, atol=0.02)
        before = drift.offset_m.copy()
    np.testing.assert_array_equal(drift.offset_m, 0.0)
    assert not drift.active.any()
    drift.begin(2, 3.5)
    drift.step(0.1, np.zeros(3))
    assert drift.offset_m[2] == 3.5  # who stands does not slip sideways


@pytest.mark.parametrize(
    "ahead, behind, expected",
    [
        ((np.inf, 0.0), (np.inf, 0.0, 1.0), True),
        ((8.0, 5.0), (np.inf, 0.0, 1.0), False),  # no better than here
        ((np.inf, 0.0), (5.0, 12.0, 12.0), False),  # would cut in on someone fast
        ((np.inf, 0.0), (40.0, 10.0, 12.0), True),
        ((0.2, 10.0), (np.inf, 0.0, 1.0), False),  # somebody is there
    ],
)
def test_lane_changes_are_worth_it_and_safe(ahead, behind, expected):
    assert worth_changing(10.0, -1.0, 12.0, ahead, behind, IDMParameters(max_braking=7.0)) == expected


def test_each_light_shows_one_lamp_of_its_colour_to_those_who_come(lit_town, states):
    lanes, heads = lit_town.lanes, lit_town.static.boxes[(lit_town.static.boxes[:, 3:6] == LIGHT_SIZE_M).all(1)]
    outer = [lane for lane in lit_town.signals.lanes(lanes) if lanes.beside[lane, 1] < 0]
    for shown in states[::90]:
        lamps = lit_lamps(lit_town.signals, shown)
        assert len(lamps.ellipsoids) == len(outer) == len(heads)
        color = paint_bodies(lamps).color
        for lane, lamp, rgb in zip(outer, lamps.ellipsoids, color, strict=True):
            state = shown[lanes.successors[lane][0]]
            assert np.argmax(rgb) == (1 if state == GREEN else 0) and (rgb[1] > 0.4) == (state != RED)
            away = heads[:, :2] - lamp[:2]
            nearest = int(np.argmin(np.hypot(*away.T)))
            end = lanes.table.pose(np.array([lane]), lanes.table.length[[lane]])[0]
            # The lamp is before the head in driving direction, in reach of the end of its lane.
            assert np.hypot(*away[nearest]) < 0.16 and np.hypot(*(end[:2] - lamp[:2])) < 10.0
            assert away[nearest] @ [np.cos(end[2]), np.sin(end[2])] > 0.1
    assert {GREEN, YELLOW, RED} == set(np.unique(states[::90][:, lit_town.signals.phase >= 0]))
