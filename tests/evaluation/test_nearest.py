"""Nearest neighbours and Chamfer distance: against brute force, scipy and closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from drivewm.evaluation.functional.chamfer import chamfer, chamfer_reference
from drivewm.evaluation.functional.nearest import mutual_nearest, nearest, nearest_reference


def lidar_like(rng, count):
    """Rings on the ground, which are dense near the sensor and sparse far away."""
    distance, angle = 3.0 + 60.0 * rng.random(count) ** 2, rng.uniform(0, 2 * np.pi, count)
    points = np.stack([distance * np.cos(angle), distance * np.sin(angle), rng.normal(0, 0.3, count)], axis=-1)
    return points.astype(np.float32)


@pytest.mark.parametrize("seed", range(3))
def test_as_brute_force_and_as_scipy(seed):
    rng = np.random.default_rng(seed)
    queries, points = lidar_like(rng, 700), lidar_like(rng, 900)
    squared, index = nearest(queries, points)
    expected, _ = nearest_reference(queries, points)
    np.testing.assert_allclose(squared, expected, rtol=1e-12)
    offset = queries.astype(np.float64) - points[index]
    np.testing.assert_allclose((offset**2).sum(-1), squared, rtol=1e-12)
    np.testing.assert_allclose(np.sqrt(squared), cKDTree(points).query(queries)[0], rtol=1e-9)
    there, back = mutual_nearest(queries, points)
    np.testing.assert_array_equal(there, squared)
    np.testing.assert_array_equal(back, nearest(points, queries)[0])


finite = st.floats(-1e6, 1e6, width=32)
clouds = st.lists(st.tuples(finite, finite, finite), min_size=1, max_size=12)


@settings(max_examples=150, deadline=None)
@given(clouds, clouds, st.sampled_from([1, 30, 3000]))
def test_any_clouds(a, b, times):
    """Outliers by kilometres, points on each other (more than a block's), single points."""
    a, b = np.array(a, np.float32), np.array([*b, a[0]], np.float32)
    expected = np.tile(nearest_reference(a, b)[0], times), nearest_reference(b, a)[0]
    a = np.tile(a, (times, 1))
    for found, wanted in zip(mutual_nearest(a, b), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12)
    np.testing.assert_allclose(nearest(a, b)[0], expected[0], rtol=1e-12)
    np.testing.assert_allclose(((b - a[nearest(b, a)[1]].astype(np.float64)) ** 2).sum(-1), expected[1], rtol=1e-12)


@pytest.mark.parametrize("far", [600.0, 1e5, 1e12])
def test_far_outliers_are_found_too(far):
    """On all sides, among queries and points."""
    rng = np.random.default_rng(0)
    a, b = lidar_like(rng, 300), lidar_like(rng, 300)
    a[:4, :2] = far * np.array([[1, 0], [0, -1], [-1, 1], [1, 1]])
    b[:3, :2] = far * np.array([[1.1, 0.1], [-1, 0.9], [0, 1]])
    np.testing.assert_allclose(mutual_nearest(a, b)[0], nearest_reference(a, b)[0], rtol=1e-12)
    np.testing.assert_allclose(mutual_nearest(a, b)[1], nearest_reference(b, a)[0], rtol=1e-12)
    np.testing.assert_array_equal(nearest(a, b)[0], mutual_nearest(a, b)[0])


@pytest.mark.parametrize("noise_m, offset_m", [(0.3, 0.0), (0.02, 5000.0)])
def test_large_clouds_as_scipy(noise_m, offset_m):
    """Many groups of blocks; a forecast around the truth; far from the frame's origin."""
    rng = np.random.default_rng(1)
    truth = lidar_like(rng, 20_000) + np.float32(offset_m)
    forecast = (truth[:15_000] + rng.normal(0, noise_m, (15_000, 3))).astype(np.float32)
    squared, index = nearest(forecast, truth)
    expected, _ = cKDTree(truth.astype(np.float64)).query(forecast.astype(np.float64))
    np.testing.assert_allclose(np.sqrt(squared), expected, rtol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(forecast - truth[index].astype(np.float64), axis=1), expected, rtol=1e-12)
    back, _ = cKDTree(forecast.astype(np.float64)).query(truth.astype(np.float64))
    np.testing.assert_allclose(np.sqrt(mutual_nearest(forecast, truth)[1]), back, rtol=1e-12)


def test_the_same_input_gives_the_same_neighbours():
    points = np.repeat(np.arange(5, dtype=np.float32)[:, None], 3, axis=1)[[0, 1, 2, 3, 4, 2, 2, 0]]
    squared, index = nearest(points, points)
    assert (squared == 0).all()
    np.testing.assert_array_equal(points[index], points)
    np.testing.assert_array_equal(nearest(points, points)[1], index)


def test_chamfer_distance_of_two_points_and_of_a_shifted_cloud():
    a, b = np.array([[0, 0, 0]], np.float32), np.array([[3, 4, 0], [0, 0, 1]], np.float32)
    assert chamfer(a, b) == pytest.approx((0.5 * (1 + 13), 0.5 * (1 + 3)))
    assert chamfer(b, a) == chamfer(a, b)
    grid = np.stack(np.meshgrid(*[np.arange(5.0)] * 3), axis=-1).reshape(-1, 3)
    assert chamfer(grid, grid + [0.25, 0, 0]) == pytest.approx((0.0625, 0.25))
    assert chamfer(grid, grid[::-1]) == (0, 0)


def test_chamfer_as_its_twin():
    rng = np.random.default_rng(3)
    a, b = lidar_like(rng, 400), lidar_like(rng, 500)
    assert chamfer(a, b) == pytest.approx(chamfer_reference(a, b))


def test_an_empty_cloud_has_no_distance():
    some, none = np.ones((3, 3), np.float32), np.zeros((0, 3), np.float32)
    for pair in ((some, none), (none, some), (none, none)):
        assert np.isnan(chamfer(*pair)).all() and np.isnan(chamfer_reference(*pair)).all()
    assert nearest(none, some)[0].shape == (0,)
    with pytest.raises(ValueError, match="3 queries have no nearest point among 0"):
        nearest(some, none)
    with pytest.raises(ValueError, match="both clouds need points, got 3 and 0"):
        mutual_nearest(some, none)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_is_no_cloud_is_refused(wrong):
    some = np.ones((3, 3), np.float32)
    with pytest.raises(ValueError, match=r"points must have shape \(N, 3\), got \(3, 2\)"):
        nearest(some, some[:, :2])
    with pytest.raises(ValueError, match="b must be finite"):
        chamfer(some, np.where(np.eye(3, dtype=bool), wrong, some))
