"""Do a LiDAR cloud and voxels tell of one scene? Returns that lie where something is."""

from __future__ import annotations

import numpy as np

from drivewm.geometry import VoxelGrid
from drivewm.structures import OCC3D

RAISED_M = 0.6
"""Returns from above are not of the ground, which agrees with any other ground."""


def returns_in_occupied(
    points: np.ndarray, labels: np.ndarray, grid: VoxelGrid, reach: int = 1, raised_m: float = RAISED_M
) -> np.ndarray:
    """How many returns lie in occupied voxels, or so near to one that voxels cannot tell.

    Args:
        points: `(N, 3 + C)` returns [m], in the ego frame of the voxels.
        labels: `(X, Y, Z)` uint8 classes of `OCC3D`; what nobody saw (`OCC3D.num_classes`) counts nowhere.
        grid: of the voxels; returns outside count nowhere.
        reach: occupied voxels count for their neighbours up to so many voxels away.
        raised_m: height in the ego frame from which returns count [m].

    Returns:
        `(2,)` int64: returns in occupied voxels, and returns that count.
    """
    index, inside = grid.to_index(points)
    index = index[inside & (points[:, 2] >= raised_m)]
    unknown = labels == OCC3D.num_classes
    index = index[~unknown[tuple(index.T)]]
    occupied = _grown((labels != OCC3D.free) & ~unknown, reach)
    return np.array([occupied[tuple(index.T)].sum(), len(index)], np.int64)


def _grown(occupied: np.ndarray, reach: int) -> np.ndarray:
    """Voxels with an occupied one among their neighbours, axis after axis: cubes are separable."""
    for axis in range(3):
        padded = np.pad(occupied, [(reach, reach) if a == axis else (0, 0) for a in range(3)])
        windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=axis)
        occupied = windows.any(-1)
    return occupied
