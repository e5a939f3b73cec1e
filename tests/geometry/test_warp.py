"""Warping of voxels and features between ego frames, against looking up every cell by itself."""

import numpy as np
import pytest
import torch

from drivewm.geometry import se3
from drivewm.geometry.voxel_grid import VoxelGrid
from drivewm.geometry.warp import warp_bev, warp_newest, warp_newest_reference, warp_voxels

GRID = VoxelGrid.centered((16, 12, 4), 0.8)
FILL = 255


def random_voxels(seed: int, batch: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 200, (batch, *GRID.shape)).astype(np.uint8))


def test_voxels_against_looking_up_each_centre():
    poses = np.random.default_rng(0).uniform([-3, -3, -1.0], [3, 3, 1.0], (5, 3))
    T_dst_src, source = se3.from_se2(poses), random_voxels(1, 5)
    moved = warp_voxels(source, torch.from_numpy(T_dst_src), GRID, FILL).numpy()
    centers = GRID.centers().reshape(-1, 3)
    for b in range(5):
        in_source = se3.transform_points(se3.inverse(T_dst_src[b]), centers)
        index, inside = GRID.to_index(in_source)
        expected = np.where(inside, source[b].numpy()[tuple(index.T)], FILL)
        offset = (in_source - GRID.origin_m) / GRID.voxel_m
        clear = (np.abs(offset - np.round(offset)) > 1e-3).all(1)  # not on a border, where rounding decides
        assert clear.mean() > 0.9 and 0.1 < inside.mean() < 1.0
        np.testing.assert_array_equal(moved[b].reshape(-1)[clear], expected[clear])


def test_no_motion_changes_nothing():
    voxels, features = random_voxels(2, 2), torch.randn(2, 3, 8, 6)
    still = torch.eye(4).expand(2, 4, 4)
    assert torch.equal(warp_voxels(voxels, still, GRID, FILL), voxels)
    moved, valid = warp_bev(features, still, GRID)
    torch.testing.assert_close(moved, features, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(valid, torch.ones_like(valid))


@pytest.mark.parametrize("cells", [1, -3])
def test_driving_ahead_moves_the_world_back(cells):
    """The ego drives n voxels ahead, so what was at x is now at x - n."""
    voxels = random_voxels(3, 1)
    T_global_src, T_global_dst = np.eye(4), se3.from_xyzyaw(cells * GRID.voxel_m, 0, 0, 0)
    T_dst_src = torch.from_numpy(se3.inverse(T_global_dst) @ T_global_src)[None]
    moved = warp_voxels(voxels, T_dst_src, GRID, FILL)
    expected = torch.full_like(voxels, FILL)
    if cells > 0:
        expected[:, :-cells] = voxels[:, cells:]
    else:
        expected[:, -cells:] = voxels[:, :cells]
    assert torch.equal(moved, expected)


def test_a_whole_turn_of_voxels_is_exact_in_quarters():
    square = VoxelGrid.centered((8, 8, 2), 1.0)
    voxels = torch.arange(128, dtype=torch.int64).reshape(1, 8, 8, 2)
    quarter = torch.from_numpy(se3.from_xyzyaw(0, 0, 0, np.pi / 2))[None]
    moved = warp_voxels(voxels, quarter, square, -1)
    # A point (x, y) of src is at (-y, x) in dst.
    assert torch.equal(moved, voxels.flip(2).transpose(1, 2))


def tilted(rng: np.random.Generator, tilt: float) -> np.ndarray:
    """A pose some metres away, turned about z, and rolled and pitched by about `tilt` [rad]."""
    roll, pitch = rng.normal(scale=tilt, size=2) if tilt else (0.0, 0.0)
    about_x, about_y = np.eye(4), np.eye(4)
    about_x[1:3, 1:3] = [[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]]
    about_y[:3:2, :3:2] = [[np.cos(pitch), np.sin(pitch)], [-np.sin(pitch), np.cos(pitch)]]
    x, y, z, yaw = rng.uniform([-5, -4, -1, -np.pi], [5, 4, 1, np.pi])
    return se3.from_xyzyaw(x, y, z, yaw) @ about_y @ about_x


@pytest.mark.parametrize("tilt", [0.0, 0.02, 1.0])
def test_the_kernel_equals_its_twin(tilt):
    rng = np.random.default_rng(5)
    poses = torch.from_numpy(np.stack([tilted(rng, tilt) for _ in range(2 * 4 * 3)])).view(2, 4, 3, 4, 4)
    poses[0, 0, 1] = torch.eye(4)
    poses[0, 0, 2, :3, 3] = 1e9  # nothing of it is near
    sources = random_voxels(6, 6).view(2, 3, *GRID.shape)
    sources[0, 0, 3:9] = FILL  # covers nothing there
    moved = warp_newest(sources, poses, GRID, FILL)
    assert torch.equal(moved, warp_newest_reference(sources, poses, GRID, FILL))
    assert 0.05 < (moved == FILL).float().mean() < 0.95


def test_the_first_source_that_covers_a_voxel_is_taken():
    rng = np.random.default_rng(7)
    poses = torch.from_numpy(np.stack([tilted(rng, 0.02) for _ in range(6)])).view(1, 2, 3, 4, 4)
    sources = random_voxels(8, 3)[None]
    moved = warp_newest(sources, poses, GRID, FILL)
    for f in range(2):
        single = [warp_voxels(sources[:, s], poses[:, f, s], GRID, FILL)[0] for s in range(3)]
        expected = torch.where(single[1] == FILL, single[2], single[1])
        expected = torch.where(single[0] == FILL, expected, single[0])
        assert torch.equal(moved[0, f], expected)
        assert len({tuple((layer == FILL).flatten().tolist()) for layer in single}) == 3


def test_features_move_as_voxels_do():
    voxels = random_voxels(4, 1)
    T_dst_src = torch.from_numpy(se3.from_xyzyaw(-2 * GRID.voxel_m, GRID.voxel_m, 0, 0))[None]
    moved, valid = warp_bev(voxels.permute(0, 3, 1, 2).float(), T_dst_src, GRID)
    expected = warp_voxels(voxels, T_dst_src, GRID, 0).permute(0, 3, 1, 2).float()
    torch.testing.assert_close(moved, expected, atol=1e-2, rtol=0)
    outside = warp_voxels(torch.zeros_like(voxels), T_dst_src, GRID, FILL)[..., 0] == FILL
    torch.testing.assert_close(valid[:, 0] < 0.5, outside)


def test_a_smooth_field_is_warped_to_itself():
    """Features that are a linear function of position stay that function, on a lattice coarser than the grid."""
    shape = (8, 6)
    pose = np.array([0.7, -0.4, 0.15])
    axes = [GRID.origin_m[a] + (np.arange(n) + 0.5) * GRID.extent_m[a] / n for a, n in enumerate(shape)]
    x, y = np.meshgrid(*axes, indexing="ij")
    T_dst_src = se3.from_se2(pose)
    field = torch.from_numpy(3 * x - 2 * y).float()
    moved, valid = warp_bev(field[None, None], torch.from_numpy(T_dst_src)[None], GRID)
    source = se3.transform_points(se3.inverse(T_dst_src), np.stack([x, y, 0 * x], -1).reshape(-1, 3)).reshape(*shape, 3)
    expected = 3 * source[..., 0] - 2 * source[..., 1]
    full = valid[0, 0].numpy() > 0.999
    assert full.sum() > 20
    np.testing.assert_allclose(moved[0, 0].numpy()[full], expected[full], atol=1e-3)


def test_features_pass_a_gradient_and_bad_shapes_are_named():
    features = torch.randn(1, 2, 8, 6, requires_grad=True)
    warp_bev(features, torch.from_numpy(se3.from_xyzyaw(1, 0, 0, 0.1))[None], GRID)[0].sum().backward()
    assert (features.grad != 0).any()
    with pytest.raises(ValueError, match=r"\(3, 3, 3\).*\(16, 12, 4\)"):
        warp_voxels(torch.zeros(1, 3, 3, 3), torch.eye(4)[None], GRID, 0)
