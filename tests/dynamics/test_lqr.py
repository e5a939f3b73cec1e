"""The tracker on references with a closed form."""

import math

import numpy as np
import pytest

from drivewm.dynamics.bicycle import BicycleState, step_bicycle
from drivewm.dynamics.lqr import LQRTracker, Reference

DT_S = 0.5


def straight(speed, steps=8, yaw=0.0):
    distance = speed * DT_S * np.arange(steps + 1)
    return np.column_stack([distance * math.cos(yaw), distance * math.sin(yaw), np.full(steps + 1, yaw)])


def circle(speed, radius, start=0.0, steps=8):
    angle = start + speed / radius * DT_S * np.arange(steps + 1)
    return np.column_stack([radius * np.sin(angle), radius * (1 - np.cos(angle)), angle])


def follow(state, reference, duration_s):
    tracker, states = LQRTracker(), [state]
    for step in range(round(duration_s / 0.1)):
        state = step_bicycle(state, tracker.control(state, reference, 0.1 * step), 0.1)
        states.append(state)
    return states


def test_the_fits_recover_constant_speed_and_curvature():
    reference = Reference.from_poses(circle(speed=5.0, radius=50.0), DT_S)
    assert np.allclose(reference.speed, 5.0, rtol=0.01)
    assert np.allclose(reference.curvature, 1 / 50.0, rtol=0.05)


def test_on_a_straight_it_stays_and_keeps_speed():
    end = follow(BicycleState(0.0, 0.0, 0.0, speed=6.0), Reference.from_poses(straight(6.0), DT_S), 3.0)[-1]
    assert (end.x, end.y, end.speed) == pytest.approx((18.0, 0.0, 6.0), abs=1e-3)


def test_a_lateral_offset_decays():
    states = follow(BicycleState(0.0, 1.0, 0.0, speed=6.0), Reference.from_poses(straight(6.0), DT_S), 4.0)
    assert abs(states[-1].y) < 0.35
    assert min(state.y for state in states) > -0.3


@pytest.mark.parametrize("radius", [20.0, -20.0])
def test_a_circle_with_replanning_is_tracked(radius):
    speed, tracker = 5.0, LQRTracker()
    state = BicycleState(0.0, 0.0, 0.0, speed=speed)
    for plan in range(12):
        start = speed / radius * DT_S * plan
        poses = circle(speed, radius, start)
        reference = tracker.reference(poses, DT_S)
        for step in range(5):
            state = step_bicycle(state, tracker.control(state, reference, 0.1 * step), 0.1)
    distance = math.hypot(state.x, state.y - radius)
    assert distance == pytest.approx(abs(radius), abs=0.3)
    assert state.speed == pytest.approx(speed, abs=0.3)


@pytest.mark.parametrize("speed", [3.0, 5.0, 8.0])
@pytest.mark.parametrize(("radius", "within_m"), [(50.0, 0.1), (-50.0, 0.1), (100.0, 0.05), (-100.0, 0.05)])
def test_an_arc_is_followed_within_centimetres(radius, within_m, speed):
    """Begun with the steer of the arc, planned anew every 0.5 s."""
    tracker = LQRTracker()
    state = BicycleState(0.0, 0.0, 0.0, speed=speed, steer=math.atan(tracker.vehicle.wheelbase_m / radius))
    for plan in range(16):
        reference = tracker.reference(circle(speed, radius, speed / radius * DT_S * plan), DT_S)
        for step in range(5):
            state = step_bicycle(state, tracker.control(state, reference, 0.1 * step), 0.1)
            assert abs(math.hypot(state.x, state.y - radius) - abs(radius)) < within_m
            assert state.speed == pytest.approx(speed, abs=0.01)


def test_it_stops_where_the_plan_stops_and_starts_again():
    still = Reference.from_poses(np.zeros((9, 3)), DT_S)
    states = follow(BicycleState(0.0, 0.0, 0.0, speed=3.0), still, 4.0)
    assert states[-1].speed < 0.1
    assert follow(BicycleState(0.0, 0.0, 0.0), still, 2.0)[-1].x == 0.0
    assert follow(BicycleState(0.0, 0.0, 0.0), Reference.from_poses(straight(3.0), DT_S), 3.0)[-1].speed > 2.5


def test_rigid_motion_leaves_the_commands_alone():
    tracker, yaw = LQRTracker(), 3.0  # the turned reference crosses +-pi
    poses = circle(5.0, 30.0)
    c, s = math.cos(yaw), math.sin(yaw)
    moved = np.column_stack([poses[:, :2] @ np.array([[c, s], [-s, c]]) + [7.0, 3.0], poses[:, 2] + yaw])
    moved[:, 2] = np.angle(np.exp(1j * moved[:, 2]))
    here = tracker.control(BicycleState(0.1, 0.2, 0.05, speed=4.0), tracker.reference(poses, DT_S), 0.2)
    x, y = np.array([0.1, 0.2]) @ np.array([[c, s], [-s, c]]) + [7.0, 3.0]
    there = tracker.control(BicycleState(x, y, yaw + 0.05, speed=4.0), tracker.reference(moved, DT_S), 0.2)
    assert (there.acceleration, there.steering_rate) == pytest.approx((here.acceleration, here.steering_rate))


def test_a_plan_with_nan_or_a_wrong_shape_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        Reference.from_poses(np.full((9, 3), np.nan), DT_S)
    with pytest.raises(ValueError, match="shape"):
        Reference.from_poses(np.zeros((9, 2)), DT_S)
