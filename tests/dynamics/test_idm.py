"""IDM: closed forms of its equilibrium, and that its followers do not crash."""

import numpy as np
import pytest

from drivewm.dynamics.idm import NUPLAN_IDM, IDMParameters, idm_acceleration


def test_free_road_reaches_desired_speed():
    parameters = IDMParameters()
    assert idm_acceleration(0.0, np.inf, np.nan, parameters) == pytest.approx(parameters.acceleration)
    assert idm_acceleration(parameters.desired_speed, np.inf, 0.0, parameters) == pytest.approx(0.0)
    assert idm_acceleration(1.2 * parameters.desired_speed, np.inf, 0.0, parameters) < 0


def test_equilibrium_gap_is_kept():
    parameters = IDMParameters()
    speed = np.linspace(0.0, 9.0, 10)
    gap = (parameters.min_gap + speed * parameters.headway) / np.sqrt(1 - (speed / parameters.desired_speed) ** 4)
    np.testing.assert_allclose(idm_acceleration(speed, gap, speed, parameters), 0.0, atol=1e-12)


@pytest.mark.parametrize("parameters", [IDMParameters(), NUPLAN_IDM], ids=["clamped at 6", "clamped at 2"])
@pytest.mark.parametrize("lead_speed", [2.0, 5.0, 8.0])
def test_a_follower_settles_at_the_equilibrium_gap(parameters, lead_speed):
    """From too near, too far, too slow and too fast, behind a leader of constant speed."""
    assert parameters.max_braking in (2.0, 6.0)
    gap, speed = np.array([8.0, 60.0, 30.0, 30.0]), np.array([lead_speed, lead_speed, 0.0, 10.0])
    for _ in range(2000):
        acceleration = idm_acceleration(speed, gap, lead_speed, parameters)
        speed = np.maximum(speed + 0.1 * acceleration, 0.0)
        gap = gap + 0.1 * (lead_speed - speed)
    share = lead_speed / parameters.desired_speed
    equilibrium = (parameters.min_gap + lead_speed * parameters.headway) / np.sqrt(1 - share**parameters.exponent)
    np.testing.assert_allclose(gap, equilibrium, rtol=0.01)
    np.testing.assert_allclose(speed, lead_speed, rtol=1e-3)


def test_braking_at_two_is_too_weak_for_a_standing_leader():
    """10 m/s need 25 m to stop at 2 m/s^2 and 8.3 m at 6: what nuPlan's clamp makes its agents do."""
    for parameters, crashes in ((NUPLAN_IDM, True), (IDMParameters(), False)):
        gap, speed = 18.0, 10.0
        while speed > 0.01 and gap > 0:
            speed = max(speed + 0.01 * float(idm_acceleration(speed, gap, 0.0, parameters)), 0.0)
            gap -= 0.01 * speed
        assert (gap <= 0) == crashes


def test_braking_is_clamped_and_desired_speed_broadcasts():
    assert idm_acceleration(10.0, 0.5, 0.0, NUPLAN_IDM) == -2.0
    assert idm_acceleration(10.0, 0.5, 0.0, IDMParameters(max_braking=6.0)) == -6.0
    accelerations = idm_acceleration(5.0, np.inf, 0.0, IDMParameters(), desired_speed=np.array([5.0, 10.0]))
    assert accelerations[0] == pytest.approx(0.0) and accelerations[1] > 0


@pytest.mark.parametrize("seed", range(5))
def test_follower_never_hits_a_leader_that_stops(seed):
    rng = np.random.default_rng(seed)
    parameters = IDMParameters()
    count, dt_s = 50, 0.1
    speed, lead_speed = rng.uniform(0, 10, count), rng.uniform(3, 10, count)
    gap = parameters.min_gap + parameters.headway * speed + rng.uniform(0, 30, count)
    braking = rng.uniform(0.5, 3.0, count)
    for step in range(300):
        acceleration = idm_acceleration(speed, gap, lead_speed, parameters)
        lead_speed = np.maximum(lead_speed - (braking if step > 40 else 0.0) * dt_s, 0.0)
        speed = np.maximum(speed + acceleration * dt_s, 0.0)
        gap = gap + (lead_speed - speed) * dt_s
        assert (gap > 0).all()
    np.testing.assert_allclose(speed, 0.0, atol=0.05)


@pytest.mark.parametrize(
    "field, value", [("desired_speed", 0.0), ("max_braking", -1.0), ("headway", -0.1), ("min_gap", np.nan)]
)
def test_wrong_parameters_are_refused(field, value):
    with pytest.raises(ValueError, match=field):
        IDMParameters(**{field: value})
