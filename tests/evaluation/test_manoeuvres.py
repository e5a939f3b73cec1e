"""Manoeuvres: commands can be driven, are of their own class, and classes end where their thresholds say."""

import numpy as np
import pytest

from drivewm.evaluation.functional.manoeuvres import (
    CHANGES_MPSS,
    CURVES_RAD,
    HIGH_MPS,
    MANOEUVRES,
    STANDS_MPS,
    STANDSTILL_MPS,
    STEP_S,
    STEPS,
    classify,
    command,
    speeds,
    start_speed,
)
from drivewm.geometry import se2

SPEEDS = (0.0, 1.0, 2.5, 4.0, 5.6, 7.5, 10.0, 15.0)


def straight(begin, acceleration, steps=STEPS):
    time_s = STEP_S * np.arange(1, steps + 1)
    return np.stack([begin * time_s + acceleration * time_s**2 / 2, 0 * time_s, 0 * time_s], axis=-1)


@pytest.mark.parametrize("name", MANOEUVRES)
@pytest.mark.parametrize("speed", SPEEDS)
def test_commands_are_of_their_own_class(name, speed):
    assert classify(command(name, speed)) == name


@pytest.mark.parametrize("name", MANOEUVRES)
@pytest.mark.parametrize("speed", SPEEDS)
def test_odometry_errors_do_not_change_the_class(name, speed):
    """Steps with errors as scan matching makes them: 5 cm and 2 mrad."""
    rng = np.random.default_rng(0)
    poses = np.vstack([np.zeros(3), command(name, speed)])
    steps = se2.relative(poses[:-1], poses[1:])
    for _ in range(20):
        pose, noisy = np.zeros(3), []
        for step in steps + rng.normal(size=steps.shape) * [0.05, 0.05, 0.002]:
            noisy.append(pose := se2.compose(pose, step))
        assert classify(np.array(noisy)) == name


@pytest.mark.parametrize("name", MANOEUVRES)
@pytest.mark.parametrize("speed", SPEEDS)
def test_commands_can_be_driven(name, speed):
    """By dense steps: no slip, no reverse, and within what tyres and passengers take."""
    dt_s = 1e-3
    poses = np.vstack([np.zeros(3), command(name, speed, 3000, dt_s)])
    steps = se2.relative(poses[:-1], poses[1:])
    along = steps[:, 0] / dt_s
    assert np.abs(steps[:, 1]).max() < 1e-5  # the rear axle goes where it looks
    assert along.min() > -1e-6 and along[0] == pytest.approx(start_speed(name, speed), abs=0.01)
    assert np.abs(np.diff(along) / dt_s).max() < 3.01
    assert np.abs(steps[:, 2]).max() <= 0.12 * np.abs(along).max() * dt_s + 1e-9
    assert (np.abs(steps[:, 2]) / dt_s * along).max() < 1.61
    # The same motion at coarse steps.
    np.testing.assert_allclose(command(name, speed)[:-1], poses[500:3000:500], atol=1e-9)


def test_steps_stay_within_the_reach_of_scan_matching():
    for name in MANOEUVRES:
        for speed in SPEEDS:
            poses = np.vstack([np.zeros(3), command(name, speed)])
            steps = se2.relative(poses[:-1], poses[1:])
            assert np.abs(steps[:, :2]).max() <= 8.0 and np.abs(steps[:, 2]).max() <= 0.35


def test_an_arc_by_its_closed_form():
    """At 4 m/s a curve has the radius of its curvature, the smaller of 0.12 / m and 1.6 / 16 / m."""
    radius, time_s = 10.0, STEP_S * np.arange(1, STEPS + 1)
    expected = [radius * np.sin(0.4 * time_s), radius * (1 - np.cos(0.4 * time_s)), 0.4 * time_s]
    np.testing.assert_allclose(command("curving_to_left", 4.0), np.stack(expected, -1), atol=1e-12)
    np.testing.assert_allclose(command("curving_to_right", 4.0) * [1, -1, -1], np.stack(expected, -1), atol=1e-12)


def test_it_begins_at_the_nearest_speed_it_can():
    assert start_speed("starting", 8.0) == 0.0 and start_speed("straight_constant_low_speed", 3.3) == 3.3
    assert start_speed("straight_constant_high_speed", 0.0) == 7.0


@pytest.mark.parametrize(
    ("below", "above", "trajectory", "threshold"),
    [
        ("stopped", "straight_constant_low_speed", lambda v: straight(v, 0), STANDS_MPS),
        ("straight_constant_low_speed", "straight_constant_high_speed", lambda v: straight(v, 0), HIGH_MPS),
        ("straight_constant_low_speed", "straight_accelerating", lambda a: straight(2, a), CHANGES_MPSS),
        ("straight_constant_low_speed", "straight_decelerating", lambda a: straight(5, -a), CHANGES_MPSS),
        ("starting", "straight_accelerating", lambda v: straight(v, 1), STANDSTILL_MPS),
        ("stopping", "straight_decelerating", lambda v: straight(v + 3, -1), STANDSTILL_MPS),
        ("straight_constant_low_speed", "curving_to_left", lambda yaw: _arc(yaw), CURVES_RAD),
        ("straight_constant_low_speed", "curving_to_right", lambda yaw: _arc(-yaw), CURVES_RAD),
    ],
)
def test_where_classes_end(below, above, trajectory, threshold):
    assert classify(trajectory(threshold - 1e-3)) == below
    assert classify(trajectory(threshold + 1e-3)) == above


def _arc(yaw):
    turn = yaw * np.arange(1, STEPS + 1) / STEPS
    radius = 3 * STEP_S * STEPS / yaw
    return np.stack([radius * np.sin(turn), radius * (1 - np.cos(turn)), turn], axis=-1)


def test_speeds_are_signed():
    np.testing.assert_allclose(speeds(straight(-2, 0)), -2)


def test_what_was_not_measured_has_no_class():
    poses = straight(3, 0)
    poses[-1] = np.nan
    assert classify(poses) is None


def test_unknown_names_and_shapes_are_refused():
    with pytest.raises(ValueError, match="no manoeuvre is called 'drifting'"):
        command("drifting", 1.0)
    with pytest.raises(ValueError, match="shape"):
        classify(np.zeros((6, 2)))
