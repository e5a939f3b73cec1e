"""Voxelization: against its readable twin, and that the reused map forgets."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivewm.geometry import VoxelGrid
from drivewm.geometry.voxelize import Voxelizer, voxelize_reference

GRID = VoxelGrid((-5.0, -4.0, -1.0, 5.0, 4.0, 3.0), 0.5)
VOXELIZER = Voxelizer(GRID)


def check(points):
    found, expected = VOXELIZER(points), voxelize_reference(points, GRID)
    np.testing.assert_array_equal(found.index, expected.index)
    np.testing.assert_array_equal(found.of_point, expected.of_point)
    assert found.index.dtype == found.of_point.dtype == np.int32
    return found


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_as_the_readable_twin_again_and_again(dtype):
    rng = np.random.default_rng(0)
    for count in (0, 1, 50, 2000):
        found = check(rng.uniform([-6, -5, -2, 0], [6, 5, 4, 1], (count, 4)).astype(dtype))
        assert len(found.index) <= count and (count < 2000 or (found.of_point < 0).any())


# Borders of voxels, and what is no number.
value = st.one_of(st.integers(-12, 12).map(lambda n: n / 2), st.floats(-7, 7, width=32), st.just(float("nan")))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(value, value, value), max_size=20))
def test_any_points(points):
    check(np.array(points, np.float32).reshape(-1, 3))


def test_numbers_are_in_order_of_first_appearance():
    centers = GRID.to_center(np.array([[3, 2, 1], [0, 0, 0], [3, 2, 1], [19, 15, 7]]))
    points = np.concatenate([centers, [[9.0, 0, 0], [np.nan, 0, 0], [np.inf, 0, 0]]])
    found = check(points)
    np.testing.assert_array_equal(found.index, [[3, 2, 1], [0, 0, 0], [19, 15, 7]])
    np.testing.assert_array_equal(found.of_point, [0, 1, 0, 2, -1, -1, -1])
    means = found.means(np.arange(7.0)[:, None])
    np.testing.assert_array_equal(means, [[1.0], [1.0], [3.0]])


def test_nothing_inside():
    found = check(np.full((4, 3), 99.0, np.float32))
    assert found.index.shape == (0, 3) and (found.of_point == -1).all()
    assert found.means(np.ones((4, 2))).shape == (0, 2)


def test_views_that_are_not_contiguous():
    points = np.random.default_rng(1).uniform(-4, 3, (60, 8)).astype(np.float32)
    found, expected = VOXELIZER(points[::2, 2:5]), VOXELIZER(points[::2, 2:5].copy())
    np.testing.assert_array_equal(found.index, expected.index)


def test_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"\(N, 3 \+ C\), got \(5, 2\)"):
        VOXELIZER(np.zeros((5, 2)))
