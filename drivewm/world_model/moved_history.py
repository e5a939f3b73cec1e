"""What was observed, seen from each future ego frame, with the things that move moved on."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from drivewm.geometry import VoxelGrid
from drivewm.geometry.transform import transform_points
from drivewm.structures import OCC3D, History
from drivewm.world_model.baselines import warp_history

_NOT_COVERED = OCC3D.num_classes
_FILLED = 4
"""Of the nine points that stand for a voxel: with so many of them a voxel is taken. Exactly one voxel gets that many
where a single one moves by any distance along the axes."""


def moved_history(history: History, T_t0_ego: Tensor, displacement: Tensor, moves: Tensor) -> Tensor:
    """As `baselines.warp_history`, except that movable things at t0 first go where a motion field takes them.

    Args:
        history: the observed frames.
        T_t0_ego: `(B, F, 4, 4)` the future ego frames.
        displacement: `(B, F, 2, H, W)` [m, axes of the ego frame at t0] of each cell up to each of these frames; H and
            W divide the grid's columns.
        moves: `(B, H, W)` bool, which cells go anywhere; what is in the others is copied as it is.

    Returns:
        `(B, F, X, Y, Z)` uint8; `num_classes` where nothing was observed.
    """
    grid, now = history.grid, history.occupancy[:, -1]
    stride = grid.shape[0] // displacement.shape[-2]
    fine, moves = (f.repeat_interleave(stride, -2).repeat_interleave(stride, -1) for f in (displacement, moves))
    leaving = torch.isin(now, now.new_tensor(OCC3D.movable)) & moves[..., None]
    seen = warp_history(_without(history, leaving), T_t0_ego)

    clip, x, y, z = leaving.nonzero(as_tuple=True)
    label = now[clip, x, y, z].long()
    points = _nine_points(torch.stack([x, y, z], dim=-1), grid)
    T_ego_t0 = torch.linalg.inv(T_t0_ego.double()).float()[clip]
    for f in range(T_t0_ego.shape[1]):
        there = points + F.pad(fine[clip, f, :, x, y], (0, 1))[:, None]
        there = transform_points(T_ego_t0[:, f], there)
        voxel, label_there = _fullest(clip, there, label, grid)
        seen[:, f][tuple(voxel.T)] = label_there.to(seen.dtype)
    return seen


def _nine_points(voxel: Tensor, grid: VoxelGrid) -> Tensor:
    """Points `(P, 9, 3)` [m] that stand for voxels `(P, 3)`, evenly over their area."""
    third = torch.tensor([-1.0, 0.0, 1.0], device=voxel.device) / 3
    offset = F.pad(torch.cartesian_prod(third, third), (0, 1))
    return (voxel[:, None] + 0.5 + offset) * grid.voxel_m + _low(grid, voxel.device)


def _fullest(clip: Tensor, points: Tensor, label: Tensor, grid: VoxelGrid) -> tuple[Tensor, Tensor]:
    """Voxels `(Q, 4)`, the clip's number first, that hold enough of the points `(P, 9, 3)` of a label, and the label.

    Args:
        clip, label: `(P,)` of each nine points.
    """
    shape = torch.tensor(grid.shape, device=points.device)
    index = torch.floor((points - _low(grid, points.device)) / grid.voxel_m + 1e-4).long()
    inside = ((index >= 0) & (index < shape)).all(-1)
    rows = torch.cat([clip[:, None, None].expand(-1, 9, 1), index, label[:, None, None].expand(-1, 9, 1)], dim=-1)
    limits = (int(clip.max()) + 1 if len(clip) else 1, *grid.shape, OCC3D.num_classes)
    key = torch.zeros_like(inside, dtype=torch.int64)
    for digit, limit in zip(rows.unbind(-1), limits, strict=True):
        key = key * limit + digit
    taken, count = torch.unique(key[inside], return_counts=True)
    found = torch.stack(torch.unravel_index(taken[count >= _FILLED], limits), dim=-1)
    return found[:, :4], found[:, 4]


def _low(grid: VoxelGrid, device: torch.device) -> Tensor:
    return torch.as_tensor(grid.origin_m, dtype=torch.float32, device=device)


def _without(history: History, leaving: Tensor) -> History:
    """The history in which nobody knows what is at the voxels `(B, X, Y, Z)` of its last frame.

    Older frames may have seen what was hidden there; where things move, their own movable voxels are no help.
    """
    occupancy = history.occupancy.clone()
    occupancy[:, -1] = occupancy[:, -1].masked_fill(leaving, _NOT_COVERED)
    older = occupancy[:, :-1]
    movable = torch.isin(older, older.new_tensor(OCC3D.movable)) & leaving.flatten(1).any(1)[:, None, None, None, None]
    occupancy[:, :-1] = older.masked_fill(movable, _NOT_COVERED)
    return replace(history, occupancy=occupancy)
