"""Forecasts that need no learning. They stand beside the model in every table, under the same ego motion."""

from __future__ import annotations

import torch
from torch import Tensor

from drivewm.geometry.warp import warp_voxels
from drivewm.structures import OCC3D, History

_NOT_COVERED = OCC3D.num_classes


def copy_last(history: History, T_t0_ego: Tensor) -> Tensor:
    """The frame at t0, unmoved, for each of the F ego frames `T_t0_ego (B, F, 4, 4)`: `(B, F, X, Y, Z)` uint8."""
    return history.occupancy[:, -1:].expand(-1, T_t0_ego.shape[1], *(-1,) * 3)


def ego_warped_copy(history: History, T_t0_ego: Tensor, seen: Tensor | None = None) -> Tensor:
    """What was observed, moved into each future ego frame: a world in which nothing else moves.

    Each voxel copies the newest observed frame that covers it; voxels that no frame covers are free. Arguments and
    result as in `copy_last`; `seen` is the result of `warp_history`, if it is at hand.
    """
    seen = warp_history(history, T_t0_ego) if seen is None else seen
    return seen.masked_fill(newly_seen(seen), OCC3D.free)


def newly_seen(seen: Tensor) -> Tensor:
    """Voxels of each future frame that lie outside of every observed one, from the result of `warp_history`: bool."""
    return seen == _NOT_COVERED


def warp_history(history: History, T_t0_ego: Tensor) -> Tensor:
    """The newest observation of each voxel in the frames `T_t0_ego (B, F, 4, 4)`; `num_classes` where there is none."""
    future = T_t0_ego.shape[1]
    T_ego_t0 = torch.linalg.inv(T_t0_ego.double())
    merged = None
    for age in range(history.num_frames):
        T_t0_source = history.poses_in_t0()[:, -1 - age].double()
        T_ego_source = T_ego_t0 @ T_t0_source[:, None]
        frame = history.occupancy[:, -1 - age][:, None].expand(-1, future, *(-1,) * 3)
        warped = warp_voxels(frame.flatten(0, 1), T_ego_source.flatten(0, 1), history.grid, _NOT_COVERED)
        merged = warped if merged is None else torch.where(merged == _NOT_COVERED, warped, merged)
    return merged.unflatten(0, (-1, future))
