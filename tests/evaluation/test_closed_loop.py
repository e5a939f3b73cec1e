"""The closed-loop score on constructed episodes: whose fault, where one may drive, and what must not matter."""

from dataclasses import replace

import numpy as np
import pytest

from drivewm.evaluation.functional.closed_loop import ego_progress, ncap_score, route_progress, score_episode
from drivewm.evaluation.functional.collisions import CollisionKind, find_collisions
from drivewm.evaluation.functional.comfort import comfort_signals, comfortable_steps
from drivewm.structures import Lane
from tests.evaluation.drives import CAR, CONE, DT_S, STEPS, drive, straight_road


def test_a_free_drive_at_the_reference_is_perfect():
    score = score_episode(drive(), reference_progress_m=8.0 * (STEPS - 1) * DT_S)
    assert score.score == pytest.approx(1.0)
    assert (score.nc, score.dac, score.ttc, score.comfort) == (1, 1, 1, 1)
    assert score.progress_m == pytest.approx(47.2) and score.distance_m == pytest.approx(47.2)
    assert score.first_collision_s is None and score.impact_speed is None and not score.collided
    assert score.to_dict()["collision_kinds"] == []


def test_standing_still_loses_the_progress_term_alone():
    score = score_episode(drive(speed=0.0), reference_progress_m=50.0)
    assert score.ep == 0 and score.score == pytest.approx(7 / 12)
    assert score_episode(drive(speed=0.0), reference_progress_m=3.0).ep == 1  # nobody gets ahead


@pytest.mark.parametrize(
    "ego, agent, kind, at_fault",
    [
        (dict(speed=8.0), ((30.0, -1.75), 0.0, CAR), CollisionKind.AGENT_STOPPED, True),
        (dict(speed=8.0), ((30.0, -1.75), 2.0, CAR), CollisionKind.FRONT, True),
        (dict(speed=6.0), ((60.0, -1.75), -6.0, CAR), CollisionKind.FRONT, True),
        (dict(speed=4.0), ((-15.0, -1.75), 9.0, CAR), CollisionKind.REAR, False),
        (dict(speed=0.0), ((-15.0, -1.75), 9.0, CAR), CollisionKind.EGO_STOPPED, False),
        (dict(speed=8.0), ((30.0, -1.75), 0.0, CONE), CollisionKind.AGENT_STOPPED, True),
    ],
)
def test_whose_fault(ego, agent, kind, at_fault):
    rollout = drive(agents=[agent], **ego)
    (collision,) = find_collisions(rollout)
    assert collision.kind is kind and collision.at_fault is at_fault
    score = score_episode(rollout, reference_progress_m=20.0)
    assert score.collided and score.at_fault is at_fault
    assert score.impact_speed == pytest.approx(abs(ego["speed"] - agent[1]))
    assert score.nc == ((0.5 if agent[2] == CONE else 0.0) if at_fault else 1.0)
    if score.nc == 0:
        assert score.score == 0


def test_a_lateral_collision_is_at_fault_only_between_lanes():
    neighbour = ((0.5, 1.75), 8.0, CAR)
    changing = drive(agents=[neighbour], lateral_speed=0.8)
    (collision,) = find_collisions(changing)
    assert collision.kind is CollisionKind.LATERAL and collision.at_fault
    # The neighbour comes over while the ego keeps its lane.
    keeping = drive(agents=[neighbour])
    boxes = keeping.agents.boxes.copy()
    boxes[:, 0, 1] -= 0.8 * np.arange(STEPS) * DT_S
    keeping = replace(keeping, agents=replace(keeping.agents, boxes=boxes))
    (collision,) = find_collisions(keeping)
    assert collision.kind is CollisionKind.LATERAL and not collision.at_fault


def test_passing_from_a_lane_to_its_successor_is_no_lane_change():
    road = straight_road()
    halves = {
        0: Lane(0, np.array([[-50.0, -1.75], [20.0, -1.75]]), 3.5, (1,)),
        1: Lane(1, np.array([[20.0, -1.75], [150.0, -1.75]]), 3.5, ()),
    }
    rollout = drive(agents=[((0.5, 1.4), 8.0, CAR)])
    boxes = rollout.agents.boxes.copy()
    boxes[:, 0, 1] = np.where(
        np.arange(STEPS) * DT_S * 8 + 1.4 > 20.0, -0.5, 1.4
    )  # swerves in while the ego is on the joint
    rollout = replace(rollout, road_map=replace(road, lanes=halves), agents=replace(rollout.agents, boxes=boxes))
    (collision,) = find_collisions(rollout)
    assert not collision.at_fault


def test_leaving_the_road_scores_zero():
    score = score_episode(drive(lateral_speed=-0.5), reference_progress_m=40.0)
    assert score.dac == 0 and score.score == 0 and 0 < score.off_road_share < 1


def test_time_to_collision_is_lost_before_a_near_miss():
    close = drive(speed=8.0, agents=[((10.0, -1.75), 8.0, CAR)])
    assert score_episode(close, 40.0).ttc == 1  # follows at the same speed
    closing = drive(speed=8.0, agents=[((24.0, -1.75), 5.2, CAR)])
    score = score_episode(closing, 40.0)
    assert not score.collided and score.ttc == 0
    hit_from_behind = score_episode(drive(speed=4.0, agents=[((-15.0, -1.75), 9.0, CAR)]), 20.0)
    assert hit_from_behind.ttc == 1


def test_a_larger_ego_never_hits_less():
    rng = np.random.default_rng(0)
    for _ in range(30):
        agents = [((rng.uniform(-20, 60), rng.uniform(-4, 4)), rng.uniform(-8, 8), CAR) for _ in range(3)]
        rollout = drive(agents=agents)
        hits = [
            {c.agent for c in find_collisions(replace(rollout, length_m=4.6 + grow, width_m=1.9 + grow))}
            for grow in (0, 0.3, 1.0)
        ]
        assert hits[0] <= hits[1] <= hits[2]


def test_agents_that_are_not_there_are_no_obstacle():
    rollout = drive(agents=[((30.0, -1.75), 0.0, CAR)])
    gone = replace(rollout.agents, valid=np.zeros((STEPS, 1), bool), boxes=np.full((STEPS, 1, 7), np.nan))
    assert not score_episode(replace(rollout, agents=gone), 40.0).collided
    assert not score_episode(drive(), 40.0).collided


def test_comfort():
    t = np.arange(STEPS) * DT_S
    calm = comfort_signals(np.zeros(STEPS), np.full(STEPS, 8.0), np.zeros(STEPS), DT_S)
    assert comfortable_steps(calm).all()
    # A steady turn: lateral acceleration is v * yaw rate.
    turn = comfort_signals(0.3 * t, np.full(STEPS, 8.0), np.zeros(STEPS), DT_S)
    np.testing.assert_allclose(turn.lateral_acceleration, 2.4, atol=1e-6)
    np.testing.assert_allclose(turn.yaw_rate, 0.3, atol=1e-6)
    assert comfortable_steps(turn).all()
    assert not comfortable_steps(comfort_signals(0.7 * t, np.full(STEPS, 8.0), np.zeros(STEPS), DT_S)).any()
    braking = np.where(t > 3, -6.0, 0.0)
    assert not comfortable_steps(comfort_signals(np.zeros(STEPS), np.full(STEPS, 8.0), braking, DT_S)).all()
    # The heading may pass from pi to -pi.
    wrapped = comfort_signals((0.3 * t + 3.0 + np.pi) % (2 * np.pi) - np.pi, np.full(STEPS, 8.0), np.zeros(STEPS), DT_S)
    np.testing.assert_allclose(wrapped.yaw_rate, 0.3, atol=1e-6)
    with pytest.raises(ValueError, match="T >= 3"):
        comfort_signals(np.zeros(2), np.zeros(2), np.zeros(2), DT_S)


def test_progress():
    assert ego_progress(30.0, 60.0, 1.0) == 0.5 and ego_progress(80.0, 60.0, 1.0) == 1.0
    assert ego_progress(80.0, 60.0, 0.0) == 0.0 and ego_progress(-3.0, 60.0, 1.0) == 0.0
    assert ego_progress(1.0, 2.0, 1.0) == 1.0 and ego_progress(1.0, 2.0, 0.0) == 0.0
    with pytest.raises(ValueError, match="reference"):
        ego_progress(1.0, float("nan"), 1.0)
    # A route that crosses itself: the projection stays on the arm that the ego is on.
    loop = np.array([[0.0, 0.0], [40.0, 0.0], [40.0, 30.0], [20.0, 30.0], [20.0, -30.0]])
    path = np.stack([np.linspace(5, 35, 60), np.full(60, 0.2)], axis=-1)
    np.testing.assert_allclose(route_progress(loop, path), path[:, 0], atol=0.2)


def test_a_broken_rollout_is_no_score():
    rollout = drive()
    poses = rollout.poses.copy()
    poses[5, 0] = np.nan
    with pytest.raises(ValueError, match="finite"):
        score_episode(replace(rollout, poses=poses), 40.0)


def test_progress_is_kept_apart_from_its_multiplier():
    crash = score_episode(drive(agents=[((30.0, -1.75), 0.0, CAR)]), 47.2)
    # Progress is what was driven, whoever was hit on the way; EP is not.
    assert crash.progress == pytest.approx(1.0) and crash.ep == 0


@pytest.mark.parametrize(("impact", "expected"), [(None, 5.0), (0.0, 4.0), (5.0, 2.0), (10.0, 0.0), (12.0, 0.0)])
def test_ncap_score_falls_with_the_speed_of_the_impact(impact, expected):
    assert ncap_score(impact, 10.0) == expected
    with pytest.raises(ValueError, match="reference must have collided"):
        ncap_score(1.0, 0.0)
