"""VoxelGrid: half-open cells, round trips, and what it refuses."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivewm.geometry.voxel_grid import OCC3D_GRID, VoxelGrid

# Powers of two, so that cell borders are exact floating-point numbers.
EXACT = VoxelGrid((-4.0, -2.0, -1.0, 4.0, 2.0, 1.0), 0.5)

GRIDS = st.builds(
    VoxelGrid.centered,
    st.tuples(*(st.integers(1, 40),) * 3),
    st.sampled_from([0.1, 0.2, 0.4, 0.5, 0.8, 1.0]),
    st.sampled_from([-5.0, -1.0, 0.0, 0.3]),
    st.sampled_from([None, -12.8, -1.0, 2.0]),
)


def test_occ3d():
    assert OCC3D_GRID.shape == (200, 200, 16)
    np.testing.assert_allclose(OCC3D_GRID.to_center([0, 0, 0]), [-39.8, -39.8, -0.8])


@given(GRIDS)
def test_every_centre_falls_into_its_own_voxel(grid):
    index, inside = grid.to_index(grid.centers())
    assert grid.centers().shape == (*grid.shape, 3)
    assert inside.all()
    np.testing.assert_array_equal(index, np.stack(np.indices(grid.shape), axis=-1))


def test_cells_are_half_open():
    """A border belongs to the upper cell; the grid's upper border to none. Points are recorded in float32."""
    low, high = EXACT.origin_m.astype(np.float32), np.float32(EXACT.origin_m + EXACT.extent_m)
    border = low + np.float32(EXACT.voxel_m)
    index, inside = EXACT.to_index(np.array([low, border, np.nextafter(border, low)]))
    assert inside.all()
    np.testing.assert_array_equal(index, [[0] * 3, [1] * 3, [0] * 3])
    for axis in range(3):
        for value, expected in (
            (high[axis], False),
            (np.nextafter(high[axis], low[axis]), True),
            (low[axis], True),
            (np.nextafter(low[axis], np.float32(-np.inf)), False),
        ):
            point = low.copy()
            point[axis] = value
            assert EXACT.to_index(point)[1] == expected


def test_index_is_that_of_the_definition():
    points = np.random.default_rng(0).uniform(-6, 6, (500, 5))
    index, inside = EXACT.to_index(points)
    low = EXACT.to_center(index) - EXACT.voxel_m / 2
    held = ((low <= points[:, :3]) & (points[:, :3] < low + EXACT.voxel_m)).all(1)
    np.testing.assert_array_equal(inside, held)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_what_is_not_finite_is_outside(value):
    index, inside = EXACT.to_index(np.array([[0.0, value, 0.0]]))
    assert not inside[0] and index.dtype == np.int64


def test_a_grid_survives_json():
    assert VoxelGrid(*json.loads(json.dumps([OCC3D_GRID.range_m, OCC3D_GRID.voxel_m]))) == OCC3D_GRID
    assert hash(VoxelGrid([-1, -1, -1, 1, 1, 1], 1)) == hash(VoxelGrid((-1.0, -1.0, -1.0, 1.0, 1.0, 1.0), 1.0))


@pytest.mark.parametrize(
    ("range_m", "voxel_m", "named"),
    [
        ((0, 0, 0, 1, 1, 1), 0.3, "0.3"),
        ((0, 0, 0, -1, 1, 1), 0.5, "-1.0"),
        ((0, 0, 0, 0, 1, 1), 0.5, "0.0"),
        ((0, 0, 0, 1, 1, 1), 0.0, "0.0"),
        ((0, 0, 0, 1, 1, 1), float("nan"), "nan"),
        ((0, 0, 1, 1, 1), 0.5, "6 finite"),
        ((0, 0, 0, float("inf"), 1, 1), 0.5, "inf"),
    ],
)
def test_impossible_grids_are_refused_with_their_values(range_m, voxel_m, named):
    with pytest.raises(ValueError, match=named):
        VoxelGrid(range_m, voxel_m)
