"""Maps of a scene: what is in the way, where the lookup looks."""

import pytest
import torch

from drivewm.geometry import se2
from drivewm.geometry.voxel_grid import VoxelGrid
from drivewm.planning.scene_maps import SceneMaps
from drivewm.structures import OCC3D, OccupancyForecast

GRID = VoxelGrid((-3.2, -4.8, -1.0, 9.6, 4.8, 5.4), 0.8)
ROAD, CAR, TREE = (OCC3D.index(name) for name in ("driveable_surface", "car", "vegetation"))


def labels():
    """Road at z = 0, a car ahead, and a branch high above the road elsewhere."""
    scene = torch.full((1, 2, *GRID.shape), OCC3D.free, dtype=torch.uint8)
    scene[..., 1] = ROAD
    scene[:, :, 12, 6, 2:4] = CAR  # x from 6.4 to 7.2 m
    scene[:, :, 5, 6, 5:] = TREE
    return scene


def maps_of(scene, pose=(0.0, 0.0, 0.0)):
    return SceneMaps.of_labels(scene, torch.tensor(pose).expand(*scene.shape[:2], 3), GRID)


def test_what_stands_in_the_way_blocks_and_what_hangs_above_does_not():
    maps = maps_of(labels())
    assert maps.blocked[0, 0].nonzero().tolist() == [[12, 6]]
    assert maps.drivable.min() == 1


def test_unseen_voxels_neither_block_nor_carry():
    scene = labels()
    scene[:, :, :4] = OCC3D.num_classes
    maps = maps_of(scene)
    assert maps.blocked[:, :, :4].max() == 0 and maps.drivable[:, :, :4].max() == 0


def test_what_moved_is_doubted_by_a_voxel_and_what_stays_is_not():
    now = maps_of(labels())
    coming = maps_of(labels().repeat(1, 2, 1, 1, 1))  # four moments
    coming.blocked[:, 1:, 4, 3] = torch.tensor([1.0, 0.5, 0.5])  # somebody arrives at the second
    doubted = coming.doubted(now.moments([0])).blocked
    assert torch.equal(doubted[:, 0], coming.blocked[:, 0])
    around = torch.zeros_like(doubted, dtype=torch.bool)
    around[:, 1:, 3:6, 2:5] = True
    around[:, :, 4, 3] = False
    for moment, sure in ((1, 1.0), (2, 0.5), (3, 0.5)):
        torch.testing.assert_close(doubted[0, moment][around[0, moment]], torch.full((8,), 0.8 * sure))
    assert torch.equal(doubted[~around], coming.blocked[~around])


def test_a_sure_forecast_gives_the_maps_of_its_labels():
    scene = labels()
    logits = 40.0 * torch.nn.functional.one_hot(scene.long(), OCC3D.num_classes).permute(0, 1, 5, 2, 3, 4).float()
    forecast = OccupancyForecast(logits, torch.zeros(OCC3D.num_classes), torch.ones(()))
    maps = SceneMaps.of_forecast(forecast, torch.zeros(1, 1, 3), GRID)
    torch.testing.assert_close(maps.blocked, maps_of(scene).blocked)
    torch.testing.assert_close(maps.drivable, maps_of(scene).drivable)


def test_a_lookup_at_a_voxels_centre_gives_that_voxel_whatever_the_maps_frame():
    scene = labels()
    center = torch.tensor([6.8, 0.4])
    for pose in ((0.0, 0.0, 0.0), (2.0, -1.0, 0.7)):
        frame = torch.tensor(pose)
        points = se2.transform_points(frame, center[None])[None, None].expand(1, 2, 1, 2)
        blocked, drivable, known = maps_of(scene, pose).at(points)
        torch.testing.assert_close(torch.stack([blocked, drivable, known]), torch.ones(3, 1, 2, 1), atol=1e-4, rtol=0)


def test_nothing_is_known_outside_and_a_gradient_pulls_away_from_what_blocks():
    maps = maps_of(labels())
    outside = torch.tensor([[[[50.0, 0.0]], [[0.0, -50.0]]]])
    assert torch.stack(maps.at(outside)).abs().max() == 0
    points = torch.tensor([[[[6.5, 0.4]], [[7.1, 0.4]]]]).requires_grad_()
    maps.at(points)[0].sum().backward()
    assert points.grad[0, 0, 0, 0] > 0 > points.grad[0, 1, 0, 0]


def test_a_grid_without_a_layer_at_a_vehicles_height_is_refused():
    high = VoxelGrid((-3.2, -4.8, 4.0, 9.6, 4.8, 5.6), 0.8)
    with pytest.raises(ValueError, match="no voxel of the grid is in the way"):
        SceneMaps.of_labels(torch.zeros(1, 1, *high.shape, dtype=torch.uint8), torch.zeros(1, 1, 3), high)
