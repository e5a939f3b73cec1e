"""Occupancy labels from classified LiDAR sweeps and their poses, without looking ahead."""

from __future__ import annotations

import numpy as np

from drivewm.geometry import VoxelGrid, raycast, se3
from drivewm.structures import OCC3D


def vote(points: np.ndarray, classes: np.ndarray, grid: VoxelGrid) -> np.ndarray:
    """Class of each voxel by majority of the points `(N, 3)` in it; free where there are none.

    Points vote for what they hit; nothing votes for free. The lower class wins a tie.
    """
    index, inside = grid.to_index(points)
    cell = np.ravel_multi_index(tuple(index[inside].T), grid.shape)
    votes = np.bincount(
        cell * OCC3D.num_classes + classes[inside], minlength=int(np.prod(grid.shape)) * OCC3D.num_classes
    )
    votes = votes.reshape(*grid.shape, OCC3D.num_classes)
    return np.where(votes.any(axis=-1), votes.argmax(axis=-1), OCC3D.free).astype(np.uint8)


def causal_labels(
    sweeps: list[np.ndarray],
    classes: list[np.ndarray],
    T_global_ego: np.ndarray,
    T_ego_lidar: np.ndarray,
    grid: VoxelGrid,
) -> tuple[np.ndarray, np.ndarray]:
    """Labels of each frame from what was seen up to it.

    Static classes come from all sweeps up to the frame, movable ones from the frame's own sweep: things that moved
    leave no trail, and a history never holds what only a later sweep saw. Voxels behind the first surface stay free.

    Args:
        sweeps: `(N_k, 3 + C)` points of frame k [m, LiDAR frame].
        classes: `(N_k,)` uint8 classes of `OCC3D` (not free).
        T_global_ego: `(F, 4, 4)`.
        T_ego_lidar: `(4, 4)`.

    Returns:
        semantics `(F, X, Y, Z)` uint8, and visible `(F, X, Y, Z)` bool: voxels that the frame's own rays went through
        or ended in, and all occupied ones.
    """
    points_ego = [se3.transform_points(T_ego_lidar, sweep[:, :3].astype(np.float64)) for sweep in sweeps]
    is_movable = [np.isin(c, OCC3D.movable) for c in classes]
    seen = [
        se3.transform_points(T, points[~m]) for T, points, m in zip(T_global_ego, points_ego, is_movable, strict=True)
    ]
    semantics = np.empty((len(sweeps), *grid.shape), np.uint8)
    visible = np.empty(semantics.shape, bool)
    for k in range(len(sweeps)):
        static = se3.transform_points(se3.inverse(T_global_ego[k]), np.concatenate(seen[: k + 1]))
        static_classes = np.concatenate([c[~m] for c, m in zip(classes[: k + 1], is_movable[: k + 1], strict=True)])
        points = np.concatenate([static, points_ego[k][is_movable[k]]])
        semantics[k] = vote(points, np.concatenate([static_classes, classes[k][is_movable[k]]]), grid)
        visible[k] = raycast.carve(grid, T_ego_lidar[:3, 3], points_ego[k]) | (semantics[k] != OCC3D.free)
    return semantics, visible
