"""Occupancy labels of the analytic scene at any voxel grid, and which voxels the sensors have seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drivewm.geometry import se3
from drivewm.geometry.raycast import carve
from drivewm.geometry.voxel_grid import VoxelGrid
from drivewm.simulation import _kernels
from drivewm.simulation.bodies import Bodies
from drivewm.simulation.cameras import CameraConfig, CameraImage
from drivewm.simulation.ground import TERRAIN, Ground
from drivewm.simulation.lidar import LidarSweep
from drivewm.structures.labels import OCC3D

_MASK_RAYS = 400


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


def paint_boxes(labels: np.ndarray, boxes: np.ndarray, classes: np.ndarray, grid: VoxelGrid) -> None:
    """Gives all voxels of `labels (X, Y, Z)` that a box touches its class, in place: solid boxes, as labels have them.

    Args:
        boxes: `(M, 7)` in the grid's frame; later ones lie over earlier ones.
        classes: `(M,)` of `OCC3D`.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 7)
    turned = np.column_stack([boxes[:, :6], np.cos(boxes[:, 6]), np.sin(boxes[:, 6])])
    _kernels.fill_boxes(labels, grid.origin_m, grid.voxel_m, turned, np.asarray(classes, np.uint8))


def seen_voxels(sweep: LidarSweep, grid: VoxelGrid) -> np.ndarray:
    """Occ3D's `mask_lidar`: voxels that the sweep's rays pass or end in, `(X, Y, Z)` bool.

    The rays are those that were fired, each from where the sensor was then. One that came back ends where it hit; one
    that did not is followed to the end of the grid.
    """
    T = sweep.T_ego_lidar
    origins = se3.transform_points(T, sweep.ray_origins.astype(np.float64))
    return _on_the_way(grid, origins, sweep.ray_directions.astype(np.float64) @ T[:3, :3].T, sweep.ray_depth_m)


def seen_by_cameras(cameras: Sequence[CameraConfig], images: dict[str, CameraImage], grid: VoxelGrid) -> np.ndarray:
    """Occ3D's `mask_camera`: voxels that a pixel's ray passes or ends in, `(X, Y, Z)` bool.

    Pixels see along the ray through their centre up to what it meets first. Of larger images only so many rays are
    followed, evenly chosen, that a row has some 400: these are close enough to miss no voxel of 0.4 m within 40 m.

    Args:
        cameras: whose images these are.
        images: by the cameras' names.
        grid: in the ego frame.
    """
    seen = np.zeros(grid.shape, bool)
    for camera in cameras:
        step = max(camera.width // _MASK_RAYS, 1)
        chosen = slice(step // 2, None, step), slice(step // 2, None, step)
        rays = camera.rays()[chosen].reshape(-1, 3)
        distance = images[camera.name].depth[chosen].reshape(-1) / (rays @ camera.T_ego_camera[:3, 2])
        seen |= _on_the_way(grid, camera.T_ego_camera[:3, 3], rays, distance)
    return seen


def _on_the_way(grid: VoxelGrid, origins: np.ndarray, rays: np.ndarray, distance_m: np.ndarray) -> np.ndarray:
    """Voxels on rays up to a distance `(R,)` [m], inf for the end of the grid."""
    far = float(np.linalg.norm(grid.extent_m))
    return carve(grid, origins, origins + np.minimum(distance_m, far)[:, None] * rays)
