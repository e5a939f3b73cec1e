"""Frames to predict that are seen from elsewhere: where the ego might have been, and from where it was at t0.

Who drives well is never where somebody else is. A model that predicts only what such a driver saw learns that nobody
ever is at the ego's own place, whatever the ego does, and a planner that asks what would happen were told that all goes
well. Part of the training is therefore seen from places where the ego did not go: at another speed, beside its path,
askew. Another part stays where the ego was at t0, with no motion told: the action-free future, which planners read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from drivewm.geometry import se2
from drivewm.geometry.warp import warp_newest
from drivewm.structures import OCC3D, SceneClip
from drivewm.world_model.tasks import Uniform

_NOT_COVERED = OCC3D.num_classes
_STAYS = 0.4
"""Share of the clips seen from elsewhere whose frames stay at t0, with no motion told."""
_AHEAD_MPS, _ACROSS_M, _YAW_RAD = (-1.0, 2.5), 1.5, 0.2
"""Bounds of what is added to the driven path, along it for each second that has passed."""


@dataclass
class Viewpoints:
    """From where the J targets of each clip are seen.

    Attributes:
        T_t0_ego: `(B, J, 4, 4)` float64.
        told: `(B, J)` bool, whether the model is told the motion to there.
        elsewhere: `(B,)` bool, clips in which that is not where the ego was.
    """

    T_t0_ego: Tensor
    told: Tensor
    elsewhere: Tensor


def draw_viewpoints(clip: SceneClip, target: Tensor, share: float, uniform: Uniform) -> Viewpoints:
    """Where to see the targets `(B, J)` from; in `share` of the clips it is elsewhere."""
    batch, number = target.shape
    rows = torch.arange(batch, device=target.device)[:, None]
    driven = clip.future_poses().double()[rows, target - clip.num_history]
    told = torch.ones(batch, number, dtype=torch.bool, device=target.device)
    if not share:
        return Viewpoints(driven, told, told[:, 0] & False)
    chance, speed, *offsets = uniform(2 + 3 * number).unbind(1)
    elsewhere, stays = chance < share, chance < share * _STAYS
    ahead, across, yaw = torch.stack(offsets, dim=1).view(batch, 3, number).unbind(1)
    time_s = clip.future_times_s()[rows, target - clip.num_history]
    low, high = _AHEAD_MPS
    offset = torch.stack(
        [(low + (high - low) * ahead) * time_s, _ACROSS_M * (2 * across - 1), _YAW_RAD * (2 * yaw - 1)], dim=-1
    )
    # As if the ego had been slower or somewhat faster on the same path.
    pose = se2.compose(_on_driven_path(clip, 1.3 * speed[:, None] * time_s), offset.double())
    moved = driven.clone()
    moved[..., :2, :2], moved[..., :2, 3] = (part := se2.to_matrix(pose))[..., :2, :2], part[..., :2, 3]
    moved = torch.where(stays[:, None, None, None], torch.eye(4).to(moved), moved)
    return Viewpoints(torch.where(elsewhere[:, None, None, None], moved, driven), told & ~stays[:, None], elsewhere)


def _on_driven_path(clip: SceneClip, time_s: Tensor) -> Tensor:
    """Poses `(B, J, 3)` of the recorded ego at times `(B, J)` after t0, in its frame at t0; the last one for later."""
    poses = torch.cat([torch.zeros(len(clip), 1, 3).to(clip.T_global_ego), se2.from_matrix(clip.future_poses())], 1)
    stamps = torch.cat([torch.zeros(len(clip), 1).to(time_s), clip.future_times_s()], dim=1)
    after = torch.searchsorted(stamps, time_s.contiguous()).clamp(1, stamps.shape[1] - 1)
    begin, end = stamps.gather(1, after - 1), stamps.gather(1, after)
    share = ((time_s - begin) / (end - begin)).clamp(0, 1)[..., None].to(poses)
    first, last = (poses.gather(1, i[..., None].expand(-1, -1, 3)) for i in (after - 1, after))
    turn = se2.wrap_angle(last[..., 2:] - first[..., 2:])
    return torch.cat([first[..., :2] + share * (last[..., :2] - first[..., :2]), first[..., 2:] + share * turn], dim=-1)


def seen_from(clip: SceneClip, target: Tensor, T_t0_ego: Tensor) -> SceneClip:
    """The clip in which the target frames `(B, J)` are as they look from `T_t0_ego (B, J, 4, 4)`.

    Where the recorded frame does not reach, the one nearest in time that does says what is there, and free what none
    saw. Tokens are dropped: they are of the frames as they were.
    """
    rows = torch.arange(len(clip), device=target.device)[:, None]
    occupancy, poses = clip.occupancy.clone(), clip.T_global_ego.clone()
    T_global_target = clip.T_global_ego[:, clip.num_history - 1, None] @ T_t0_ego
    for j in range(target.shape[1]):
        order = (torch.arange(clip.num_frames, device=target.device) - target[:, j : j + 1]).abs().argsort(stable=True)
        T_target_source = torch.linalg.inv(T_global_target[:, j])[:, None] @ clip.T_global_ego[rows, order]
        frames = warp_newest(clip.occupancy[rows, order], T_target_source[:, None], clip.grid, _NOT_COVERED)[:, 0]
        occupancy[rows[:, 0], target[:, j]] = frames.masked_fill(frames == _NOT_COVERED, OCC3D.free)
    poses[rows, target] = T_global_target
    return replace(clip, occupancy=occupancy, T_global_ego=poses, tokens=None, mirrored_tokens=None)
