"""The bicycle against closed-form motion."""

import math

import numpy as np
import pytest

from drivewm.dynamics.bicycle import PACIFICA, BicycleState, Control, VehicleParameters, step_bicycle

COAST = Control(acceleration=0.0, steering_rate=0.0)
NO_LAG = VehicleParameters(acceleration_time_s=0.0, steer_time_s=0.0)


def drive(state, control, dt_s, duration_s, **options):
    for _ in range(round(duration_s / dt_s)):
        state = step_bicycle(state, control, dt_s, **options)
    return state


def test_a_constant_steer_drives_the_closed_form_arc():
    state = BicycleState(x=1.0, y=-2.0, yaw=0.4, speed=6.0, steer=0.2)
    radius = PACIFICA.wheelbase_m / math.tan(0.2)
    end = drive(state, COAST, dt_s=1e-3, duration_s=3.0)
    turned = 0.4 + 6.0 * 3.0 / radius
    assert end.yaw == pytest.approx(math.remainder(turned, 2 * math.pi), abs=1e-9)
    assert end.x == pytest.approx(1.0 + radius * (math.sin(turned) - math.sin(0.4)), abs=0.01)
    assert end.y == pytest.approx(-2.0 - radius * (math.cos(turned) - math.cos(0.4)), abs=0.01)


def test_the_integration_error_falls_linearly_with_the_step():
    state = BicycleState(0.0, 0.0, 0.0, speed=8.0, steer=0.3)
    exact = drive(state, COAST, 1e-4, 2.0)
    errors = [
        math.hypot(end.x - exact.x, end.y - exact.y) for end in (drive(state, COAST, dt, 2.0) for dt in (0.1, 0.05))
    ]
    assert errors[0] / errors[1] == pytest.approx(2.0, rel=0.1)


def test_constant_acceleration_without_lag():
    end = drive(BicycleState(0.0, 0.0, 0.0, speed=2.0), Control(1.5, 0.0), 1e-3, 4.0, vehicle=NO_LAG)
    assert end.speed == pytest.approx(8.0)
    assert end.x == pytest.approx(2.0 * 4 + 0.5 * 1.5 * 16, abs=0.01)


def test_the_lag_is_first_order():
    state, history = BicycleState(0.0, 0.0, 0.0), []
    for _ in range(20):
        state = step_bicycle(state, Control(1.0, 0.0), 0.1)
        history.append(state.acceleration)
    assert np.allclose(history, 1 - (2 / 3) ** np.arange(1, 21))


def test_the_steer_stays_within_its_limit_and_braking_ends_at_rest():
    end = drive(BicycleState(0.0, 0.0, 0.0, speed=5.0), Control(-6.0, 4.0), 0.1, 5.0)
    assert end.steer == PACIFICA.max_steer
    assert (end.speed, end.acceleration) == (0.0, 0.0)
    assert drive(BicycleState(0.0, 0.0, 0.0), Control(-1.0, 0.0), 0.1, 2.0, allow_reverse=True).speed < 0


def test_rigid_motion_and_mirroring():
    control = Control(0.7, 0.1)
    here = drive(BicycleState(0.0, 0.0, 0.0, speed=5.0, steer=0.05), control, 0.1, 2.0)
    there = drive(BicycleState(10.0, -4.0, 2.0, speed=5.0, steer=0.05), control, 0.1, 2.0)
    c, s = math.cos(2.0), math.sin(2.0)
    assert there.x == pytest.approx(10.0 + c * here.x - s * here.y)
    assert there.y == pytest.approx(-4.0 + s * here.x + c * here.y)
    mirrored = drive(BicycleState(0.0, 0.0, 0.0, speed=5.0, steer=-0.05), Control(0.7, -0.1), 0.1, 2.0)
    assert (mirrored.x, mirrored.y, mirrored.yaw) == pytest.approx((here.x, -here.y, -here.yaw))


@pytest.mark.parametrize("control", [Control(math.nan, 0.0), Control(0.0, math.inf)])
def test_a_command_that_is_not_finite_is_refused(control):
    with pytest.raises(ValueError, match="finite"):
        step_bicycle(BicycleState(0.0, 0.0, 0.0), control, 0.1)


def test_bad_parameters_are_refused_by_name():
    with pytest.raises(ValueError, match="wheelbase_m"):
        VehicleParameters(wheelbase_m=0.0)
    with pytest.raises(ValueError, match="dt_s"):
        step_bicycle(BicycleState(0.0, 0.0, 0.0), COAST, 0.0)
