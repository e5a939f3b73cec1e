"""SE(3) on homogeneous matrices, against scipy's rotations and the group's laws."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from drivewm.geometry import se2, se3
from drivewm.geometry.transform import transform_points


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def random_poses(rng, *lead):
    count = int(np.prod(lead))
    rotation = Rotation.random(count, random_state=int(rng.integers(2**31))).as_matrix()
    return se3.from_rt(rotation.reshape(*lead, 3, 3), rng.normal(scale=50.0, size=(*lead, 3)))


def test_inverse_is_the_group_inverse(rng):
    T_a_b = random_poses(rng, 4, 5)
    np.testing.assert_allclose(T_a_b @ se3.inverse(T_a_b), np.broadcast_to(np.eye(4), T_a_b.shape), atol=1e-12)
    np.testing.assert_allclose(se3.inverse(T_a_b), np.linalg.inv(T_a_b), atol=1e-10)


def test_transforming_twice_is_transforming_by_the_product(rng):
    T_a_b, T_b_c, points_c = random_poses(rng, 3), random_poses(rng, 3), rng.normal(size=(3, 7, 3))
    twice = se3.transform_points(T_a_b, se3.transform_points(T_b_c, points_c))
    np.testing.assert_allclose(se3.transform_points(T_a_b @ T_b_c, points_c), twice, atol=1e-10)


def test_one_transform_serves_all_points_and_keeps_further_channels(rng):
    T_a_b, points_b = random_poses(rng, 1)[0], rng.normal(size=(9, 5))
    points_a = se3.transform_points(T_a_b, points_b)
    homogeneous = np.concatenate([points_b[:, :3], np.ones((9, 1))], axis=1)
    np.testing.assert_allclose(points_a[:, :3], (T_a_b @ homogeneous.T).T[:, :3], atol=1e-12)
    np.testing.assert_array_equal(points_a[:, 3:], points_b[:, 3:])


def test_quaternions_are_scalar_first_as_in_scipy(rng):
    xyzw = Rotation.random(20, random_state=1).as_quat()
    T = se3.from_quaternion(xyzw[:, [3, 0, 1, 2]], np.zeros(3))
    np.testing.assert_allclose(T[:, :3, :3], Rotation.from_quat(xyzw).as_matrix(), atol=1e-12)


@pytest.mark.parametrize("scale", [1.0, -3.0])
def test_quaternion_round_trip(rng, scale):
    """Length and sign of a quaternion do not matter; w >= 0 comes back."""
    T = random_poses(rng, 3, 4)
    wxyz, translation = se3.to_quaternion(T)
    assert (wxyz[..., 0] >= 0).all()
    np.testing.assert_allclose(np.linalg.norm(wxyz, axis=-1), 1.0, atol=1e-12)
    np.testing.assert_allclose(se3.from_quaternion(scale * wxyz, translation), T, atol=1e-12)


@pytest.mark.parametrize("wrong", [[0.0, 0.0, 0.0, 0.0], [np.nan, 0.0, 0.0, 1.0]])
def test_a_quaternion_without_direction_is_refused(wrong):
    with pytest.raises(ValueError, match="finite and not zero"):
        se3.from_quaternion(np.array(wrong), np.zeros(3))


def test_yaw_turns_x_towards_y():
    T_global_ego = se3.from_xyzyaw(10.0, 20.0, 1.0, np.pi / 2)
    ahead = se3.transform_points(T_global_ego, np.array([[5.0, 0.0, 0.0]]))
    np.testing.assert_allclose(ahead, [[10.0, 25.0, 1.0]], atol=1e-12)


def test_se2_and_se3_agree(rng):
    a, b = rng.uniform(-3, 3, (50, 3)), rng.uniform(-3, 3, (50, 3))
    np.testing.assert_allclose(se3.to_se2(se3.from_se2(a)), a, atol=1e-12)
    np.testing.assert_allclose(se3.to_se2(se3.from_se2(a) @ se3.from_se2(b)), se2.compose(a, b), atol=1e-12)
    np.testing.assert_allclose(se3.from_se2(se2.inverse(a)), se3.inverse(se3.from_se2(a)), atol=1e-12)


def test_global_coordinates_keep_their_millimetres():
    """Float64 throughout: kilometres away, a relative pose is still exact."""
    T_global_a = se3.from_xyzyaw(1.0e6, -2.0e6, 30.0, 0.3)
    T_a_b = se3.from_xyzyaw(1.234, -0.567, 0.01, 0.02)
    np.testing.assert_allclose(se3.inverse(T_global_a) @ (T_global_a @ T_a_b), T_a_b, atol=1e-8)


@pytest.mark.parametrize("channels", [0, 2])
def test_tensors_are_moved_as_arrays_are_also_in_mixed_precision(rng, channels):
    T, points = random_poses(rng, 4), 50 * rng.normal(size=(4, 30, 3 + channels))
    expected = se3.transform_points(T, points)
    with torch.autocast("cpu", torch.bfloat16):
        moved = transform_points(torch.from_numpy(T).float(), torch.from_numpy(points).float())
    assert moved.dtype == torch.float32
    np.testing.assert_allclose(moved, expected, atol=1e-4)
