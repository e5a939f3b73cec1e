"""What a LiDAR would measure from another pose, in a scene that is known by its accumulated points.

Obstacles are cells that hold points, hit where their mean point lies. The ground is a height map, since the rings of a
LiDAR lie far apart on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.closed_loop.log import _kernels
from drivewm.closed_loop.log.ground_map import GroundMap
from drivewm.closed_loop.log.points import Sweep, out_of_boxes, voxel_means

CELL_M = 0.2
"""Edge of an obstacle's cell."""
REACH_M = 0.14
"""A ray meets a cell's mean point if it passes it closer than this, seen from above: half the diagonal of a cell, so
that no ray slips through a wall."""
RANGE_M = 75.0
"""Further points are not kept: the grid grows with the square of it."""
_HEIGHTS_M = (-6.0, 12.0)  # of the grid, relative to the sensor


@dataclass(frozen=True)
class Scenery:
    """All that stands still.

    Attributes:
        obstacles: `(N, 3)` float64 mean points of the cells that hold any point above the ground [m, global].
        ground: heights, global frame.
    """

    obstacles: np.ndarray
    ground: GroundMap

    @classmethod
    def accumulate(cls, sweeps: list[Sweep], driven: np.ndarray) -> Scenery:
        """From what stands still in some sweeps, and the driven path `(K, 3)` [m, global]."""
        points = np.concatenate([np.zeros((0, 3)), *(sweep.static for sweep in sweeps)])
        ground = GroundMap.fit(points, driven)
        return cls(voxel_means(points[~ground.holds(points)], CELL_M), ground)


@dataclass(frozen=True)
class Objects:
    """What is known of each tracked object.

    Attributes:
        points: `(M, 3)` float64 mean points of cells in the frames of the objects' boxes [m], sorted by track.
        track: `(M,)` int64 whose they are.
    """

    points: np.ndarray
    track: np.ndarray

    @classmethod
    def accumulate(cls, sweeps: list[Sweep]) -> Objects:
        """From the object points of some sweeps."""
        points = np.concatenate([np.zeros((0, 3)), *(sweep.object_points for sweep in sweeps)])
        track = np.concatenate([np.zeros(0, np.int64), *(sweep.object_track for sweep in sweeps)])
        kept = [(own, voxel_means(points[track == own], CELL_M)) for own in np.unique(track)]
        return cls(
            np.concatenate([np.zeros((0, 3)), *(part for _, part in kept)]),
            np.concatenate([np.zeros(0, np.int64), *(np.full(len(part), own) for own, part in kept)]),
        )

    def at(self, boxes: np.ndarray, track: np.ndarray) -> np.ndarray:
        """Their points `(K, 3)` where the boxes `(B, 7)` of the tracks `(B,)` are, in the frame of the boxes."""
        order = np.argsort(track)
        position = np.searchsorted(track[order], self.track)
        here = position < len(track)
        here[here] = track[order][position[here]] == self.track[here]
        return out_of_boxes(self.points[here], boxes[order[position[here]]])


def cast(scenery: Scenery, objects: np.ndarray, origin: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Depth of what each ray meets first.

    Args:
        scenery: what stands still.
        objects: `(M, 3)` points of road users [m, global].
        origin: `(3,)` of the sensor [m, global].
        directions: `(R, 3)` unit vectors, global.

    Returns:
        `(R,)` float64 [m]; inf where nothing known is met within `RANGE_M`.
    """
    origin, directions = np.asarray(origin, np.float64), np.ascontiguousarray(directions, np.float64)
    points = np.concatenate([scenery.obstacles, voxel_means(objects, CELL_M)])
    slot, low = _grid(points, origin)
    obstacles, ground = np.empty(len(directions)), np.empty(len(directions))
    _kernels.cast_obstacles(slot, low, CELL_M, points, origin, directions, RANGE_M, REACH_M, obstacles)
    _kernels.cast_ground(
        scenery.ground.height, scenery.ground.origin_m, scenery.ground.cell_m, origin, directions, RANGE_M, ground
    )
    return np.minimum(obstacles, ground)


def _grid(points: np.ndarray, origin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number of the point in each cell around the sensor, from 1; 0 where there is none: int32 `(X, Y, Z)`; its corner.

    Zeros, since memory that is never touched costs nothing then.
    """
    reach = np.array([[-RANGE_M, -RANGE_M, _HEIGHTS_M[0]], [RANGE_M, RANGE_M, _HEIGHTS_M[1]]])
    first, last = np.floor((origin + reach) / CELL_M).astype(np.int64)
    slot = np.zeros(last - first + 1, np.int32)
    cell = np.floor(points / CELL_M).astype(np.int64) - first
    inside = np.flatnonzero(((cell >= 0) & (cell < slot.shape)).all(-1))
    slot[tuple(cell[inside].T)] = inside + 1
    return slot, first * CELL_M


def cast_obstacles_reference(points: np.ndarray, origin: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """The readable twin of the kernel for obstacles, O(R N): depth `(R,)` at the first cell that a ray meets.

    A ray meets a cell if it goes through it and passes its mean point within `REACH_M`, seen from above. The hit lies
    where the ray is closest to the point, seen from above: surfaces of obstacles are upright, and the gap between two
    beams is filled by what is above or below.
    """
    low = np.floor(points / CELL_M) * CELL_M
    depth = np.full(len(directions), np.inf)
    for ray, direction in enumerate(directions):
        with np.errstate(divide="ignore", invalid="ignore"):
            borders = np.stack([(low - origin) / direction, (low + CELL_M - origin) / direction])
        enter, leave = np.nanmax(borders.min(0), axis=1), np.nanmin(borders.max(0), axis=1)
        offset, flat = points[:, :2] - origin[:2], np.hypot(*direction[:2])
        beside = np.abs(offset[:, 0] * direction[1] - offset[:, 1] * direction[0]) / flat
        found = (offset * direction[:2]).sum(-1) / flat**2
        met = (enter <= leave) & (leave >= 0) & (np.maximum(enter, 0) <= RANGE_M)
        met &= (beside <= REACH_M) & (found > 0) & (found <= RANGE_M)
        if met.any():
            first = np.flatnonzero(met)[enter[met].argmin()]
            depth[ray] = found[first]
    return depth


def cast_ground_reference(ground: GroundMap, origin: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """The readable twin of the kernel for the ground: depth `(R,)` at which a ray goes below it, inf if it does not.

    Rays advance by a cell; between the last point above the ground and the first one below they are cut linearly.
    """
    depth = np.full(len(directions), np.inf)
    for ray, direction in enumerate(directions):
        step = ground.cell_m / max(np.hypot(*direction[:2]), 0.2)
        t = step * np.arange(int(RANGE_M / step) + 1)
        points = origin + t[:, None] * direction
        above = points[:, 2] - ground.at(points[:, :2])
        crossing = np.flatnonzero((above[1:] <= 0) & (above[:-1] > 0))
        if len(crossing):
            k = crossing[0]
            depth[ray] = t[k + 1] - step * above[k + 1] / (above[k + 1] - above[k])
    return depth
