"""Readable NumPy twins of the kernels: every ray against every body, every voxel against every body."""

from __future__ import annotations

import numpy as np

from drivewm.geometry import se2
from drivewm.geometry.voxel_grid import VoxelGrid
from drivewm.simulation._kernels import TOUCH_M
from drivewm.simulation.bodies import Bodies
from drivewm.structures.labels import OCC3D


def cast_reference(
    bodies: Bodies, origin: np.ndarray, directions: np.ndarray, max_range_m: float
) -> tuple[np.ndarray, np.ndarray]:
    """Twin of `lidar.cast`: depth `(R,)` [m], inf where nothing is met, and body `(R,)` (-2 ground, -1 nothing)."""
    origin = np.asarray(origin, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        columns = [np.where(directions[:, 2] < 0, -origin[2] / directions[:, 2], np.inf)]
        columns += [_ray_box(box, origin, directions) for box in bodies.boxes]
        columns += [_ray_cylinder(cylinder, origin, directions) for cylinder in bodies.cylinders]
        columns += [_ray_ellipsoid(ellipsoid, origin, directions) for ellipsoid in bodies.ellipsoids]
    depth = np.stack(columns, axis=-1)
    body = depth.argmin(1)
    depth = depth.min(1)
    met = depth < max_range_m
    return np.where(met, depth, np.inf), np.where(met, np.where(body == 0, -2, body - 1), -1)


def _ray_box(box, origin, directions):
    """Slab test in the box's frame."""
    frame = se2.inverse(box[[0, 1, 6]])
    start = np.array([*se2.transform_points(frame, origin[None, :2])[0], origin[2] - box[2]])
    turn = se2.transform_points(np.array([0.0, 0.0, frame[2]]), directions[:, :2])
    ray = np.column_stack([turn, directions[:, 2]])
    t = np.stack([(-box[3:6] / 2 - start) / ray, (box[3:6] / 2 - start) / ray])
    near, far = t.min(0).max(1), t.max(0).min(1)
    return np.where((near <= far) & (near > 0), near, np.inf)


def _ray_cylinder(cylinder, origin, directions):
    """The mantle and both caps."""
    x, y, low, high, radius = cylinder
    p, d = origin[:2] - (x, y), directions[:, :2]
    a, b, c = (d**2).sum(1), d @ p, p @ p - radius**2
    mantle = (-b - np.sqrt(b**2 - a * c)) / a
    height = origin[2] + mantle * directions[:, 2]
    hits = [np.where((mantle > 0) & (height >= low) & (height <= high), mantle, np.inf)]
    for cap in (low, high):
        t = (cap - origin[2]) / directions[:, 2]
        inside = ((p + t[:, None] * d) ** 2).sum(1) <= radius**2
        hits.append(np.where((t > 0) & inside, t, np.inf))
    return np.min(hits, axis=0)


def _ray_ellipsoid(ellipsoid, origin, directions):
    """A unit sphere after scaling."""
    scale = ellipsoid[[3, 3, 4]]
    p, d = (origin - ellipsoid[:3]) / scale, directions / scale
    a, b, c = (d**2).sum(1), d @ p, p @ p - 1.0
    t = (-b - np.sqrt(b**2 - a * c)) / a
    return np.where(t > 0, t, np.inf)


def fill_reference(bodies: Bodies, grid: VoxelGrid) -> np.ndarray:
    """Twin of the kernels behind `occupancy.label_voxels` for one set of bodies, without ground: `(X, Y, Z)` uint8."""
    labels = np.full(grid.shape, OCC3D.free, np.uint8)
    center, half = grid.centers(), grid.voxel_m / 2
    for ellipsoid, label in zip(bodies.ellipsoids, bodies.ellipsoid_class, strict=True):
        gap = np.maximum(np.abs(center - ellipsoid[:3]) - half, 0.0)
        gap[..., 2] *= ellipsoid[3] / ellipsoid[4]
        labels[np.linalg.norm(gap, axis=-1) <= ellipsoid[3] + TOUCH_M] = label
    for box, label in zip(bodies.boxes, bodies.box_class, strict=True):
        labels[_box_touches(box, center, half)] = label
    for cylinder, label in zip(bodies.cylinders, bodies.cylinder_class, strict=True):
        gap = np.maximum(np.abs(center[..., :2] - cylinder[:2]) - half, 0.0)
        tall = (center[..., 2] + half >= cylinder[2] - TOUCH_M) & (center[..., 2] - half <= cylinder[3] + TOUCH_M)
        labels[(np.linalg.norm(gap, axis=-1) <= cylinder[4] + TOUCH_M) & tall] = label
    return labels


def _box_touches(box, center, half):
    """Separating axes: those of the cells and those of the box (Gottschalk et al., 1996)."""
    offset = center - box[:3]
    cos, sin = np.cos(box[6]), np.sin(box[6])
    reach = half * (abs(cos) + abs(sin)) + TOUCH_M
    along, across = cos * offset[..., 0] + sin * offset[..., 1], cos * offset[..., 1] - sin * offset[..., 0]
    extent_x = (abs(cos) * box[3] + abs(sin) * box[4]) / 2 + half + TOUCH_M
    extent_y = (abs(sin) * box[3] + abs(cos) * box[4]) / 2 + half + TOUCH_M
    return (
        (np.abs(offset[..., 0]) <= extent_x)
        & (np.abs(offset[..., 1]) <= extent_y)
        & (np.abs(offset[..., 2]) <= box[5] / 2 + half + TOUCH_M)
        & (np.abs(along) <= box[3] / 2 + reach)
        & (np.abs(across) <= box[4] / 2 + reach)
    )
