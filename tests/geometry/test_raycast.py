"""Ray casting, against its readable twin and against walking along the ray in small steps."""

import numpy as np
import pytest

from drivewm.geometry import se3
from drivewm.geometry.raycast import carve, carve_into, cast_rays, cast_rays_reference, visible_voxels
from drivewm.geometry.voxel_grid import VoxelGrid

GRID = VoxelGrid((-5.0, -4.0, -1.0, 5.0, 4.0, 3.0), 0.5)


def scene(seed: int, rays: int = 400, density: float = 0.03):
    rng = np.random.default_rng(seed)
    occupied = rng.random(GRID.shape) < density
    directions = rng.normal(size=(rays, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return occupied, rng.uniform([-7, -6, -2], [7, 6, 4], (rays, 3)), directions


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("max_range_m", [np.inf, 3.0])
def test_as_the_readable_twin(seed, max_range_m):
    occupied, origins, directions = scene(seed)
    depth, index = cast_rays(occupied, GRID, origins, directions, max_range_m)
    expected_depth, expected_index = cast_rays_reference(occupied, GRID, origins, directions, max_range_m)
    assert 0.05 < np.isfinite(depth).mean() < 1.0
    np.testing.assert_allclose(depth, expected_depth, atol=1e-9)
    np.testing.assert_array_equal(index, expected_index)


@pytest.mark.parametrize("seed", range(3))
def test_axis_parallel_rays_as_the_readable_twin(seed):
    """Zero components of a direction divide by zero in the textbook form."""
    occupied, origins, _ = scene(seed, density=0.1)
    directions = np.concatenate([np.eye(3), -np.eye(3)])[np.arange(len(origins)) % 6]
    depth, index = cast_rays(occupied, GRID, origins, directions)
    expected_depth, expected_index = cast_rays_reference(occupied, GRID, origins, directions)
    np.testing.assert_allclose(depth, expected_depth, atol=1e-9)
    np.testing.assert_array_equal(index, expected_index)


def test_as_walking_in_small_steps():
    occupied, origins, directions = scene(7, rays=60, density=0.05)
    depth, _ = cast_rays(occupied, GRID, origins, directions)
    step_m = 1e-3
    along = np.arange(0, 25, step_m)
    for ray in range(len(origins)):
        cell, inside = GRID.to_index(origins[ray] + along[:, None] * directions[ray])
        hit = inside & occupied[tuple(cell.T)]
        walked = along[hit.argmax()] if hit.any() else np.inf
        # A walker may step over a corner, so it never sees a voxel earlier than the exact ray.
        assert depth[ray] <= walked
        if walked < np.inf and depth[ray] < walked - step_m:
            entered, _ = GRID.to_index(origins[ray] + (depth[ray] + 1e-6) * directions[ray])
            assert occupied[tuple(entered)]


def test_the_hit_point_lies_on_the_hit_voxel():
    occupied, origins, directions = scene(8)
    depth, index = cast_rays(occupied, GRID, origins, directions)
    hit = np.isfinite(depth)
    assert occupied[tuple(index[hit].T)].all() and (index[~hit] == -1).all()
    offset = origins[hit] + depth[hit, None] * directions[hit] - GRID.to_center(index[hit])
    assert (np.abs(offset) <= GRID.voxel_m / 2 + 1e-9).all()


def test_a_ray_that_starts_in_an_occupied_voxel_has_depth_zero():
    occupied = np.zeros(GRID.shape, bool)
    occupied[3, 4, 5] = True
    depth, index = cast_rays(occupied, GRID, GRID.to_center([3, 4, 5]), np.eye(3))
    np.testing.assert_array_equal(depth, 0.0)
    np.testing.assert_array_equal(index, [[3, 4, 5]] * 3)


def test_range_ends_the_ray():
    occupied = np.zeros(GRID.shape, bool)
    occupied[10:, :, :] = True  # from x = 0 on
    origin, ahead = np.array([-4.0, 0.1, 0.1]), np.array([[1.0, 0.0, 0.0]])
    assert cast_rays(occupied, GRID, origin, ahead, max_range_m=4.0)[0] == pytest.approx(4.0)
    assert cast_rays(occupied, GRID, origin, ahead, max_range_m=3.99)[0] == np.inf


def test_nothing_to_hit_and_no_rays():
    empty = np.zeros(GRID.shape, bool)
    _, origins, directions = scene(0)
    assert np.isinf(cast_rays(empty, GRID, origins, directions)[0]).all()
    depth, index = cast_rays(empty, GRID, np.zeros((0, 3)), np.zeros((0, 3)))
    assert depth.shape == (0,) and index.shape == (0, 3)


def test_visible_voxels_are_those_that_the_ray_meets_before_its_hit():
    occupied, origins, directions = scene(9, rays=25)
    cells = np.argwhere(np.ones(GRID.shape, bool))
    for origin, direction in zip(origins, directions, strict=True):
        seen = visible_voxels(occupied, GRID, origin, direction[None])
        depth = cast_rays(occupied, GRID, origin, direction[None])[0][0]
        low = GRID.origin_m + cells * GRID.voxel_m
        t = np.stack([(low - origin) / direction, (low + GRID.voxel_m - origin) / direction])
        near, far = t.min(0).max(1).clip(0), t.max(0).min(1)
        expected = np.zeros(GRID.shape, bool)
        expected[tuple(cells[(near <= far) & (near <= depth + 1e-9)].T)] = True
        np.testing.assert_array_equal(seen, expected)


def test_occluded_voxels_stay_unseen():
    occupied = np.zeros(GRID.shape, bool)
    occupied[10] = True  # a wall across x
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(3000, 3))
    seen = visible_voxels(occupied, GRID, np.array([-4.0, 0.0, 1.0]), directions)
    assert seen[:11].mean() > 0.5 and not seen[11:].any()


def test_carve_goes_up_to_the_end_point_and_no_further():
    origin, end = np.array([-4.9, 0.1, 0.1]), np.array([[1.2, 0.1, 0.1]])
    np.testing.assert_array_equal(np.argwhere(carve(GRID, origin, end)), [[x, 8, 2] for x in range(13)])


@pytest.mark.parametrize("seed", range(4))
def test_carving_a_sweep_equals_carving_its_rays(seed):
    rng, seen = np.random.default_rng(seed), np.zeros(GRID.shape, bool)
    expected = seen.copy()
    for _ in range(4):  # inside of the grid, beside and above it
        T = se3.from_xyzyaw(*rng.uniform([-7, -6, 0], [7, 6, 5]), rng.uniform(-4, 4))
        points = rng.normal(0, 4, (60, 3)).astype(np.float32)
        points[:3] = [[0, 0, 0], [0, 0, 1], [2, 0, 0]]
        carve_into(seen, GRID, T, points)
        expected |= carve(GRID, T[:3, 3], se3.transform_points(T, points.astype(np.float64)))
    np.testing.assert_array_equal(seen, expected)
    assert 0 < seen.sum() < seen.size


def test_what_cannot_be_carved_is_named():
    seen, points = np.zeros(GRID.shape, bool), np.zeros((2, 3), np.float32)
    with pytest.raises(ValueError, match=r"contiguous bool \(20, 16, 8\), got uint8"):
        carve_into(seen.astype(np.uint8), GRID, np.eye(4), points)
    with pytest.raises(ValueError, match=r"\(N, 3\), got \(2, 4\)"):
        carve_into(seen, GRID, np.eye(4), np.zeros((2, 4)))
    with pytest.raises(ValueError, match="finite"):
        carve_into(seen, GRID, np.full((4, 4), np.nan), points)


def test_shapes_that_disagree_are_named():
    with pytest.raises(ValueError, match=r"\(3, 3, 3\).*\(20, 16, 8\)"):
        cast_rays(np.zeros((3, 3, 3), bool), GRID, np.zeros(3), np.eye(3))
    with pytest.raises(ValueError, match=r"\(R, 3\).*\(3,\)"):
        cast_rays(np.zeros(GRID.shape, bool), GRID, np.zeros(3), np.ones(3))


def test_a_ray_without_direction_ends():
    depth, _ = cast_rays(np.zeros(GRID.shape, bool), GRID, np.zeros(3), np.zeros((2, 3)))
    assert np.isinf(depth).all()
    point = np.array([[0.1, 0.1, 0.1]])
    np.testing.assert_array_equal(np.argwhere(carve(GRID, point, point)), GRID.to_index(point)[0])


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_rays_that_are_not_finite_are_refused(wrong):
    for origin, direction in (([wrong, 0, 0], [[1.0, 0, 0]]), ([0.0, 0, 0], [[1.0, wrong, 0]])):
        with pytest.raises(ValueError, match="finite"):
            cast_rays(np.zeros(GRID.shape, bool), GRID, np.array(origin), np.array(direction))
