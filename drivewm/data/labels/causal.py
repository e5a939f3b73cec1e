"""Labels of a recording in memory, without looking ahead."""

from __future__ import annotations

import numpy as np

from drivewm.data.labels.cloud import SceneCloud, masked
from drivewm.data.labels.sorting import Sweep
from drivewm.data.labels.tracks import SweepBoxes
from drivewm.data.labels.voting import Ballot
from drivewm.geometry import VoxelGrid


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
    given = [
        Sweep(np.ascontiguousarray(points, np.float32), c, T_ego_lidar, T)
        for points, c, T in zip(sweeps, classes, T_global_ego, strict=True)
    ]
    cloud, ballot = SceneCloud(given, [SweepBoxes.none()] * len(given)), Ballot(grid)
    semantics = np.stack([cloud.semantics(k, ballot, causal=True) for k in range(len(given))])
    return semantics, np.stack([masked(s, cloud.seen(k, grid, ())) for k, s in enumerate(semantics)])
