"""The rules of the road on constructed drives, worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from drivewm.evaluation.functional.closed_loop import score_episode
from drivewm.evaluation.functional.rules import nearest
from drivewm.structures import Lane, Rollout
from tests.evaluation.drives import CAR, DT_S, LANE_END_M, ROUTE, STEPS, crossroads, drive, lights

# At 8 m/s from x = 20 the front bumper (3.7 m ahead of the pose) is at 39.7 m at step 20 and over the line at step 21.
ENTRY = 21


def _terms(rollout: Rollout) -> tuple:
    score = score_episode(rollout, reference_progress_m=20.0)
    return score.ddc, score.tlc, score.lk


def _shifted(y, **options) -> Rollout:
    """Along x from -45 m, `y (T,)` beside the middle of the road."""
    rollout = drive(start=(-45.0, 0.0), road_map=crossroads(), **options)
    poses = rollout.poses.copy()
    poses[:, 1] = y
    return replace(rollout, poses=poses)


@pytest.mark.parametrize(("speed", "expected"), [(1.9, 1.0), (3.0, 0.5), (5.9, 0.5), (6.1, 0.0), (8.0, 0.0)])
def test_direction_by_the_metres_driven_in_the_oncoming_lane_within_a_second(speed, expected):
    ddc, _, _ = _terms(drive(speed=speed, start=(-40.0, 1.75), road_map=crossroads()))
    assert ddc == expected


@pytest.mark.parametrize(("steps", "expected"), [(3, 1.0), (4, 0.5), (8, 0.5), (9, 0.0), (30, 0.0)])
def test_direction_after_a_short_while_in_the_oncoming_lane(steps, expected):
    """At 8 m/s from the first step on: 0.8 m a step, so 0.8 (steps - 1) metres."""
    ddc, _, _ = _terms(_shifted(np.where(np.arange(STEPS) < steps, 1.75, -1.75)))
    assert ddc == expected


@pytest.mark.parametrize("spread", [1, 2])
def test_the_window_of_the_direction_is_a_second_at_any_step(spread):
    """3 m/s in the oncoming lane, sampled every 0.1 s and every 0.2 s."""
    rollout = drive(speed=3.0 * spread, start=(-45.0, 1.75), road_map=crossroads())
    slowed = replace(rollout, dt_s=spread * DT_S, speed=rollout.speed / spread)
    moved = slowed.poses.copy()
    moved[:, 0] = -45.0 + 3.0 * spread * DT_S * np.arange(STEPS)
    assert _terms(replace(slowed, poses=moved))[0] == 0.5


def test_where_the_direction_is_no_matter():
    """In the neighbouring lane of the same direction, in the intersection, and behind the route's end."""
    assert _terms(drive(start=(-40.0, -5.25), road_map=crossroads()))[0] == 1
    across = replace(drive(speed=3.0, start=(41.0, 1.75), road_map=crossroads()), route=ROUTE)
    assert _terms(across)[0] == 1
    assert _terms(drive(speed=8.0, start=(-40.0, 8.0), road_map=crossroads()))[0] == 0  # beside the road
    beyond = replace(drive(start=(65.0, 1.75), road_map=crossroads()), route=np.array([[-50.0, -1.75], [60.0, -1.75]]))
    assert _terms(beyond)[0] == 1


def test_a_lane_is_of_the_route_by_its_direction_where_the_ego_is():
    """The route comes back along the same road: then both directions are its own."""
    wrong = drive(start=(-40.0, 1.75), road_map=crossroads())
    back = np.array([[-50.0, -1.75], [120.0, -1.75], [120.0, 1.75], [-50.0, 1.75]])
    assert _terms(wrong)[0] == 0 and _terms(replace(wrong, route=back))[0] == 1


@pytest.mark.parametrize(
    ("red", "expected"),
    [
        (dict(ahead=(0, 60)), 0),
        (dict(ahead=(ENTRY, 60)), 0),  # turns red as the ego enters
        (dict(ahead=(ENTRY + 1, 60)), 1),  # has entered before
        (dict(ahead=(0, ENTRY)), 1),  # turns green just in time
        (dict(ahead=(0, 0), right=(0, 60)), 1),  # touched, but the route does not turn there
        (dict(ahead=(0, 0), across=(0, 60)), 1),
        (dict(ahead=(0, 0), oncoming=(0, 60)), 1),
    ],
)
def test_lights(red, expected):
    rollout = drive(start=(20.0, -1.75), road_map=crossroads(), lights=lights(**red))
    assert _terms(rollout)[1] == expected


def test_lights_of_the_neighbouring_lane_count_for_who_drives_there():
    red = lights(ahead=(0, 0), beside=(0, 60))
    assert _terms(drive(start=(20.0, -5.25), road_map=crossroads(), lights=red))[1] == 0
    assert _terms(drive(start=(20.0, -1.75), road_map=crossroads(), lights=red))[1] == 1
    # Who has entered by the own green light and drifts over has entered already.
    assert _terms(drive(start=(20.0, -1.75), lateral_speed=-0.3, road_map=crossroads(), lights=red))[1] == 1


def test_lights_before_and_behind():
    red = lights(ahead=(0, 60))
    waiting = drive(speed=0.0, start=(LANE_END_M - 3.8, -1.75), road_map=crossroads(), lights=red)
    assert _terms(waiting)[1] == 1
    inside = drive(start=(LANE_END_M, -1.75), road_map=crossroads(), lights=red)
    assert _terms(inside)[1] == 1  # entered before the first step
    with pytest.raises(ValueError, match=r"lights are of lanes \[99\]"):
        _terms(replace(inside, lights=replace(red, lane=np.array([99]))))
    with pytest.raises(ValueError, match="lights.red has 3 steps, expected 60"):
        _terms(replace(inside, lights=replace(red, red=red.red[:3])))


@pytest.mark.parametrize(("steps", "expected"), [(19, 1), (20, 0), (21, 0)])
@pytest.mark.parametrize("side", [-1, 1])
def test_lane_keeping_counts_steps_on_end(steps, expected, side):
    k = np.arange(STEPS)
    off = np.where((k >= 20) & (k < 20 + steps), 0.6, 0.4)
    assert _terms(_shifted(-1.75 + side * off))[2] == expected
    # Twice, with a step back in the lane between them.
    off = np.where((k >= 10) & (k < 11 + steps) & (k != 20), 0.6, 0.4)
    assert _terms(_shifted(-1.75 + side * off))[2] == 1


@pytest.mark.parametrize(("steps", "expected"), [(9, 1), (10, 0)])
def test_lane_keeping_takes_two_seconds_at_any_step(steps, expected):
    k = np.arange(STEPS)
    rollout = _shifted(-1.75 - np.where((k >= 20) & (k < 20 + steps), 0.6, 0.4))
    assert _terms(replace(rollout, dt_s=0.2))[2] == expected


@pytest.mark.parametrize(("within", "expected"), [(0.6, 0), (0.0, 0), (2.0, 0)])
def test_lane_keeping_skips_intersections(within, expected):
    """10 steps off centre before the intersection and 10 behind it, whatever is between."""
    rollout = drive(speed=10.0, start=(20.5, -1.75), road_map=crossroads())
    x, poses = rollout.ego_boxes()[:, 0], rollout.poses.copy()
    outside = ((x > 30) & (x < 40)) | ((x > 60) & (x < 70))
    assert outside.sum() == 20
    poses[:, 1] -= np.where(outside, 0.6, np.where((x > 40) & (x < 60), within, 0.0))
    assert _terms(replace(rollout, poses=poses))[2] == expected
    poses[outside.argmax(), 1] = -1.75
    assert _terms(replace(rollout, poses=poses))[2] == 1


def test_behind_its_end_the_route_has_no_centre():
    rollout = replace(
        drive(start=(-40.0, -1.75), road_map=crossroads()), route=np.array([[-50.0, -1.75], [-20, -1.75]])
    )
    assert _terms(rollout)[2] == 1


def test_nearest_against_dense_sampling():
    rng = np.random.default_rng(3)
    for _ in range(20):
        line, points = rng.normal(0, 10, (6, 2)), rng.normal(0, 10, (40, 2))
        share = np.linspace(0, 1, 2001)[:, None, None]
        dense = line[:-1] + share * np.diff(line, axis=0)  # (2001, 5, 2)
        apart = np.linalg.norm(points[:, None, None] - dense, axis=-1).min(1)  # (40, 5)
        found = nearest(line, points)
        np.testing.assert_allclose(found.distance, apart.min(-1), atol=0.02)
        yaw = rng.uniform(-np.pi, np.pi, len(points))
        heading = np.arctan2(*np.diff(line, axis=0).T[::-1])
        same = np.abs((heading - yaw[:, None] + np.pi) % (2 * np.pi) - np.pi) < np.pi / 4
        expected = np.where(same, apart, np.inf).min(-1)
        np.testing.assert_allclose(nearest(line, points, yaw).distance, expected, atol=0.02)
    ends = nearest(np.array([[0.0, 0.0], [10.0, 0.0]]), np.array([[-1.0, 1.0], [5.0, 1.0], [11.0, 0.0]]))
    assert ends.inside.tolist() == [False, True, False]


def test_without_a_map_or_lights_the_terms_do_not_exist():
    rollout = drive(agents=[((60.0, -1.75), 0.0, CAR)], lights=lights(ahead=(0, 60)))
    assert _terms(replace(rollout, road_map=None)) == (None, None, None)
    assert _terms(replace(rollout, lights=None, road_map=crossroads())) == (1, None, 1)


def test_lanes_of_other_places_are_far_from_the_route():
    """A parallel road of the same direction, 20 m away, is not the route's."""
    road = crossroads()
    other = Lane(20, np.array([[-50.0, -20.0], [40.0, -20.0]]), 3.5, ())
    road = replace(road, lanes=road.lanes | {20: other})
    assert _terms(drive(start=(-40.0, -20.0), road_map=road))[0] == 0
