"""How fast the things at t0 were going, measured: each is found again in the observed frames before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional as F

from drivewm.structures import OCC3D
from drivewm.world_model.things import numbered_things

_FASTEST_MPS, _FASTEST_ON_FOOT_MPS = 15.0, 3.5
_SURPRISE_MPS = 5.0
"""In the step before, a thing was as fast as in the one after it, but for this."""
_SIZE_M = 2.0
"""A thing of twice or half as many cells is as unlikely to be the same as one so much further away."""


def thing_velocity(frames: Tensor, ages_s: Tensor, voxel_m: float, height: int) -> Tensor:
    """Velocities of the movable things in the newest frame.

    Things of two frames are matched within a class by the least sum of distances, in older frames around where the
    newer ones lead. What is followed for longer is measured better: a centre errs by up to half of a voxel. What
    touches another grows at one end: a thing went as far as its centre did, but no less or further than both of its
    ends. What comes into the grid grows, too: an end at the border of what was observed is none.

    Args:
        frames: `(B, M, X, Y, Z)` uint8, oldest first, all in the ego frame at t0.
        ages_s: `(B, M)` [s] before t0; where fewer frames were observed, the oldest stands for those before it.
        voxel_m: of the frames [m].
        height: cells along x, see `numbered_things`.

    Returns:
        `(B, 3, H, W)` float32: velocity along x and y [m/s, axes of the ego frame at t0] and for how long the thing was
        followed [s]; all 0 where no thing is or it was not found again.
    """
    flat, stride = frames.flatten(0, 1), frames.shape[2] // height
    numbers = numbered_things(flat, height).reshape(*frames.shape[:2], len(OCC3D.movable), height, -1)
    unseen = F.max_pool2d((flat == OCC3D.num_classes).all(-1).float(), stride).bool().cpu().numpy()
    unseen, ages = unseen.reshape(*frames.shape[:2], height, -1), ages_s.double().cpu().numpy()
    measured = []
    for own, dark, age_s in zip(numbers, unseen, ages, strict=True):
        things = [_Things.of(*frame, voxel_m * stride) for frame in zip(own, dark, strict=True)]
        measured.append(_on_cells(_follow(things, age_s), own[-1]))
    return torch.from_numpy(np.stack(measured)).to(frames.device)


@dataclass
class _Things:
    """Of one frame: numbers, classes (places among the movable ones) and how many cells, `(N,)` each; and where each
    begins, has its centre and ends, `(N, 3, 2)` along x and y [m], NaN for what the border of what was seen cuts."""

    number: np.ndarray
    kind: np.ndarray
    size: np.ndarray
    extent: np.ndarray

    @property
    def center(self) -> np.ndarray:
        """`(N, 2)` [m]."""
        return self.extent[:, 1]

    @classmethod
    def of(cls, numbers: np.ndarray, unseen: np.ndarray, cell_m: float) -> _Things:
        """Of numbered cells `(K, H, W)`, and bool `(H, W)` where nothing was seen."""
        kind, row, column = numbers.nonzero()
        number, first, own, size = np.unique(
            numbers[kind, row, column], return_index=True, return_inverse=True, return_counts=True
        )
        extent, dark = np.zeros((len(number), 3, 2)), np.pad(unseen, 1, constant_values=True)
        for axis, place in enumerate((row, column)):
            extent[:, 1, axis] = np.bincount(own, place, len(number)) / size
            for end, side, furthest in ((0, -1, np.minimum), (2, 1, np.maximum)):
                extent[:, end, axis] = -side * np.inf
                furthest.at(extent[:, end, axis], own, place)
                beside = (row + 1 + side, column + 1) if axis == 0 else (row + 1, column + 1 + side)
                cut = dark[beside] & (place == extent[own, end, axis])
                extent[own[cut], end, axis] = np.nan
        return cls(number, kind[first], size, extent * cell_m)


def _follow(frames: list[_Things], ages_s: np.ndarray) -> np.ndarray:
    """Velocity [m/s] of each thing in the last frame, and for how long it was followed [s]: `(N, 3)`."""
    now, found = frames[-1], np.zeros((len(frames[-1].number), 3))
    on_foot = now.kind == OCC3D.movable.index(OCC3D.index("pedestrian"))
    reach_mps = np.where(on_foot, _FASTEST_ON_FOOT_MPS, _FASTEST_MPS)
    then, followed = now.extent.copy(), np.ones(len(now.number), bool)
    for before, age_s, newer_s in zip(frames[-2::-1], ages_s[-2::-1], ages_s[:0:-1], strict=True):
        step_s = age_s - newer_s
        if step_s <= 0:
            break
        match = _match(now, before, then[:, 1] - found[:, :2] * step_s, reach_mps * step_s * followed)
        followed = match >= 0
        then[followed] = before.extent[match[followed]]
        moved = _moved(now.extent - then)
        known = followed[:, None] & ~np.isnan(moved)
        found[:, :2][known] = moved[known] / age_s
        found[followed, 2] = age_s
        reach_mps = np.minimum(reach_mps, _SURPRISE_MPS)
    return found


def _moved(change: np.ndarray) -> np.ndarray:
    """`(N, 2)` [m], of how far beginning, centre and end went `(N, 3, 2)`; NaN where no end is known."""
    begin, center, end = change[:, 0], change[:, 1], change[:, 2]
    together = np.where(begin * end > 0, np.clip(center, np.fmin(begin, end), np.fmax(begin, end)), 0.0)
    return np.where(np.isnan(begin), end, np.where(np.isnan(end), begin, together))


def _match(now: _Things, before: _Things, expected: np.ndarray, reach_m: np.ndarray) -> np.ndarray:
    """For each thing of now, expected around `(N, 2)`, the one before that it is, or -1: `(N,)`."""
    match = np.full(len(now.number), -1)
    away = np.linalg.norm(expected[:, None] - before.center, axis=-1)
    possible = (now.kind[:, None] == before.kind) & (away < reach_m[:, None])
    unlike = away + _SIZE_M * np.abs(np.log2(now.size[:, None] / before.size))
    rows, columns = linear_sum_assignment(np.where(possible, unlike, 1e6))
    good = possible[rows, columns]
    match[rows[good]] = columns[good]
    return match


def _on_cells(values: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """`(N, V)` of each thing on its cells `(V, H, W)` float32."""
    own = numbers.max(0)  # a cell is of one class
    place = np.searchsorted(np.unique(own[own > 0]), own)
    padded = np.append(values, np.zeros((1, values.shape[1])), axis=0)
    return np.moveaxis(padded[np.where(own > 0, place, -1)], -1, 0).astype(np.float32)
