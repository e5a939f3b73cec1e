"""Class of each voxel by the votes of the points in it."""

from __future__ import annotations

import numpy as np

from drivewm.data.labels import _kernels
from drivewm.geometry import VoxelGrid
from drivewm.structures import OCC3D

UNLABELLED = OCC3D.num_classes
"""Class of points that are solid but of which nobody said what they are."""
REACH = 2
"""A voxel of unlabelled points takes its class from at most so many voxels away; beyond that it stays free."""


class Ballot:
    """Votes of points for the classes of a grid's voxels. One ballot serves any number of counts.

    Points vote for what they hit; nothing votes for free. The lower class wins a tie. Points without a class only say
    that something is there: where a voxel has no others, it takes the most frequent class of the voxels around it.

    Args:
        grid: of the labels. A ballot takes 76 bytes a voxel.
    """

    def __init__(self, grid: VoxelGrid) -> None:
        self.grid, cells = grid, int(np.prod(grid.shape))
        self._votes = np.zeros((cells, OCC3D.num_classes + 1), np.uint32)
        self._is_touched, self._touched, self._count = np.zeros(cells, bool), np.empty(cells, np.int64), 0

    def add(
        self, points: np.ndarray, classes: np.ndarray, T_grid_points: np.ndarray, owner: np.ndarray, wanted: int
    ) -> None:
        """Lets the points `(N, 3)` float32 vote whose `owner (N,)` is `wanted`.

        Args:
            classes: `(N,)` uint8 of `OCC3D`, or `UNLABELLED`.
            T_grid_points: `(4, 4)` from the points' frame to the grid's.
        """
        self._count = _kernels.add_votes(
            points,
            classes,
            owner,
            wanted,
            T_grid_points,
            self.grid.origin_m,
            self.grid.voxel_m,
            self.grid.shape,
            self._votes,
            self._is_touched,
            self._touched,
            self._count,
        )

    def count(self) -> np.ndarray:
        """Classes `(X, Y, Z)` uint8 of all votes since the last count."""
        semantics = np.full(self.grid.shape, OCC3D.free, np.uint8)
        _kernels.decide(self._votes, self._is_touched, self._touched, self._count, OCC3D.free, REACH, semantics)
        self._count = 0
        return semantics


def vote_reference(points: np.ndarray, classes: np.ndarray, grid: VoxelGrid) -> np.ndarray:
    """The readable twin of `Ballot`: classes `(X, Y, Z)` uint8 by all points `(N, 3)` in the grid's frame."""
    index, inside = grid.to_index(points)
    cell, columns = np.ravel_multi_index(tuple(index[inside].T), grid.shape), OCC3D.num_classes + 1
    votes = np.bincount(cell * columns + classes[inside], minlength=int(np.prod(grid.shape)) * columns)
    votes = votes.reshape(*grid.shape, columns)
    labelled = votes[..., :UNLABELLED]
    semantics = np.where(labelled.any(-1), labelled.argmax(-1), OCC3D.free).astype(np.uint8)
    found = semantics.copy()
    for x, y, z in np.argwhere(votes.any(-1) & ~labelled.any(-1)):
        for radius in range(1, REACH + 1):
            around = semantics[tuple(slice(max(i - radius, 0), i + radius + 1) for i in (x, y, z))]
            seen = np.bincount(around[around != OCC3D.free], minlength=OCC3D.num_classes)
            if seen.any():
                found[x, y, z] = seen.argmax()
                break
    return found
