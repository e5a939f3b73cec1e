"""Which voxels points fall into: dynamic voxelization, without a cap on points or voxels (Zhou et al., 2020)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from drivewm.geometry import _voxelize_kernels
from drivewm.geometry.voxel_grid import VoxelGrid


class Voxels(NamedTuple):
    """Occupied voxels and whose points these are.

    Attributes:
        index: `(V, 3)` int32 x, y, z of each occupied voxel, in order of first appearance among the points.
        of_point: `(N,)` int32 number of each point's voxel, -1 outside of the grid (NaN points too).
    """

    index: np.ndarray
    of_point: np.ndarray

    def means(self, values: np.ndarray) -> np.ndarray:
        """Mean over the points in each voxel: float64 `(V, C)` from `values (N, C)`."""
        inside = self.of_point >= 0
        of_point, count = self.of_point[inside], len(self.index)
        sums = [np.bincount(of_point, weights=channel, minlength=count) for channel in values[inside].T]
        return np.stack(sums, axis=-1) / np.bincount(of_point, minlength=count)[:, None]


class Voxelizer:
    """Voxelizes clouds on one grid, with a map of the grid that is made once and reused.

    The map has four bytes a voxel. Two threads must not share a voxelizer.

    Args:
        grid: where the voxels are.
    """

    def __init__(self, grid: VoxelGrid) -> None:
        self.grid = grid
        self._number_at = np.zeros(int(np.prod(grid.shape)), np.int32)

    def __call__(self, points: np.ndarray) -> Voxels:
        """Voxels of points `(N, 3 + C)` float [m, the grid's frame]. ValueError for another shape."""
        if points.ndim != 2 or points.shape[1] < 3:
            raise ValueError(f"points must have shape (N, 3 + C), got {points.shape}")
        index, of_point = np.empty((len(points), 3), np.int32), np.empty(len(points), np.int32)
        count = _voxelize_kernels.number_voxels(
            points, self.grid.origin_m, self.grid.voxel_m, self.grid.shape, self._number_at, index, of_point
        )
        return Voxels(index[:count], of_point)


def voxelize_reference(points: np.ndarray, grid: VoxelGrid) -> Voxels:
    """The readable twin of `Voxelizer`: `numpy.unique` over flat voxel numbers, put in order of first appearance."""
    cells, inside = grid.to_index(points)
    flat = np.ravel_multi_index(tuple(cells[inside].T), grid.shape)
    _, first, number = np.unique(flat, return_index=True, return_inverse=True)
    order = np.argsort(first)
    of_point = np.full(len(points), -1, np.int32)
    of_point[inside] = np.argsort(order)[number]
    return Voxels(cells[inside][first[order]].astype(np.int32), of_point)
