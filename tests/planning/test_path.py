"""The path along a route: where it starts, where it goes, and what can be differentiated."""

import numpy as np
import pytest
import torch

from drivewm.planning.path import RoutePath
from drivewm.structures import Route


def path_of(polyline, pose, speed=5.0):
    return RoutePath.along(Route.ahead(polyline, np.asarray(pose)), torch.tensor([speed]))


def test_on_the_route_it_is_the_route(bend_route):
    path = path_of(bend_route, (0.0, 0.0, 0.0))
    arc = torch.linspace(0, 55, 111)[None]
    poses = path.poses(arc)[0].numpy()
    distance = np.linalg.norm(poses[:, None, :2] - bend_route, axis=-1).min(1)
    assert distance.max() < 0.3
    steps = np.diff(poses[:, :2], axis=0)
    assert np.allclose(np.linalg.norm(steps, axis=1), 0.5, atol=0.05)
    assert np.abs(np.arctan2(steps[:, 1], steps[:, 0]) - (poses[1:, 2] + poses[:-1, 2]) / 2).max() < 0.05


@pytest.mark.parametrize("pose", [(3.0, 0.8, 0.1), (3.0, -0.8, 0.2), (3.0, 0.0, -0.3)])
def test_it_starts_at_the_ego_along_its_heading_and_ends_on_the_route(straight_route, pose):
    path = path_of(straight_route, pose)
    start, end = path.poses(torch.tensor([[0.0, 20.0]]))[0]
    assert torch.allclose(start, torch.zeros(3), atol=0.02)
    # y of the route in the ego frame, 20 m on
    c, s = np.cos(pose[2]), np.sin(pose[2])
    assert -s * 20 - c * pose[1] == pytest.approx(end[1].item(), abs=0.02)
    assert end[2].item() == pytest.approx(-pose[2], abs=1e-3)


def test_projection_inverts_the_poses(bend_route):
    path = path_of(bend_route, (5.0, 0.4, 0.05))
    arc = torch.tensor([[2.0, 9.0, 21.0, 40.0]])
    lateral = torch.tensor([[0.0, 1.0, -1.5, 0.7]])
    found_arc, found_lateral = path.project(path.poses(arc, lateral)[..., :2])
    assert torch.allclose(found_arc, arc, atol=0.35)
    assert torch.allclose(found_lateral, lateral, atol=0.1)


def test_curvature_of_a_circle_and_its_sign():
    angle = np.linspace(0, 3, 400)
    circle = np.stack([25 * np.sin(angle), 25 * (1 - np.cos(angle))], axis=-1)
    arc = torch.linspace(0, 40, 20)[None]
    assert torch.allclose(path_of(circle, (0.0, 0.0, 0.0)).curvature(arc), torch.tensor(1 / 25), rtol=0.1)
    mirrored = path_of(circle * [1, -1], (0.0, 0.0, 0.0))
    assert torch.allclose(mirrored.curvature(arc), torch.tensor(-1 / 25), rtol=0.1)


def test_without_a_route_it_runs_straight_ahead_and_behind_the_end_straight_on(straight_route):
    arc = torch.tensor([[1.0, 30.0, 90.0]])
    nowhere = Route(torch.zeros(1, 25, 2), torch.zeros(1, 25, dtype=torch.bool), 2.5)
    for route in (None, nowhere):
        poses = RoutePath.along(route, torch.tensor([5.0])).poses(arc)
        assert torch.allclose(poses, torch.stack([arc, 0 * arc, 0 * arc], dim=-1), atol=1e-4)
    short = path_of(straight_route[:41], (-10.0, 0.0, 0.0)).poses(arc)  # 10 m are left
    assert torch.allclose(short[0, :, 0], arc[0], atol=1e-4)


def test_the_poses_have_a_gradient_in_the_arc_length(bend_route):
    arc = torch.linspace(1, 50, 30, dtype=torch.float64)[None].requires_grad_()
    speed = torch.tensor([5.0], dtype=torch.float64)
    path = RoutePath.along(Route.ahead(bend_route, np.array([0.0, 0.3, 0.02])), speed)
    assert torch.autograd.gradcheck(lambda a: path.poses(a), (arc + 0.01,))
