"""The motion field: targets are rigid motions of boxes; it interpolates in time, learns and cannot look ahead."""

import dataclasses

import pytest
import torch

from drivewm.structures import OCC3D, BoxTracks
from drivewm.world_model import WorldModel
from drivewm.world_model.motion_field import MotionField
from tests.world_model.tiny import GRID, TOKENIZER, make_clip, make_model

CAR = OCC3D.index("car")


def driving_clip(speed_mps=1.6, turn=0.0):
    """One car of 2.4 x 1.6 m ahead, in the world frame (which is the ego frame at t0 but for a shift)."""
    clip = make_clip(batch=2)
    clip.occupancy[:] = OCC3D.free
    boxes = BoxTracks.empty(2, clip.num_frames, 1)
    T_ego_global = torch.linalg.inv(clip.T_global_ego)
    steps = torch.arange(clip.num_frames) - (clip.num_history - 1.0)
    x = 2.4 + speed_mps * 0.5 * steps + clip.T_global_ego[0, clip.num_history - 1, 0, 3]
    center = torch.stack([x, torch.full_like(x, 0.4), torch.zeros_like(x), torch.ones_like(x)], -1).double()
    boxes.center[:, :, 0] = (T_ego_global @ center[None, ..., None])[..., :3, 0].float()
    heading = torch.atan2(T_ego_global[..., 1, 0], T_ego_global[..., 0, 0])
    boxes.yaw[:, :, 0] = (heading + turn * steps).float()
    boxes.size[:] = torch.tensor([2.4, 1.6, 1.6])
    boxes.label[:], boxes.valid[:] = CAR, True
    return dataclasses.replace(clip, boxes=boxes)


def test_targets_of_a_box_that_drives_straight_are_its_way():
    clip = driving_clip()
    field = MotionField(GRID, horizon_s=2.0, channels=(8, 16))
    target, weight = field._targets(clip, 4)
    assert torch.allclose(weight.sum((2, 3)), torch.ones(2, 4))
    heading = torch.atan2(clip.T_global_ego[0, 2, 1, 0], clip.T_global_ego[0, 2, 0, 0]).float()
    way = torch.stack([heading.cos(), -heading.sin()])  # world x in the ego frame at t0
    for f in range(4):
        cells = weight[:, f] > 0
        got = target[:, f].permute(0, 2, 3, 1)[cells]
        assert torch.allclose(got, (0.8 * (f + 1) * way).expand_as(got), atol=1e-4)


def test_targets_of_a_box_that_turns_keep_distances():
    clip = driving_clip(speed_mps=0.8, turn=0.4)
    field = MotionField(GRID, horizon_s=2.0, channels=(8, 16))
    target, weight = field._targets(clip, 4)
    cells = field._centers("cpu")
    inside = weight[0, 3].flatten() > 0
    before, after = cells[inside], cells[inside] + target[0, 3].flatten(1).T[inside]
    assert inside.sum() >= 4
    assert torch.allclose(torch.cdist(before, before), torch.cdist(after, after), atol=1e-3)
    assert not torch.allclose(target[0, 3].flatten(1).T[inside], target[0, 3].flatten(1).T[inside][:1], atol=0.1)


def test_what_is_no_longer_tracked_and_what_cannot_move_do_not_count():
    clip = driving_clip()
    field = MotionField(GRID, horizon_s=2.0, channels=(8, 16))
    clip.boxes.valid[0, clip.num_history + 1 :] = False
    clip.boxes.label[1] = OCC3D.index("traffic_cone")
    _, weight = field._targets(clip, 4)
    assert weight[0, 0].sum() > 0 and (weight[0, 1:] == 0).all() and (weight[1] == 0).all()
    clip.boxes.valid[:] = False
    assert field.loss(field(clip.history()), clip) == 0


def test_times_between_knots_are_interpolated_and_t0_is_still():
    field = MotionField(GRID, horizon_s=1.5, channels=(8, 16))
    knots = torch.randn(2, 3, 2, 16, 16, generator=torch.Generator().manual_seed(0))
    times = torch.tensor([[0.0, 0.5, 0.75, 1.5], [0.25, 1.0, 1.25, 9.0]])
    at = field.at(knots, times)
    assert torch.equal(at[0, 0], torch.zeros(2, 16, 16))
    expected = {(0, 1): knots[0, 0], (0, 2): knots[0, :2].mean(0), (0, 3): knots[0, 2], (1, 0): knots[1, 0] / 2}
    for (b, f), value in (expected | {(1, 3): knots[1, 2]}).items():
        assert torch.allclose(at[b, f], value, atol=1e-6)


def test_at_first_all_go_on_as_measured_or_nothing_moves_and_the_future_is_not_looked_at():
    still, clip = MotionField(GRID, channels=(8, 16), measured=False), make_clip()
    assert (still(clip.history()) == 0).all()
    field = MotionField(GRID, channels=(8, 16))
    measured = field.measure(*field._align(clip.history()))
    assert measured.any()
    for k, moved in enumerate(field(clip.history()).unbind(1), start=1):
        torch.testing.assert_close(moved, 0.5 * k * measured[:, :2])
    torch.nn.init.normal_(field.leave[-1].weight)
    before = field(clip.history())
    clip.occupancy[:, clip.num_history :] = 0
    assert torch.equal(before, field(clip.history()))


def test_it_learns_how_a_seen_thing_moves():
    """Cars of two speeds look the same at t0; the frames before tell."""
    torch.manual_seed(0)
    field = MotionField(GRID, horizon_s=2.0, channels=(16, 16), measured=False)
    clips = []
    for speed in (0.0, 1.6):
        clip = driving_clip(speed)
        clip.T_global_ego[:] = torch.eye(4)
        clip.boxes.center[:, :, 0, 1] = 0.4
        clip.boxes.yaw[:] = 0
        for t in range(clip.num_frames):
            x = 2.4 + speed * 0.5 * (t - 2)
            clip.boxes.center[:, t, 0, 0] = x
            low = int((x - 1.2 + 6.4) / 0.8 + 0.5)
            clip.occupancy[:, t, low : low + 3, 8:10, 1] = CAR
        clips.append(clip)
    optimizer = torch.optim.Adam(field.parameters(), 1e-2)
    for _ in range(80):
        loss = sum(field.loss(field(clip.history()), clip) for clip in clips)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.3
    moving = field(clips[1].history())[0, -1, 0, 10:13, 8:10]
    standing = field(clips[0].history())[0, -1, 0, 10:13, 8:10]
    assert (moving - standing).mean() > 2.0


def test_trained_alone_nothing_else_moves():
    model, clip = make_model(motion_only=True).train(), driving_clip()
    losses = model.losses(clip)
    assert set(losses) == {"loss_motion"}
    losses["loss_motion"].backward()
    moved = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
    assert moved and all(name.startswith("streams.occupancy.motion_field.") for name in moved)
    with pytest.raises(ValueError, match="motion is None"):
        WorldModel(TOKENIZER, motion=None, motion_only=True)
