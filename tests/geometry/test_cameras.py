"""Cut pictures and rays of pixels against projections written out by hand."""

import numpy as np
import pytest
import torch

from drivewm.geometry import se3
from drivewm.geometry.cameras import PictureCut, pixel_rays, ray_maps
from drivewm.simulation import nuscenes_rig


def test_nuscenes_is_cut_by_two_rows_above_and_below():
    cut = PictureCut((1600, 900), (400, 224))
    assert cut.scale == 0.25 and cut.box == (0.0, 2.0, 1600.0, 898.0)
    K = cut.intrinsics(np.array([[1266.0, 0.0, 816.0], [0.0, 1266.0, 491.0], [0.0, 0.0, 1.0]]))
    np.testing.assert_allclose(K, [[316.5, 0, 204.0], [0, 316.5, 122.25], [0, 0, 1]])


@pytest.mark.parametrize("new_size", [(400, 224), (704, 256), (100, 300), (1600, 900), (3200, 1800), (7, 5)])
def test_what_a_pixel_shows_is_what_is_projected_to_it(new_size):
    """A point of the old picture, followed through the cut, is where the new intrinsics project it."""
    cut, rng = PictureCut((1600, 900), new_size), np.random.default_rng(0)
    K = np.array([[1266.0, 3.0, 816.0], [0.0, 1200.0, 491.0], [0.0, 0.0, 1.0]])
    points = rng.uniform((-3, -2, 2), (3, 2, 9), (20, 3))
    uv, new = (((k @ points.T) / points[:, 2]).T[:, :2] for k in (K, cut.intrinsics(K)))
    left, top, right, bottom = cut.box
    stretch = np.array([new_size[0] / (right - left), new_size[1] / (bottom - top)])
    np.testing.assert_allclose((uv - (left, top)) * stretch, new, atol=1e-9)
    assert stretch[0] == pytest.approx(stretch[1])  # no distortion
    assert -1e-9 <= min(left, top) and right <= 1600 + 1e-9 and bottom <= 900 + 1e-9
    assert left == pytest.approx(1600 - right) and top == pytest.approx(900 - bottom)


def test_intrinsics_are_cut_all_together_and_left_as_they_were():
    K = np.random.default_rng(0).uniform(1, 2, (4, 3, 3))
    before, cut = K.copy(), PictureCut((160, 90), (40, 20))
    np.testing.assert_allclose(cut.intrinsics(K)[2], cut.intrinsics(K[2]))
    np.testing.assert_array_equal(K, before)


@pytest.mark.parametrize("size", [(0, 3), (3,), (4, -1)])
def test_sizes_below_one_are_refused(size):
    with pytest.raises(ValueError, match=r"PictureCut\.new_size must be a width and a height >= 1, got"):
        PictureCut((4, 4), size)


def rig(size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """K and T_ego_cam of nuScenes' six cameras."""
    cameras = nuscenes_rig(*size)
    K, T = (np.stack([getattr(c, name) for c in cameras]) for name in ("intrinsics", "T_ego_camera"))
    return torch.from_numpy(K), torch.from_numpy(T)


@pytest.mark.parametrize("stride", [1, 4])
def test_rays_lead_to_what_is_projected_to_their_pixels(stride):
    size = (40, 24)
    K, T_ego_cam = rig(size)
    origins, rays = pixel_rays(K, T_ego_cam, size, stride)
    assert rays.shape == (6, 3, 24 // stride, 40 // stride)
    torch.testing.assert_close(rays.norm(dim=1), torch.ones(6, 24 // stride, 40 // stride))
    torch.testing.assert_close(origins, T_ego_cam[:, :3, 3].float())
    for camera, origin, own in zip(nuscenes_rig(*size), origins, rays, strict=True):
        for row, column in ((0, 0), (2, 3), (24 // stride - 1, 40 // stride - 1)):
            point = origin.double() + 7.5 * own[:, row, column].double()
            uv, depth = camera.project(point[None].numpy())
            np.testing.assert_allclose(uv[0], (np.array([column, row]) + 0.5) * stride, atol=1e-3)
            assert depth[0] > 0


def test_rays_of_a_cut_picture_are_the_rays_of_its_pixels():
    """A picture at half the size, cut: its rays are those of the patches of 2 x 2 pixels that remain."""
    K, T_ego_cam = rig((80, 48))
    small = torch.from_numpy(PictureCut((80, 48), (40, 20)).intrinsics(K.numpy()))
    whole, cut = ray_maps(K, T_ego_cam, (80, 48), 2), ray_maps(small, T_ego_cam, (40, 20))
    torch.testing.assert_close(cut, whole[:, :, 2:-2], atol=1e-5, rtol=1e-5)


def test_pluecker_coordinates_are_the_same_from_every_point_of_a_ray():
    K, T_ego_cam = rig((16, 8))
    maps = ray_maps(K, T_ego_cam, (16, 8))
    direction, moment = maps.split(3, dim=1)
    origin = T_ego_cam[:, :3, 3].float()
    for along in (0.0, 3.0, -20.0):
        point = origin[..., None, None] + along * direction
        torch.testing.assert_close(torch.linalg.cross(point, direction, dim=1), moment, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close((direction * moment).sum(1), torch.zeros(6, 8, 16), atol=1e-6, rtol=0)


def test_a_turned_ego_turns_its_rays():
    K, T_ego_cam = rig((16, 8))
    turn = torch.from_numpy(se3.from_xyzyaw(0.0, 0.0, 0.0, 0.7))
    maps, turned = ray_maps(K, T_ego_cam, (16, 8)), ray_maps(K, turn @ T_ego_cam, (16, 8))
    expected = torch.einsum("ij,vkjhw->vkihw", turn[:3, :3].float(), maps.unflatten(1, (2, 3))).flatten(1, 2)
    torch.testing.assert_close(turned, expected, atol=1e-5, rtol=1e-5)


def test_a_size_that_the_patches_do_not_tile_is_refused():
    with pytest.raises(ValueError, match="40 x 22 are not made of patches of 4 x 4"):
        pixel_rays(torch.eye(3), torch.eye(4), (40, 22), 4)
