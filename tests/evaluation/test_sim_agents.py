"""Realism of simulated agents: closed forms, an independent library for geometry, and what must not matter."""

from dataclasses import replace

import numpy as np
import pytest
from shapely.geometry import Polygon

from drivewm.evaluation.functional.agent_features import agent_features
from drivewm.evaluation.functional.road_edge import RoadEdge
from drivewm.evaluation.functional.sim_agents import (
    TERMS,
    Term,
    histogram_likelihood,
    score_sim_agents,
    yes_no_likelihood,
)
from drivewm.geometry.boxes import bev_corners
from drivewm.structures import OCC3D, AgentTracks, Lane, LightStates, RoadMap

DT_S = 0.1
CAR, PERSON = OCC3D.index("car"), OCC3D.index("pedestrian")
SIZE = (4.5, 2.0, 1.6)


def tracks_of(x, y, yaw, label=None, valid=None) -> AgentTracks:
    """Boxes at `(T, N)` positions and headings."""
    x, y, yaw = np.broadcast_arrays(*(np.asarray(v, np.float64) for v in (x, y, yaw)))
    boxes = np.concatenate([np.stack([x, y, 0 * x], -1), np.broadcast_to(SIZE, (*x.shape, 3)), yaw[..., None]], -1)
    count = x.shape[1]
    return AgentTracks(
        boxes,
        np.zeros((*x.shape, 2)),
        np.full(count, CAR) if label is None else np.array(label),
        10 + np.arange(count),
        np.ones(x.shape, bool) if valid is None else valid,
    )


def time(steps):
    return DT_S * np.arange(steps)[:, None]


def traffic(rng, noise=0.0, steps=60, count=6) -> AgentTracks:
    """Cars in lanes of their own that speed up and slow down, each differently; `noise` disturbs all that."""
    phase, pace = 0.5 * np.arange(count), 6.0 + np.arange(count) + noise * rng.normal(size=count)
    swing = 1.0 + 0.2 * noise * rng.normal(size=count)
    x = pace * time(steps) + swing * np.sin(time(steps) + phase)
    y = 5.0 * np.arange(count) + 0.3 * noise * rng.normal(size=count)
    return tracks_of(x, y, 0.02 * np.sin(time(steps) + phase))


# Geometry


def test_distance_to_the_nearest_object_is_that_of_rounded_boxes():
    rng = np.random.default_rng(1)
    tracks = tracks_of(rng.uniform(0, 30, (3, 9)), rng.uniform(0, 30, (3, 9)), rng.uniform(-4, 4, (3, 9)))
    valid = rng.random((3, 9)) > 0.2
    found = agent_features(replace(tracks, valid=valid), tracks.track, DT_S).object_distance
    radius = 0.7 * SIZE[1] / 2
    for step in range(3):
        rounded = [
            Polygon(bev_corners(b - [0, 0, 0, 2 * radius, 2 * radius, 0, 0])).buffer(radius, quad_segs=64)
            for b in tracks.boxes[step]
        ]
        for i in range(9):
            others = [rounded[i].distance(rounded[j]) for j in range(9) if j != i and valid[step, j]]
            if valid[step, i]:
                assert max(found[step, i], 0.0) == pytest.approx(min(others), abs=2e-3)
            else:
                assert np.isnan(found[step, i])


def test_distance_to_the_edge_of_a_straight_road():
    drivable = np.zeros((400, 200), bool)
    drivable[:, 80:120] = True  # y in [-5, 5] of cells of 0.25 m
    road = RoadEdge(RoadMap({}, drivable, (-50.0, -25.0), 0.25))
    y = np.linspace(-15, 15, 61)
    points = np.stack([np.zeros(61), y], -1)
    assert np.allclose(road.distance(points), np.abs(y) - 5.0, atol=0.13)
    with pytest.raises(ValueError, match="no drivable cell"):
        RoadEdge(RoadMap({}, ~drivable & False, (0.0, 0.0), 0.25))


# Features


def test_motion_on_a_circle_and_with_constant_acceleration():
    angle = 0.4 * time(30)
    circle = agent_features(tracks_of(20 * np.sin(angle), -20 * np.cos(angle), angle - np.pi), np.array([10]), DT_S)
    assert np.allclose(circle.speed[1:-1], 8.0, atol=0.01)
    assert np.allclose(circle.angular_speed[1:-1], 0.4) and np.allclose(circle.angular_acceleration[2:-2], 0.0)
    assert np.isnan(circle.speed[[0, -1]]).all() and np.isnan(circle.acceleration[[0, 1, -2, -1]]).all()
    faster = agent_features(tracks_of(3 * time(30) + time(30) ** 2, 0, 0), np.array([10]), DT_S, history=2)
    assert len(faster.speed) == 28 and np.isfinite(faster.acceleration[0, 0])
    assert np.allclose(faster.acceleration[:-2], 2.0)


def test_time_to_collision():
    steps = time(11)
    x = np.hstack([10 * steps, 30 + 4 * steps, 0 * steps, 40 + 0 * steps])
    features = agent_features(
        tracks_of(x, [0, 0.5, 8, 8], [0, 0, 0, 0], label=[CAR, CAR, CAR, PERSON]), 10 + np.arange(4), DT_S
    )
    # At t = 0.5 s: 15 + 12 m between centres less a length, closing at 6 m/s
    assert features.time_to_collision[5, 0] == pytest.approx((27 - 4.5) / 6)
    assert features.time_to_collision[5, 1] == 5.0  # nobody ahead
    assert features.time_to_collision[5, 2] == 5.0  # stands
    assert np.isnan(features.time_to_collision[:, 3]).all()  # no vehicle
    assert np.isnan(features.time_to_collision[0, 0])  # its speed is not known there
    crossing = agent_features(tracks_of(x[:, :2], 0, [0, np.pi / 2]), np.array([10]), DT_S)
    assert crossing.time_to_collision[5, 0] == 5.0  # 90 degrees are no following


def test_collisions_off_road_and_red_lights():
    lane = Lane(7, np.array([[10.0, 0.0], [20.0, 0.0]]), 3.5, ())
    road_map = RoadMap({7: lane}, np.ones((100, 20), bool), (-50.0, -10.0), 1.0)
    x = np.hstack([-2 + 10 * time(40), -2 + 10 * time(40), 30 + 0 * time(40), 12 + 0 * time(40)])
    tracks = tracks_of(x, [0, 6, 0, 20], 0.0)
    lights = LightStates(np.array([7]), np.ones((40, 1), bool))
    features = agent_features(tracks, tracks.track, DT_S, 0, RoadEdge(road_map), road_map, lights)
    assert features.red_light.sum(0).tolist() == [1, 0, 0, 0] and features.red_light[12, 0]
    assert features.collision.any(0).tolist() == [True, False, True, False]
    assert features.off_road.any(0).tolist() == [False, False, False, True]
    green = agent_features(tracks, tracks.track, DT_S, 0, None, road_map, replace(lights, red=~lights.red))
    assert not green.red_light.any() and green.off_road is None


# Score


def test_a_likelihood_worked_out_by_hand():
    term = Term(1.0, 0.0, 4.0, 4, 0.1)
    simulated = np.array([[0.5, 1.5, 1.7, np.nan], [1.2, 3.9, 9.0, np.nan]])[..., None]  # bins 0 1 1 - 1 3 3 -
    recorded = np.array([0.1, 1.9, np.nan, -5.0])[:, None]  # bins 0 1 - 0
    # counts 1 3 0 2 and 0.1 each: 6.4 in all
    expected = (1.1 / 6.4 * 3.1 / 6.4 * 1.1 / 6.4) ** (1 / 3)
    assert histogram_likelihood(recorded, simulated, term) == pytest.approx(expected)
    in_last = (1.1 / 8.4 * 3.1 / 8.4 * 1.1 / 8.4) ** (1 / 3)
    assert histogram_likelihood(recorded, simulated, term, ends_in_last_bin=True) == pytest.approx(in_last)
    recorded, simulated = np.array([True, False]), np.array([[True, False], [False, False], [True, False]])
    by_hand = np.sqrt(2.001 / 3.002 * 3.001 / 3.002)
    assert yes_no_likelihood(recorded, simulated) == pytest.approx(by_hand)


def test_the_weights_are_those_of_2025():
    assert sum(term.weight for term in TERMS.values()) == pytest.approx(1.0)


def features_of(tracks, **others):
    return agent_features(tracks, 10 + np.arange(6), DT_S, **others)


def score(log, rollouts, **others):
    return score_sim_agents(features_of(log), [features_of(r) for r in rollouts], **others)


def test_the_recording_itself_is_the_ceiling_and_below_one():
    rng = np.random.default_rng(2)
    log = traffic(rng)
    ceiling = score(log, [log] * 8)
    assert 0.3 < ceiling.value < 1.0
    worse = [np.mean([score(log, [traffic(rng, noise) for _ in range(8)]).value for _ in range(4)]) for noise in (1, 4)]
    assert ceiling.value > worse[0] > worse[1]
    assert ceiling.name == "realism_without_road_edge_off_road_red_light"
    assert ceiling.absent == 0 and ceiling.rate["collision"] == 0


def test_the_likelihood_of_the_ceiling_is_its_own_entropy():
    """For identical rollouts and without pseudocounts the mean log probability is minus the entropy of the bins."""
    rng = np.random.default_rng(3)
    values, term = rng.uniform(0, 5, (500, 1)), Term(1.0, 0.0, 5.0, 10, 1e-9)
    share = np.histogram(values, np.linspace(0, 5, 11))[0] / 500
    found = histogram_likelihood(values, np.stack([values] * 3), term)
    assert found == pytest.approx(np.exp((share * np.log(share)).sum()), rel=1e-6)


def test_the_order_of_agents_does_not_matter_nor_do_those_that_are_not_scored():
    rng = np.random.default_rng(4)
    log, rollouts = traffic(rng), [traffic(rng, 1.0) for _ in range(3)]

    def shuffled(tracks):
        order = rng.permutation(6)
        columns = (tracks.boxes[:, order], tracks.velocity[:, order])
        return AgentTracks(*columns, tracks.label[order], tracks.track[order], tracks.valid[:, order])

    plain = score(log, rollouts)
    assert score(shuffled(log), [shuffled(r) for r in rollouts]).value == pytest.approx(plain.value, abs=1e-12)
    subjects = np.array([14, 11])
    some = [agent_features(r, subjects, DT_S) for r in (log, *rollouts)]
    swapped = [agent_features(shuffled(r), subjects[::-1], DT_S) for r in (log, *rollouts)]
    assert score_sim_agents(some[0], some[1:]).value == pytest.approx(
        score_sim_agents(swapped[0], swapped[1:]).value, abs=1e-12
    )


def test_the_ends_of_rollouts_are_left_out_unless_asked_for():
    log = traffic(np.random.default_rng(5))
    clean, official = score(log, [log] * 4), score(log, [log] * 4, ends_in_last_bin=True)
    for name in ("speed", "acceleration", "angular_speed", "angular_acceleration"):
        assert official.likelihood[name] < clean.likelihood[name]
    assert official.likelihood["object_distance"] == clean.likelihood["object_distance"]


def test_agents_that_a_simulation_drops_are_counted():
    rng = np.random.default_rng(6)
    log = traffic(rng)
    dropped = replace(log, valid=log.valid & (np.arange(6) != 2))
    gone = AgentTracks(log.boxes[:, :5], log.velocity[:, :5], log.label[:5], log.track[:5], log.valid[:, :5])
    assert score(log, [dropped, log]).absent == pytest.approx(1 / 12)
    assert score(log, [gone]).absent == pytest.approx(1 / 6)
    # Nothing is known of it in the simulation: one of ten bins.
    here, nowhere = (agent_features(tracks, np.array([12]), DT_S) for tracks in (log, dropped))
    alone = score_sim_agents(here, [nowhere])
    assert alone.likelihood["speed"] == pytest.approx(0.1)


def test_bad_input_is_named():
    log = traffic(np.random.default_rng(7))
    features = features_of(log)
    with pytest.raises(ValueError, match="rollouts are empty"):
        score_sim_agents(features, [])
    with pytest.raises(ValueError, match="rollout 0 has"):
        score_sim_agents(features, [agent_features(log, np.array([10, 11]), DT_S)])
    with pytest.raises(ValueError, match="history must lie in"):
        features_of(log, history=60)
    with pytest.raises(ValueError, match="road_map and lights"):
        features_of(log, lights=LightStates(np.array([7]), np.ones((60, 1), bool)))
    road = RoadEdge(RoadMap({}, np.ones((1, 1), bool), (0.0, 0.0), 1.0))
    with pytest.raises(ValueError, match="road_edge must be there"):
        score_sim_agents(features, [features_of(log, road_edge=road)])
