"""What was observed, seen from each future ego frame, with the things that move moved on."""

from __future__ import annotations

import torch
from torch import Tensor

from drivewm.structures import OCC3D, History
from drivewm.world_model.baselines import warp_history

_MOVES_SHARE = 0.4
"""A cell that goes less far than this share of a voxel in the time asked for stays where it is."""
_FILLED = 4
"""Of the nine points that stand for a voxel: with so many of them a voxel is taken. Exactly one voxel gets that many
where a single one moves by any distance along the axes."""


def moved_history(history: History, T_t0_ego: Tensor, displacement: Tensor) -> Tensor:
    """As `baselines.warp_history`, except that movable things at t0 first go where a motion field takes them.

    Args:
        history: the observed frames.
        T_t0_ego: `(B, F, 4, 4)` the future ego frames.
        displacement: `(B, F, 2, H, W)` [m, axes of the ego frame at t0] of each cell up to each of these frames; H and
            W divide the grid's columns.

    Returns:
        `(B, F, X, Y, Z)` uint8; `num_classes` where nothing was observed.
    """
    grid, now = history.grid, history.occupancy[:, -1]
    stride = grid.shape[0] // displacement.shape[-2]
    fine = displacement.repeat_interleave(stride, -2).repeat_interleave(stride, -1)
    goes = torch.linalg.vector_norm(fine, dim=2) > _MOVES_SHARE * grid.voxel_m  # (B, F, X, Y)
    movable = torch.isin(now, now.new_tensor(OCC3D.movable))
    leaving = movable & goes.any(1)[..., None]
    seen = warp_history(_without(history, leaving), T_t0_ego)

    clip, x, y, z = leaving.nonzero(as_tuple=True)
    if len(clip) == 0:
        return seen
    label = now[clip, x, y, z].long()
    cell = torch.stack([x, y, z], dim=-1).float() + 0.5
    third = torch.tensor([-1.0, 0.0, 1.0], device=cell.device) / 3
    points = torch.cartesian_prod(third, third)  # nine points a voxel
    points = cell[:, None] + torch.nn.functional.pad(points, (0, 1))
    low = torch.as_tensor(grid.origin_m, dtype=torch.float32, device=cell.device)
    points = points * grid.voxel_m + low  # (P, 9, 3)
    T_ego_t0 = torch.linalg.inv(T_t0_ego.double()).float()
    shape = torch.tensor(grid.shape, device=cell.device)
    for f in range(T_t0_ego.shape[1]):
        shift = torch.nn.functional.pad(fine[clip, f, :, x, y], (0, 1))
        there = points + shift[:, None]
        there = torch.einsum("pij,pnj->pni", T_ego_t0[clip, f, :3, :3], there) + T_ego_t0[clip, f, None, :3, 3]
        index = torch.floor((there - low) / grid.voxel_m + 1e-4).long()
        inside = ((index >= 0) & (index < shape)).all(-1)
        flat = ((clip[:, None] * shape[0] + index[..., 0]) * shape[1] + index[..., 1]) * shape[2] + index[..., 2]
        key = (flat * OCC3D.num_classes + label[:, None])[inside]
        taken, count = torch.unique(key, return_counts=True)
        taken = taken[count >= _FILLED]
        frame = seen[:, f].reshape(-1)
        frame[taken // OCC3D.num_classes] = (taken % OCC3D.num_classes).to(seen.dtype)
        seen[:, f] = frame.view_as(seen[:, f])
    return seen


def _without(history: History, leaving: Tensor) -> History:
    """The history with the voxels `(B, X, Y, Z)` of its last frame set free."""
    from dataclasses import replace

    occupancy = history.occupancy.clone()
    occupancy[:, -1] = occupancy[:, -1].masked_fill(leaving, OCC3D.free)
    return replace(history, occupancy=occupancy)
