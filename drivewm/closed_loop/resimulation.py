"""What a LiDAR would measure from another pose, in a scene that is known by its accumulated points.

Obstacles are columns of points: cells that are taller than wide, since the beams of a LiDAR leave gaps above each
other, and hit where their mean point lies. The ground is a height map.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.closed_loop import _resimulation_kernels
from drivewm.closed_loop.ground_map import GroundMap
from drivewm.closed_loop.log_points import voxel_means

CELL_M = np.array([0.2, 0.2, 0.3])
"""Edges of an obstacle's cell."""
REACH_M = 0.1
"""A ray meets a cell's mean point if it passes it closer than this, seen from above."""
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
    def accumulate(cls, sweeps: list[np.ndarray], driven: np.ndarray) -> Scenery:
        """From the points of scenery of some sweeps, each `(N_k, 3)`, and the driven path `(K, 3)` [m, global]."""
        points = np.concatenate([np.zeros((0, 3)), *sweeps])
        ground = GroundMap.fit(points, driven)
        return cls(voxel_means(points[~ground.holds(points)], CELL_M), ground)


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
    columns, ground = np.empty(len(directions)), np.empty(len(directions))
    _resimulation_kernels.cast_columns(slot, low, CELL_M, points, origin, directions, RANGE_M, REACH_M, columns)
    _resimulation_kernels.cast_ground(
        scenery.ground.height, scenery.ground.origin_m, scenery.ground.cell_m, origin, directions, RANGE_M, ground
    )
    return np.minimum(columns, ground)


def _grid(points: np.ndarray, origin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number of the point in each cell around the sensor, -1 where there is none: int32 `(X, Y, Z)`; its corner."""
    reach = np.array([[-RANGE_M, -RANGE_M, _HEIGHTS_M[0]], [RANGE_M, RANGE_M, _HEIGHTS_M[1]]])
    first, last = np.floor((origin + reach) / CELL_M).astype(np.int64)
    slot = np.full(last - first + 1, -1, np.int32)
    cell = np.floor(points / CELL_M).astype(np.int64) - first
    inside = np.flatnonzero(((cell >= 0) & (cell < slot.shape)).all(-1))
    slot[tuple(cell[inside].T)] = inside
    return slot, first * CELL_M
