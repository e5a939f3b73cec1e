"""SE(2) on x, y, yaw, in NumPy and in torch."""

import math

import numpy as np
import pytest
import torch

from drivewm.geometry import se2


def poses(seed: int, *lead: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(scale=20, size=(*lead, 2)), rng.uniform(-math.pi, math.pi, (*lead, 1))], axis=-1)


def assert_same_pose(a, b):
    np.testing.assert_allclose(a[..., :2], b[..., :2], atol=1e-9)
    np.testing.assert_allclose(se2.wrap_angle(a[..., 2] - b[..., 2]), 0.0, atol=1e-9)


def test_group_laws():
    a, b, c = poses(0, 30), poses(1, 30), poses(2, 30)
    identity = np.zeros_like(a)
    assert_same_pose(se2.compose(a, se2.compose(b, c)), se2.compose(se2.compose(a, b), c))
    assert_same_pose(se2.compose(a, se2.inverse(a)), identity)
    assert_same_pose(se2.compose(se2.inverse(a), a), identity)
    assert_same_pose(se2.compose(a, identity), a)


def test_relative_undoes_compose():
    T_w_a, T_a_b = poses(3, 4, 5), poses(4, 4, 5)
    assert_same_pose(se2.relative(T_w_a, se2.compose(T_w_a, T_a_b)), T_a_b)


def test_points_follow_compose():
    a, b, points = poses(5, 6), poses(6, 6), np.random.default_rng(7).normal(size=(6, 11, 2))
    twice = se2.transform_points(a, se2.transform_points(b, points))
    np.testing.assert_allclose(se2.transform_points(se2.compose(a, b), points), twice, atol=1e-9)


def test_a_pose_goes_through_its_matrix_unchanged():
    a, b = poses(20, 4, 5), poses(21, 4, 5)
    assert_same_pose(se2.from_matrix(se2.to_matrix(a)), a)
    np.testing.assert_allclose(se2.to_matrix(a) @ se2.to_matrix(b), se2.to_matrix(se2.compose(a, b)), atol=1e-9)
    np.testing.assert_allclose(se2.to_matrix(torch.from_numpy(a)).numpy(), se2.to_matrix(a), atol=1e-12)


def test_points_against_a_rotation_matrix():
    pose, points = poses(8), np.random.default_rng(9).normal(size=(11, 2))
    cos, sin = math.cos(pose[2]), math.sin(pose[2])
    expected = points @ np.array([[cos, -sin], [sin, cos]]).T + pose[:2]
    np.testing.assert_allclose(se2.transform_points(pose, points), expected, atol=1e-12)


@pytest.mark.parametrize("angle", [-math.pi, math.pi, 3 * math.pi, 0.0, 7.0, -1e6])
def test_wrapped_angles_are_half_open_and_point_the_same_way(angle):
    wrapped = se2.wrap_angle(angle)
    assert -math.pi <= wrapped < math.pi
    assert math.cos(wrapped - angle) == pytest.approx(1.0)


def test_torch_gives_the_same_and_a_gradient():
    a, b = poses(10, 8), poses(11, 8)
    ta, tb = torch.from_numpy(a).requires_grad_(), torch.from_numpy(b)
    for function in (se2.compose, se2.relative):
        result = function(ta, tb)
        assert isinstance(result, torch.Tensor)
        np.testing.assert_allclose(result.detach().numpy(), function(a, b), atol=1e-12)
    se2.compose(ta, tb).sum().backward()
    assert torch.isfinite(ta.grad).all() and (ta.grad != 0).any()
