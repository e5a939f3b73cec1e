"""Baselines on worlds in which they are right."""

import numpy as np
import pytest
import torch

from drivewm.structures import OCC3D, BoxTracks
from drivewm.world_model import copy_last, ego_warped_copy
from drivewm.world_model.baselines import constant_velocity_boxes, newly_seen, warp_history
from tests.world_model.tiny import GRID, make_clip


def still_world(step_m: float = 0.8, yaw: float = 0.0):
    """A fixed random world of which the ego sees a window; it drives straight ahead, a voxel a frame."""
    world = torch.randint(18, (64, 16, 4), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    clip = make_clip(batch=1)
    for frame in range(7):
        clip.T_global_ego[:, frame] = torch.eye(4)
        clip.T_global_ego[:, frame, 0, 3] = step_m * frame
        clip.occupancy[:, frame] = world[frame : frame + 16]
    return clip


def test_boxes_that_move_steadily_are_where_they_were_going():
    """A block of cars that drives 0.8 m a frame past an ego that stands; one that stands stays."""
    clip = make_clip(batch=1)
    clip.T_global_ego[:] = torch.eye(4)
    clip.occupancy[:] = OCC3D.free
    boxes = BoxTracks.empty(1, clip.num_frames, 2)
    car, (x0, y0, z0) = OCC3D.index("car"), GRID.origin_m + GRID.voxel_m * np.array([3.0, 3.0, 1.0])
    for frame in range(clip.num_frames):
        clip.occupancy[0, frame, frame : frame + 4, 2:4, :2] = car
        clip.occupancy[0, frame, 2:4, 10:12, :2] = car
        boxes.center[0, frame, 0] = torch.tensor([x0 - GRID.voxel_m + GRID.voxel_m * frame, y0, z0])
        boxes.center[0, frame, 1] = torch.tensor([x0, y0 + 8 * GRID.voxel_m, z0])
    boxes.size[:] = GRID.voxel_m * torch.tensor([[4.0, 2.0, 2.0], [2.0, 2.0, 2.0]])
    times = clip.times_s()[:, 3:] - clip.times_s()[:, 2:3]
    boxes.velocity[..., 0, 0] = GRID.voxel_m / float(times[0, 0])
    boxes.valid[:] = True
    clip.boxes = boxes
    frames = constant_velocity_boxes(clip.history(), clip.future_poses(), times)
    assert torch.equal(frames, clip.occupancy[:, 3:])
    still = ego_warped_copy(clip.history(), clip.future_poses())
    assert not torch.equal(still, clip.occupancy[:, 3:])
    clip.boxes = None
    with pytest.raises(ValueError, match="needs history.boxes"):
        constant_velocity_boxes(clip.history(), clip.future_poses(), times)


def test_copy_last_repeats_t0():
    clip = make_clip()
    frames = copy_last(clip.history(), clip.future_poses())
    assert all(torch.equal(frames[:, f], clip.occupancy[:, 2]) for f in range(4))


def test_the_warped_copy_is_exact_in_a_still_world_where_it_was_seen():
    clip = still_world()
    history, poses = clip.history(), clip.future_poses()
    frames, unseen = ego_warped_copy(history, poses), newly_seen(warp_history(history, poses))
    truth = clip.occupancy[:, 3:]
    assert torch.equal(frames[~unseen], truth[~unseen])
    assert (frames[unseen] == OCC3D.free).all()
    assert [int(unseen[0, f].sum()) for f in range(4)] == [(f + 1) * 16 * 4 for f in range(4)]


def test_older_frames_fill_what_the_newest_does_not_cover():
    """The ego drives backwards: what lies ahead was seen earlier."""
    clip = still_world(step_m=-0.8)
    for frame in range(7):
        clip.occupancy[:, frame] = torch.full(GRID.shape, 10 + frame)
    clip.T_global_ego[:, 3:, 0, 3] = 0.0  # it is back where frame 0 was
    frame = ego_warped_copy(clip.history(), clip.future_poses())[0, 0, :, 0, 0]
    assert frame.tolist() == [12] * 14 + [11, 10]
