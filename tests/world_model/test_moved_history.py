"""The moved history: what stands is warped as before, what moves goes where it is sent, to the voxel."""

import torch

from drivewm.structures import OCC3D
from drivewm.world_model import moved_history as module
from drivewm.world_model.baselines import warp_history
from tests.world_model.tiny import GRID, make_clip

CAR, ROAD = OCC3D.index("car"), OCC3D.index("driveable_surface")


def scene(ego_moves: bool = False):
    clip = make_clip(batch=2)
    clip.occupancy[:] = OCC3D.free
    clip.occupancy[..., 0] = ROAD
    clip.occupancy[:, :, 4:7, 8:10, 1:3] = CAR
    if not ego_moves:
        clip.T_global_ego[:] = torch.eye(4)
    return clip


def moved_history(history, T_t0_ego, displacement):
    moves = (torch.linalg.vector_norm(displacement, dim=2) > 0.3).any(1)
    return module.moved_history(history, T_t0_ego, displacement, moves)


def field(clip, dx, dy):
    displacement = torch.zeros(2, clip.num_future, 2, *GRID.shape[:2])
    displacement[:, :, 0], displacement[:, :, 1] = dx, dy
    return displacement


def test_without_motion_it_is_the_warped_history():
    clip = scene(ego_moves=True)
    moved = moved_history(clip.history(), clip.future_poses(), field(clip, 0.0, 0.0))
    assert torch.equal(moved, warp_history(clip.history(), clip.future_poses()))


def test_a_car_moves_by_whole_voxels_and_leaves_nothing_behind():
    clip = scene()
    moved = moved_history(clip.history(), clip.future_poses(), field(clip, 3 * GRID.voxel_m, -2 * GRID.voxel_m))
    expected = clip.occupancy[:, :1].clone()
    expected[:, :, 4:7, 8:10, 1:3] = OCC3D.num_classes  # nobody has seen what the car stood on
    expected[:, :, 7:10, 6:8, 1:3] = CAR
    assert torch.equal(moved, expected.expand_as(moved))


def test_what_a_car_uncovers_was_seen_before_it_came():
    clip = scene()
    clip.occupancy[:, 0, 4:7, 8:10, 1:3] = OCC3D.free
    clip.occupancy[:, 0, 4:7, 8:10, 1] = ROAD
    moved = moved_history(clip.history(), clip.future_poses(), field(clip, 3 * GRID.voxel_m, 0.0))
    assert (moved[:, :, 4:7, 8:10, 1] == ROAD).all() and (moved[:, :, 4:7, 8:10, 2] == OCC3D.free).all()
    assert (moved[:, :, 7:10, 8:10, 1:3] == CAR).all()


def test_parts_of_a_voxel_round_to_one_place():
    for part in torch.linspace(0, 0.99, 12).tolist():
        clip = scene()
        clip.occupancy[:, :, 4:7, 8:10, 1:3] = OCC3D.free
        clip.occupancy[:, :, 5, 9, 1] = CAR
        moved = moved_history(clip.history(), clip.future_poses(), field(clip, (2 + part) * GRID.voxel_m, 0.0))
        assert ((moved == CAR).flatten(2).sum(-1) == 1).all()


def test_moving_and_driving_along_is_standing():
    """An ego that goes as fast as the car sees it where it was."""
    clip = scene()
    steps = torch.arange(clip.num_frames) - (clip.num_history - 1)
    clip.T_global_ego[:, :, 0, 3] = 0.8 * steps
    displacement = field(clip, 0.0, 0.0)
    displacement[:, :, 0] = 0.8 * torch.arange(1, clip.num_future + 1)[None, :, None, None]
    moved = moved_history(clip.history(), clip.future_poses(), displacement)
    assert torch.equal(moved == CAR, (clip.occupancy[:, -1:] == CAR).expand_as(moved))


def test_turning_a_car_keeps_its_size():
    """A rigid quarter turn around the car's centre, as a field of displacements."""
    clip = scene()
    clip.occupancy[:, :, 4:7, 8:10, 1:3] = OCC3D.free
    clip.occupancy[:, :, 4:9, 9:11, 1:3] = CAR
    center = torch.tensor([6.5, 10.0])
    cells = torch.stack(torch.meshgrid(*(torch.arange(16.0) + 0.5,) * 2, indexing="ij"))
    offset = cells - center[:, None, None]
    turned = torch.stack([-offset[1], offset[0]]) - offset
    displacement = (turned * GRID.voxel_m).expand(2, clip.num_future, -1, -1, -1)
    moved = moved_history(clip.history(), clip.future_poses(), displacement)
    number = (moved == CAR).flatten(2).sum(-1)
    assert (number >= 0.8 * 20).all() and (number <= 1.3 * 20).all()
    assert (moved[:, :, 5:8, 8:12, 1] == CAR).float().mean() > 0.5


def test_the_history_stays_as_it_was():
    clip = scene()
    before = clip.occupancy.clone()
    moved_history(clip.history(), clip.future_poses(), field(clip, 2.0, 0.0))
    assert torch.equal(before, clip.occupancy)


def test_a_field_may_be_coarser_than_the_voxels():
    clip = scene()
    fine = field(clip, 1.6, 0.8)
    coarse = fine[..., ::2, ::2]
    arguments = clip.history(), clip.future_poses()
    assert torch.equal(moved_history(*arguments, fine), moved_history(*arguments, coarse))


def test_things_that_leave_the_grid_are_gone():
    clip = scene()
    moved = moved_history(clip.history(), clip.future_poses(), field(clip, 1000.0, 0.0))
    assert not (moved == CAR).any()
