"""Ray casting through a voxel grid: where a ray first meets an occupied voxel, and which voxels rays see."""

from __future__ import annotations

import numpy as np

from drivewm.geometry import _kernels
from drivewm.geometry.voxel_grid import VoxelGrid


def cast_rays(
    occupied: np.ndarray, grid: VoxelGrid, origins: np.ndarray, directions: np.ndarray, max_range_m: float = np.inf
) -> tuple[np.ndarray, np.ndarray]:
    """First occupied voxel along each ray (Amanatides and Woo, 1987).

    Args:
        occupied: `(X, Y, Z)` bool.
        grid: where the voxels are.
        origins: `(R, 3)` or `(3,)` [m], in the grid's frame; may lie outside of it.
        directions: `(R, 3)`, unit length (depth is measured in units of it).
        max_range_m: rays end here [m].

    Returns:
        depth_m `(R,)` float64, the distance at which the ray enters the voxel (0 if it starts in one, inf if it meets
        none), and index `(R, 3)` int64 of that voxel (-1 where none).

    Raises:
        ValueError: if shapes disagree, or an origin or direction is not finite.
    """
    depth, index, _ = _traverse(occupied, grid, origins, directions, max_range_m)
    return depth, index


def visible_voxels(
    occupied: np.ndarray,
    grid: VoxelGrid,
    origins: np.ndarray,
    directions: np.ndarray,
    ranges_m: np.ndarray | float = np.inf,
) -> np.ndarray:
    """Voxels that rays pass through up to and including the first occupied one: `(X, Y, Z)` bool.

    `ranges_m (R,)` [m] ends each ray, e.g. at the measured depth; the other arguments are those of `cast_rays`.
    """
    return _traverse(occupied, grid, origins, directions, ranges_m)[2]


def carve(grid: VoxelGrid, origins: np.ndarray, end_points: np.ndarray) -> np.ndarray:
    """Voxels on the segments from `origins (R, 3) | (3,)` to `end_points (R, 3)` [m], both ends included: bool."""
    offset = np.asarray(end_points, np.float64) - origins
    length = np.linalg.norm(offset, axis=-1)
    directions = offset / np.maximum(length, 1e-9)[:, None]
    return visible_voxels(np.zeros(grid.shape, bool), grid, origins, directions, length)


def carve_into(seen: np.ndarray, grid: VoxelGrid, T_grid_sensor: np.ndarray, points: np.ndarray) -> None:
    """Marks the voxels that a sweep's rays pass or end in: `carve` of many rays from one origin, without temporaries.

    Args:
        seen: `(X, Y, Z)` bool, contiguous; voxels are only ever added.
        grid: where the voxels are.
        T_grid_sensor: `(4, 4)` [m]; rays start at the sensor's origin.
        points: `(N, 3)` where they end [m, sensor's frame].

    Raises:
        ValueError: if shapes or types disagree, or the transform is not finite.
    """
    if seen.shape != grid.shape or seen.dtype != bool or not seen.flags.c_contiguous:
        raise ValueError(f"seen must be contiguous bool {grid.shape}, got {seen.dtype} of {seen.shape}")
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"points must have shape (N, 3), got {points.shape}")
    if not np.isfinite(T_grid_sensor).all():
        raise ValueError("T_grid_sensor must be finite, but there is NaN or infinity in it")
    T = np.ascontiguousarray(T_grid_sensor, np.float64)
    _kernels.carve_from(np.ascontiguousarray(points), T, grid.origin_m, grid.voxel_m, seen)


def _traverse(occupied, grid, origins, directions, ranges_m):
    if occupied.shape != grid.shape:
        raise ValueError(f"occupied has shape {occupied.shape}, but the grid has {grid.shape} voxels")
    directions = np.ascontiguousarray(directions, np.float64)
    if directions.ndim != 2 or directions.shape[1] != 3:
        raise ValueError(f"directions must have shape (R, 3), got {directions.shape}")
    origins = np.asarray(origins, np.float64)
    if not np.isfinite(directions.sum() + origins.sum()):
        raise ValueError("origins and directions of rays must be finite, but there is NaN or infinity among them")
    origins = np.ascontiguousarray(np.broadcast_to(origins, directions.shape))
    ranges = np.ascontiguousarray(np.broadcast_to(np.asarray(ranges_m, np.float64), len(directions)))
    depth, index = np.empty(len(directions)), np.empty((len(directions), 3), np.int64)
    visited = np.zeros(grid.shape, bool)
    _kernels.traverse(
        np.ascontiguousarray(occupied, bool),
        grid.origin_m,
        grid.voxel_m,
        origins,
        directions,
        ranges,
        depth,
        index,
        visited,
    )
    return depth, index, visited


def cast_rays_reference(
    occupied: np.ndarray, grid: VoxelGrid, origins: np.ndarray, directions: np.ndarray, max_range_m: float = np.inf
) -> tuple[np.ndarray, np.ndarray]:
    """The readable twin of `cast_rays`: every ray against every occupied voxel's box, O(R * occupied)."""
    cells = np.argwhere(occupied)
    low = grid.origin_m + cells * grid.voxel_m
    depth, index = np.full(len(directions), np.inf), np.full((len(directions), 3), -1)
    origins = np.broadcast_to(np.asarray(origins, np.float64), directions.shape)
    for ray, (origin, direction) in enumerate(zip(origins, directions, strict=True)):
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.stack([(low - origin) / direction, (low + grid.voxel_m - origin) / direction])
        parallel_inside = (direction == 0) & (origin >= low) & (origin < low + grid.voxel_m)
        near = np.where(direction == 0, np.where(parallel_inside, -np.inf, np.inf), t.min(0)).max(1, initial=0.0)
        far = np.where(direction == 0, np.inf, t.max(0)).min(1, initial=max_range_m)
        hits = np.flatnonzero(near <= far)
        if len(hits):
            first = hits[np.argmin(near[hits])]
            depth[ray], index[ray] = near[first], cells[first]
    return depth, index
