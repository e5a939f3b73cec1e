"""Forecasts that need no learning. They stand beside the model in every table, under the same ego motion."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from drivewm.geometry import VoxelGrid, se3
from drivewm.geometry.boxes import points_in_boxes
from drivewm.geometry.warp import warp_newest
from drivewm.structures import OCC3D, History

_NOT_COVERED = OCC3D.num_classes
_MOVES_MPS = 0.3
_MARGIN_M = 0.2


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


def warped_frame(present: Tensor, T_t0_ego: Tensor, grid: VoxelGrid) -> Tensor:
    """One frame `(B, 1, X, Y, Z)` uint8 at t0, moved as the `ego_warped_copy` moves what was observed."""
    seen = warp_newest(present, torch.linalg.inv(T_t0_ego.double())[:, :, None], grid, _NOT_COVERED)
    return seen.masked_fill(newly_seen(seen), OCC3D.free)


def constant_velocity_boxes(history: History, T_t0_ego: Tensor, times_s: Tensor) -> Tensor:
    """The ego-warped copy in which what lies in a moving box goes on as that box moved at t0, without turning.

    It needs boxes with velocities, which the other forecasts do not: what tracking would bring.

    Args:
        history, T_t0_ego: as in `copy_last`; `history.boxes` must be there.
        times_s: `(B, F)` of the future frames after t0 [s].
    """
    if history.boxes is None:
        raise ValueError("constant_velocity_boxes needs history.boxes, but the history has none")
    frames, grid = ego_warped_copy(history, T_t0_ego).cpu().numpy(), history.grid
    boxes = history.boxes.boxes()[:, -1].double().cpu().numpy()
    velocity = torch.nan_to_num(history.boxes.velocity[:, -1]).double().cpu().numpy()
    moving = history.boxes.valid[:, -1].cpu().numpy() & (np.linalg.norm(velocity, axis=-1) > _MOVES_MPS)
    movable = np.isin(np.arange(OCC3D.num_classes), OCC3D.movable)
    for b, f in np.ndindex(*frames.shape[:2]):
        now, frame = history.occupancy[b, -1].cpu().numpy(), frames[b, f].reshape(-1)
        in_t0 = se3.transform_points(T_t0_ego[b, f].double().cpu().numpy(), grid.centers().reshape(-1, 3))
        for box in boxes[b][moving[b]]:
            inside = _rows_in_box(in_t0, box)
            frame[inside[movable[frame[inside]]]] = OCC3D.free
        for box, v in zip(boxes[b][moving[b]], velocity[b][moving[b]], strict=True):
            ahead = np.append(v * float(times_s[b, f]), 0.0)
            rows = _rows_in_box(in_t0, np.append(box[:3] + ahead, box[3:]))
            cell, known = grid.to_index(in_t0[rows] - ahead)
            label = now[tuple(cell[known].T)]
            frame[rows[known][movable[label]]] = label[movable[label]]
    return torch.from_numpy(frames).to(history.occupancy.device)


def _rows_in_box(points: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Which of the points `(N, 3)` lie in a box `(7,)`, or so near that their voxel does: rows."""
    reach = np.hypot(box[3], box[4]) / 2 + _MARGIN_M
    near = np.flatnonzero((np.abs(points[:, :2] - box[:2]) <= reach).all(-1))
    return near[points_in_boxes(points[near], box[None], _MARGIN_M)[:, 0]]


def newly_seen(seen: Tensor) -> Tensor:
    """Voxels of each future frame that lie outside of every observed one, from the result of `warp_history`: bool."""
    return seen == _NOT_COVERED


def warp_history(history: History, T_t0_ego: Tensor) -> Tensor:
    """The newest observation of each voxel in the frames `T_t0_ego (B, F, 4, 4)`; `num_classes` where there is none."""
    T_t0_source = history.poses_in_t0().double().flip(1)
    T_ego_source = torch.linalg.inv(T_t0_ego.double())[:, :, None] @ T_t0_source[:, None]
    return warp_newest(history.occupancy.flip(1), T_ego_source, history.grid, _NOT_COVERED)
