"""Controls laid along a path: closed forms, bounds, gradients."""

import torch

from drivewm.planning.path import RoutePath
from drivewm.planning.profile import ACCELERATION_MPS2, CONTROLS, PathDriver
from drivewm.structures import Route


def straight(batch, speed):
    x = 2.5 * torch.arange(25.0)
    points = torch.stack([x, torch.zeros(25)], dim=-1).expand(batch, -1, -1)
    return RoutePath.along(Route(points, torch.ones(batch, 25, dtype=torch.bool), 2.5), speed)


def driver(*speeds):
    speed = torch.tensor(speeds)
    return PathDriver(straight(len(speeds), speed), speed)


def constant(acceleration, offset=0.0, batch=1):
    controls = torch.full((batch, 1, CONTROLS), acceleration)
    controls[..., -1] = offset
    return controls


def test_constant_acceleration_covers_what_it_covers():
    t = 0.5 * torch.arange(1, 9)
    poses = driver(4.0).poses(constant(1.5))[0, 0]
    torch.testing.assert_close(poses[:, 0], 4.0 * t + 0.75 * t**2, atol=1e-4, rtol=0)
    torch.testing.assert_close(poses[:, 1:], torch.zeros(8, 2), atol=1e-4, rtol=0)


def test_braking_ends_at_standstill_and_goes_on_from_there():
    controls = constant(-2.0)
    made = driver(3.0).progress(controls)[0, 0]
    assert (torch.diff(made) >= 0).all() and made[-1] == made[3]
    assert abs(made[-1] - 3.0**2 / (2 * 2.0)) < 0.15  # the step in which it stops is a straight line
    controls[..., 4:8] = 1.0  # sets off at once, whatever was asked for before
    torch.testing.assert_close(driver(3.0).progress(controls)[0, 0, 4] - made[-1], torch.tensor(0.125))


def test_no_more_is_asked_of_a_vehicle_than_it_can_do():
    low, high = ACCELERATION_MPS2
    for asked, given in ((50.0, high), (-50.0, low)):
        torch.testing.assert_close(driver(20.0).progress(constant(asked)), driver(20.0).progress(constant(given)))


def test_who_stands_does_not_slip_sideways():
    assert driver(0.0).poses(constant(0.0, 1.0))[..., 1].abs().max() == 0
    moved = driver(10.0).poses(constant(0.0, 1.0))[0, 0, :, 1]
    assert (torch.diff(moved) > 0).all() and 0.9 < moved[-1] <= 1.0


def test_a_gradient_makes_a_standing_ego_set_off():
    controls = constant(-1.0).requires_grad_()
    driver(0.0).progress(controls)[0, 0, -1].backward()
    assert (controls.grad[0, 0, :8] > 0).all()


def test_plans_and_egos_do_not_mix():
    both = driver(2.0, 8.0).poses(torch.cat([constant(0.0), constant(1.0)], dim=1).expand(2, -1, -1))
    for b, speed in enumerate((2.0, 8.0)):
        for m, acceleration in enumerate((0.0, 1.0)):
            torch.testing.assert_close(both[b, m], driver(speed).poses(constant(acceleration))[0, 0])
