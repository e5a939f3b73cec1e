"""How things move, told from sweeps alone: what hangs together at t0 is looked for in the sweeps before.

No label, no box and nothing learned. What is not found elsewhere stands still.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from drivewm.world_model import _thing_kernels

CELL_M = 0.3
_REACH_M = 60.0
_LOWEST_M, _HIGHEST_M = 0.3, 3.5
"""Heights above the ground between which returns stand for things [m]."""
_GROUND_CELLS, _HIGHEST_GROUND_M = 7, 0.5
"""The lowest return within so many cells is the ground, unless it is higher than this in the ego frame."""
_LARGEST_M, _FEWEST_CELLS = 16.0, 2
"""What is larger is scenery, what is smaller cannot be told from noise."""
_BRIDGED_CELLS = 3
"""Edge of the square by which cells are widened before it is asked what hangs together: rings of a beam lie apart."""
_FASTEST_MPS, _COARSE_MPS, _FINE_MPS = 18.0, 0.6, 0.1
_BLUR_CELLS = 1.0
_SLOW = 0.02
"""Overlap that a metre per second costs: of two matches the slower one is likelier."""
_FOUND, _BETTER = 0.4, 0.2
"""Overlap with the sweeps before that a thing must have where it moves, and by how much that must beat standing."""


@dataclass(frozen=True)
class MovingThings:
    """What moves at t0, in bird's-eye view in the ego frame at t0.

    Attributes:
        label: `(H, W)` int32 cells of `CELL_M` around the ego: number of the thing, 0 where nothing moves.
        velocity: `(L + 1, 2)` [m/s] of each; the first is 0.
    """

    label: np.ndarray
    velocity: np.ndarray

    def of_points(self, points: np.ndarray, age_s: float) -> np.ndarray:
        """Which thing each point `(N, 3)` [m, ego frame at t0] of a sweep `age_s` before t0 is part of: `(N,)` int32.

        A thing was by `velocity * age_s` behind where it is. The ground under it is no part of it.
        """
        owner = np.zeros(len(points), np.int32)
        rows = np.flatnonzero(_above_ground(points)) if len(self.velocity) > 1 else []
        for number in range(1, len(self.velocity)):
            cell = _cells(points[rows, :2] + self.velocity[number] * age_s)
            inside = ((cell >= 0) & (cell < len(self.label))).all(1)
            there = self.label[tuple(np.where(inside[:, None], cell, 0).T)]
            owner[rows[inside & (there == number) & (owner[rows] == 0)]] = number
        return owner


def moving_things(sweeps: list[np.ndarray], ages_s: np.ndarray) -> MovingThings:
    """Things that move, from sweeps `(N_k, 3)` [m, ego frame at t0], the newest first, `ages_s (K,)` before t0."""
    maps = [_occupied(sweep) for sweep in sweeps]
    if len(maps) < 2:
        return MovingThings(np.zeros(maps[0].shape, np.int32), np.zeros((1, 2)))
    label, number = ndimage.label(
        ndimage.binary_dilation(maps[0], np.ones((_BRIDGED_CELLS, _BRIDGED_CELLS))), np.ones((3, 3))
    )
    label[~maps[0]] = 0
    cells = np.argwhere(label)
    owner = label[tuple(cells.T)]
    order = np.argsort(owner, kind="stable")
    cells, sizes = cells[order].astype(np.int32), np.bincount(owner, minlength=number + 1)[1:]
    pointer = np.concatenate([[0], np.cumsum(sizes)])
    away = np.stack([ndimage.distance_transform_edt(~m) for m in maps[1:]])
    blurred = np.exp(-0.5 * (away / _BLUR_CELLS) ** 2).astype(np.float32)
    velocity, score, still = np.zeros((number, 2)), np.zeros(number), np.zeros(number)
    large = np.array([_extent(cells[a:b]) > _LARGEST_M for a, b in zip(pointer[:-1], pointer[1:], strict=True)], bool)
    tried = (sizes >= _FEWEST_CELLS) & ~large
    _thing_kernels.match(
        cells,
        pointer,
        tried,
        blurred,
        np.asarray(ages_s[1:], np.float64) / CELL_M,
        _FASTEST_MPS,
        _COARSE_MPS,
        _FINE_MPS,
        _SLOW,
        velocity,
        score,
        still,
    )
    moves = tried & (score >= _FOUND) & (score - still >= _BETTER)
    renumbered = np.concatenate([[0], np.where(moves, np.cumsum(moves), 0)]).astype(np.int32)[label]
    # Another sweep meets it beside where this one did.
    wider = ndimage.grey_dilation(renumbered, (3, 3))
    label = np.where(renumbered > 0, renumbered, wider)
    return MovingThings(label, np.concatenate([np.zeros((1, 2)), velocity[moves]]))


def _cells(xy: np.ndarray) -> np.ndarray:
    return np.floor((xy + _REACH_M) / CELL_M).astype(np.int64)


def _extent(cells: np.ndarray) -> float:
    return float((cells.max(0) - cells.min(0)).max() * CELL_M) if len(cells) else 0.0


def _above_ground(points: np.ndarray) -> np.ndarray:
    """Which points `(N, 3)` are in reach and well above the ground, which is the lowest return around: bool `(N,)`."""
    side = round(2 * _REACH_M / CELL_M)
    cell = _cells(points[:, :2])
    inside = ((cell >= 0) & (cell < side)).all(1)
    lowest = np.full((side, side), np.inf)
    np.minimum.at(lowest, tuple(cell[inside].T), points[inside, 2])
    ground = ndimage.minimum_filter(lowest, _GROUND_CELLS)
    above = np.zeros(len(points), bool)
    height = points[inside, 2] - np.minimum(ground[tuple(cell[inside].T)], _HIGHEST_GROUND_M)
    above[inside] = (height > _LOWEST_M) & (height < _HIGHEST_M)
    return above


def _occupied(points: np.ndarray) -> np.ndarray:
    """Cells `(H, W)` bool with returns above the ground."""
    side = round(2 * _REACH_M / CELL_M)
    found = np.zeros((side, side), bool)
    found[tuple(_cells(points[_above_ground(points), :2]).T)] = True
    return found
