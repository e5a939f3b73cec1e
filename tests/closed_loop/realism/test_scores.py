"""Simulated futures of recorded scenes: they begin as recorded, and better simulators score higher."""

import numpy as np
import pytest

from drivewm.closed_loop.realism.argoverse import argoverse_scenes
from drivewm.closed_loop.realism.rollouts import EGO_TRACK, TownScene, follow_paths, keep_velocity, now_step
from drivewm.closed_loop.realism.scores import (
    CAUSAL,
    CEILING,
    CONSTANT,
    TOWN,
    causal_difference,
    summary_rows,
    town_records,
)
from drivewm.closed_loop.scenarios import held_out_scenarios
from drivewm.data.argoverse import ArgoverseLog
from drivewm.dynamics.idm import IDMParameters
from drivewm.geometry import se3
from drivewm.simulation import Town
from drivewm.structures import OCC3D, AgentTracks, RoadMap


@pytest.fixture(scope="module")
def town_scene():
    scenario = held_out_scenarios(2, seed=3, scored_s=16.0)[1]
    return TownScene(Town.generate(scenario.town_seed, scenario.town), scenario)


def at(tracks, step, identities):
    slot = np.searchsorted(tracks.track, identities)
    return tracks.boxes[step, slot], tracks.valid[step, slot]


def test_all_rollouts_begin_with_the_recorded_second(town_scene):
    scene = town_scene.scene
    rollouts = [
        town_scene.rollout(5),
        follow_paths(scene, IDMParameters(), np.random.default_rng(0)),
        keep_velocity(scene, np.random.default_rng(0)),
    ]
    for rollout in rollouts:
        assert len(rollout.valid) == now_step() + 81
        for step in range(now_step() + 1):
            boxes, valid = at(rollout, step, scene.tracks.track)
            assert np.array_equal(valid, scene.tracks.valid[step])
            assert np.array_equal(boxes[valid], scene.tracks.boxes[step, valid])
        before, after = (at(rollout, step, scene.subjects)[0] for step in (now_step(), now_step() + 1))
        moved = np.hypot(*(after - before)[:, :2].T)
        assert (moved < 2.0).all()  # nobody jumps when the simulator takes over
    assert EGO_TRACK in scene.subjects
    again = follow_paths(scene, IDMParameters(), np.random.default_rng(0))
    assert np.array_equal(again.boxes, rollouts[1].boxes)


def test_an_ego_that_repeats_its_log_does(town_scene):
    rollout, scene = town_scene.rollout(5, ego_replays=True), town_scene.scene
    for step in range(now_step() + 1, now_step() + 81):
        ours, recorded = (at(tracks, step, [EGO_TRACK])[0][0] for tracks in (rollout, scene.tracks))
        assert np.allclose(ours, recorded)
    free = town_scene.rollout(5)
    assert not np.allclose(at(free, -1, [EGO_TRACK])[0], at(rollout, -1, [EGO_TRACK])[0])


def test_simulators_are_ranked_as_they_should_be(town_scene):
    records = town_records(town_scene, rollouts=2, seed=0)
    value = {record["simulator"]: record["value"] for record in records}
    assert 1 > value[CEILING] > value[CONSTANT] + 0.1 and value[TOWN] > value[CONSTANT] + 0.1
    assert value[CEILING] > value["IDM on recorded paths, 6 m/s^2"] > value[CONSTANT]
    assert {record["score"] for record in records} == {"realism"}
    headers, rows = summary_rows(records)
    assert [row[0] for row in rows] == [record["simulator"] for record in records]
    assert all(len(row) == len(headers) for row in rows)
    assert np.isfinite(float(causal_difference(records).split()[0])) and set(CAUSAL) < set(value)
    with pytest.raises(ValueError, match="scored alike"):
        summary_rows([*records, records[0] | {"score": "realism_without_red_light"}])


def test_an_argoverse_log_is_cut_into_windows():
    steps = 156
    x = 8.0 * 0.1 * np.arange(steps)
    pose = np.stack([x, np.zeros(steps), np.zeros(steps)], axis=-1)
    boxes = np.zeros((steps, 2, 7))
    boxes[:, 0, 0], boxes[:, 1, 0], boxes[:, :, 1], boxes[..., 3:6] = x + 20, 30, [0, 6], (4.5, 1.9, 1.5)
    velocity = np.zeros((steps, 2, 2))
    velocity[:, 0, 0] = 8.0
    label = np.full(2, OCC3D.index("car"))
    tracks = AgentTracks(boxes, velocity, label, np.arange(2), np.ones((steps, 2), bool))
    road = RoadMap({}, np.ones((200, 40), bool), (-20.0, -20.0), 1.0)
    log = ArgoverseLog("log", tracks, ("vehicle.car",) * 2, se3.from_se2(pose), road)
    scenes = argoverse_scenes(log)
    assert [scene.name for scene in scenes] == ["log-0", "log-65"]
    for scene in scenes:
        assert scene.subjects.tolist() == [0, EGO_TRACK]  # the other one is parked
        features = scene.features(scene.tracks)
        assert np.allclose(features.speed[:-1], 8.0) and np.isnan(features.speed[-1]).all()
        assert features.red_light is None and not features.off_road.any()
    short = AgentTracks(boxes[:50], velocity[:50], label, np.arange(2), np.ones((50, 2), bool))
    with pytest.raises(ValueError, match="50 sweeps"):
        argoverse_scenes(ArgoverseLog("log", short, log.category, log.T_global_ego[:50], road))
