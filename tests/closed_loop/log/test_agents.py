"""Recorded road users beside another ego: replay is the recording, IDM keeps off whoever is ahead."""

from dataclasses import replace

import numpy as np
import pytest

from drivewm.closed_loop.log.agents import LogAgents
from drivewm.dynamics.idm import NUPLAN_IDM, IDMParameters
from drivewm.geometry.boxes import bev_corners, polygons_overlap
from drivewm.structures import OCC3D, AgentTracks

DT_S = 0.1
CAR, PERSON = OCC3D.index("car"), OCC3D.index("pedestrian")
SIZE = (4.5, 1.9, 1.6)
IDM = IDMParameters()
FAR_EGO = np.array([0.0, -500.0, 0.8, *SIZE, 0.0])


def tracks_along(stations, curve_m=np.inf, label=None, valid=None) -> AgentTracks:
    """Cars at arc lengths `(T, N)` of a bend to the left (or of the x axis), with exact velocities."""
    stations = np.asarray(stations, np.float64)
    yaw = stations / curve_m
    x = stations if np.isinf(curve_m) else curve_m * np.sin(yaw)
    y = np.zeros_like(x) if np.isinf(curve_m) else curve_m * (1 - np.cos(yaw))
    speed = np.gradient(stations, DT_S, axis=0)
    size = np.broadcast_to(SIZE, (*x.shape, 3))
    boxes = np.concatenate([np.stack([x, y, np.full_like(x, 0.8)], -1), size, yaw[..., None]], -1)
    velocity = speed[..., None] * np.stack([np.cos(yaw), np.sin(yaw)], -1)
    count = stations.shape[1]
    label = np.full(count, CAR) if label is None else np.array(label)
    valid = np.ones(x.shape, bool) if valid is None else valid
    return AgentTracks(boxes, velocity, label, 100 + np.arange(count), valid)


def agents(tracks, idm=None, **others) -> LogAgents:
    return LogAgents(tracks, ("vehicle.car",) * len(tracks.label), DT_S, idm, **others)


def on_curve(station, curve_m) -> np.ndarray:
    return tracks_along([[station], [station]], curve_m).boxes[0, 0]


def touching(boxes: np.ndarray) -> bool:
    corners = bev_corners(boxes)
    overlap = polygons_overlap(corners[:, None], corners[None])
    return bool((overlap & ~np.eye(len(boxes), dtype=bool)).any())


def seconds(count):
    return DT_S * np.arange(count)[:, None]


def test_replay_is_the_recording():
    rng = np.random.default_rng(0)
    valid = rng.random((40, 6)) > 0.3
    recorded = tracks_along(8 * seconds(40) + 20 * np.arange(6), curve_m=60.0, valid=valid)
    played = agents(recorded)
    for begin in (0, 17):
        played.reset(begin)
        for step in range(begin, 40):
            seen = played.boxes()
            assert np.array_equal(seen.boxes, recorded.boxes[step, valid[step]])
            assert np.array_equal(seen.velocity, recorded.velocity[step, valid[step]])
            assert np.array_equal(seen.track, recorded.track[valid[step]])
            played.step(FAR_EGO, 0.0)
    assert len(played.boxes()) == 0  # nobody was recorded after the end


@pytest.mark.parametrize("curve_m", [np.inf, 25.0])
def test_a_follower_stops_behind_a_standing_ego_and_a_replayed_one_drives_through(curve_m):
    recorded = tracks_along(8 * seconds(120), curve_m)
    ego = on_curve(50.0, curve_m)
    for idm, hits in ((None, True), (IDM, False), (NUPLAN_IDM, False)):
        played, hit = agents(recorded, idm), False
        for _ in range(119):
            played.step(ego, 0.0)
            hit |= touching(np.vstack([played.boxes().boxes, ego]))
        assert hit == hits
        if idm is not None:
            stopped = played.boxes()
            assert np.hypot(*stopped.velocity[0]) < 0.1
            # the gap at standstill is min_gap, in the limit
            gap = np.hypot(*(stopped.boxes[0, :2] - ego[:2])) - SIZE[0]
            assert 0.5 < gap < 3.0


def test_nobody_touches_when_the_ego_brakes_hard_before_a_platoon():
    """Gaps of 1 s and 6 m/s^2: enough. nuPlan's clamp of 2 m/s^2 is known not to be, which the town's tables show."""
    recorded = tracks_along(12 * seconds(150) - 16.5 * np.arange(5), curve_m=80.0)
    outcome = {}
    for name, idm in (("hard", IDM), ("nuplan", NUPLAN_IDM)):
        played, station, speed = agents(recorded, idm), 16.5, 12.0
        outcome[name] = False
        for _ in range(140):
            ego = on_curve(station, 80.0)
            outcome[name] |= touching(np.vstack([played.boxes().boxes, ego]))
            played.step(ego, speed)
            slower = max(speed - 6.0 * DT_S, 0.0)
            station, speed = station + 0.5 * (speed + slower) * DT_S, slower
    assert outcome == {"hard": False, "nuplan": True}


def test_alone_it_drives_as_recorded():
    recorded = tracks_along(9 * seconds(60), curve_m=30.0)
    played = agents(recorded, IDM)
    for step in range(60):
        assert np.allclose(played.boxes().boxes[0, :3], recorded.boxes[step, 0, :3], atol=0.03)
        assert np.allclose(played.boxes().boxes[0, 6], recorded.boxes[step, 0, 6], atol=0.02)
        played.step(FAR_EGO, 0.0)


def test_who_stood_in_the_recording_gets_going_again_and_waits_at_its_end():
    stations = np.concatenate([5 * seconds(40), np.full((40, 1), 19.5), 19.5 + 5 * seconds(40), np.full((60, 1), 39.0)])
    played = agents(tracks_along(stations), IDM)
    for _ in range(170):
        played.step(FAR_EGO, 0.0)
    end = played.boxes()
    assert len(end) == 1 and abs(end.boxes[0, 0] - 39.0) < 1.5 and abs(end.velocity[0, 0]) < 0.2


def test_the_order_of_the_tracks_does_not_matter():
    rng = np.random.default_rng(1)
    valid = np.ones((80, 6), bool)
    valid[:20, 2] = False
    recorded = tracks_along(rng.uniform(4, 12, 6) * seconds(80) + 25 * np.arange(6), curve_m=60.0, valid=valid)
    order = rng.permutation(6)
    mixed = AgentTracks(
        recorded.boxes[:, order],
        recorded.velocity[:, order],
        recorded.label[order],
        recorded.track[order],
        valid[:, order],
    )
    ones, others = agents(recorded, IDM), agents(mixed, IDM)
    ego = on_curve(120.0, 60.0)
    for _ in range(70):
        ones.step(ego, 3.0)
        others.step(ego, 3.0)
        a, b = ones.boxes(), others.boxes()
        assert np.array_equal(a.boxes[np.argsort(a.track)], b.boxes[np.argsort(b.track)])


def test_tracks_come_and_go_when_recorded():
    valid = np.zeros((60, 2), bool)
    valid[10:40, 0] = valid[:, 1] = True
    recorded = tracks_along(np.hstack([7 * seconds(60), 7 * seconds(60) + 200]), valid=valid)
    played = agents(recorded, IDM)
    for step in range(60):
        assert (100 in played.boxes().track) == (10 <= step < 40)
        played.step(FAR_EGO, 0.0)


def test_nobody_appears_on_top_of_the_ego():
    valid = np.zeros((60, 1), bool)
    valid[10:] = True
    recorded = tracks_along(7 * seconds(60), valid=valid)
    ego = recorded.boxes[10, 0]
    played = agents(recorded, IDM)
    for step in range(59):
        assert step > 30 or len(played.boxes()) == 0
        played.step(ego if step < 30 else FAR_EGO, 0.0)
    assert len(played.boxes()) == 1  # the place was free in the end


def test_people_and_parked_cars_are_played_back():
    walk = 1.4 * seconds(50)
    recorded = tracks_along(np.hstack([walk, np.full((50, 1), 30.0)]), label=[PERSON, CAR])
    played = agents(recorded, IDM)
    for step in range(50):
        assert np.array_equal(played.boxes().boxes, recorded.boxes[step])
        assert played.boxes().parked.tolist() == [False, True]
        played.step(on_curve(20.0, np.inf), 0.0)


def test_unknown_velocities_are_found_from_positions():
    known = tracks_along(9 * seconds(60))
    unknown = replace(known, velocity=np.full_like(known.velocity, np.nan))
    assert np.allclose(agents(unknown, IDM).boxes().velocity, [[9.0, 0.0]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"category": ()}, "category has 0 names"),
        ({"dt_s": 0.0}, "dt_s must be positive"),
        ({"speed_factor": np.zeros(1)}, "speed_factor"),
    ],
)
def test_bad_input_is_named(change, message):
    given = {"tracks": tracks_along(seconds(5)), "category": ("vehicle.car",), "dt_s": DT_S} | change
    with pytest.raises(ValueError, match=message):
        LogAgents(**given)
    with pytest.raises(ValueError, match="step must lie in"):
        agents(tracks_along(seconds(5))).reset(5)
