"""Occupancy labels of the analytic scene at any voxel grid, and which voxels a sweep has seen."""

from __future__ import annotations

import numpy as np

from drivewm.geometry.raycast import carve
from drivewm.geometry.voxel_grid import VoxelGrid
from drivewm.simulation import _kernels
from drivewm.simulation.bodies import Bodies
from drivewm.simulation.ground import TERRAIN, Ground
from drivewm.simulation.lidar import LidarSweep
from drivewm.structures.labels import OCC3D


def label_voxels(static: Bodies, agents: Bodies, ground: Ground, pose: np.ndarray, grid: VoxelGrid) -> np.ndarray:
    """Class of each voxel: that of a body which it touches, agents before static bodies before the ground.

    Args:
        static, agents: bodies in the ego frame.
        ground: global frame; it fills the layer of voxels that holds z = 0.
        pose: `(3,)` of the ego, global frame.
        grid: in the ego frame.

    Returns:
        `(X, Y, Z)` uint8 classes of `OCC3D`.
    """
    labels = np.full(grid.shape, OCC3D.free, np.uint8)
    origin, voxel = grid.origin_m, grid.voxel_m
    _kernels.fill_ground(
        labels,
        origin,
        voxel,
        np.asarray(pose, np.float64),
        ground.classes,
        ground.origin_m,
        ground.resolution_m,
        TERRAIN,
    )
    for bodies in (static, agents):
        _kernels.fill_round(
            labels, origin, voxel, bodies.ellipsoids, np.zeros(len(bodies.ellipsoids), bool), bodies.ellipsoid_class
        )
        _kernels.fill_boxes(labels, origin, voxel, bodies.turned_boxes(), bodies.box_class)
        _kernels.fill_round(
            labels, origin, voxel, bodies.cylinders, np.ones(len(bodies.cylinders), bool), bodies.cylinder_class
        )
    return labels


def seen_voxels(sweep: LidarSweep, grid: VoxelGrid) -> np.ndarray:
    """Occ3D's `mask_lidar`: voxels that the sweep's rays pass or end in, `(X, Y, Z)` bool.

    A ray that came back ends where it hit; one that did not is followed to the end of the grid.
    """
    T = sweep.T_ego_lidar
    far = float(np.linalg.norm(grid.extent_m))
    depth = np.minimum(sweep.ray_depth_m, far)
    ends = T[:3, 3] + depth[:, None] * (sweep.ray_directions.astype(np.float64) @ T[:3, :3].T)
    return carve(grid, T[:3, 3], ends)
