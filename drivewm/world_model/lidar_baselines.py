"""LiDAR forecasts that need no learning. They stand beside the model in every table, under the same ego motion.

All see the history alone, and the future ego motion and rays that every predictor is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from drivewm.evaluation.functional.lidar_forecast import NEAR_FIELD_M
from drivewm.geometry import VoxelGrid, se3
from drivewm.geometry.raycast import cast_rays
from drivewm.geometry.voxelize import Voxelizer
from drivewm.structures import History

Frames = list[list[np.ndarray]]
"""An array for each of B clips and F future frames."""

RAY_GRID = VoxelGrid(NEAR_FIELD_M, 0.25)
"""Where past points stop rays: the published near field."""
_NEAREST_M = 1.0
"""Past points nearer to the sensor than this are not kept: they would blind it."""


def copy_last_points(history: History, T_t0_ego: Tensor) -> Frames:
    """The cloud at t0, unmoved, for each of the F ego frames `T_t0_ego (B, F, 4, 4)`: `(N, 4)` float32."""
    last = [_observed(history, b, history.num_frames - 1) for b in range(len(history))]
    return [[cloud] * T_t0_ego.shape[1] for cloud in last]


def ego_warped_points(history: History, T_t0_ego: Tensor) -> Frames:
    """The cloud at t0, moved into each future ego frame: a world in which nothing else moves.

    Arguments and result as in `copy_last_points`.
    """
    T_ego_t0 = se3.inverse(T_t0_ego.double().cpu().numpy())
    return [
        [se3.transform_points(T, cloud).astype(np.float32) for T in T_ego_t0[b]]
        for b, (cloud, *_) in enumerate(copy_last_points(history, T_t0_ego))
    ]


def raycast_history(
    history: History,
    T_t0_ego: Tensor,
    T_ego_lidar: Tensor,
    directions: Sequence[Sequence[np.ndarray]],
    grid: VoxelGrid = RAY_GRID,
) -> Frames:
    """Depth along future rays, cast into all past points: the ray tracing baseline of 4D-Occ (Khurana et al., 2023).

    The points of all observed frames are brought into the LiDAR frame of the future frame and voxelized. A ray ends at
    the first occupied voxel, at the mean of its points as seen along the ray. A ray that meets none has no return:
    what lies behind the grid's border, or was hidden before, is not guessed. (Where rays are compared one by one, the
    angularly nearest ray that has a return answers for it.)

    Args:
        history: with `points` and `T_ego_lidar`.
        T_t0_ego: `(B, F, 4, 4)` [m], future ego motion.
        T_ego_lidar: `(B, F, 4, 4)` [m], the sensor's pose at each future frame.
        directions: for each clip and frame `(R, 3)` unit vectors in that frame's LiDAR frame.
        grid: in the LiDAR frame of each future frame; its voxels decide how sharp edges are.

    Returns:
        for each clip and frame depth `(R,)` float64 [m], inf where there is no return. `ray_points` makes points of it.
    """
    T_t0_lidar = (T_t0_ego.double() @ T_ego_lidar.double()).cpu().numpy()
    T_t0_source = history.poses_in_t0().double().cpu().numpy()
    voxelizer = Voxelizer(grid)
    depths: Frames = []
    for b in range(len(history)):
        past = np.concatenate(
            [
                se3.transform_points(T_t0_source[b, t], _observed(history, b, t)[:, :3])
                for t in range(history.num_frames)
            ]
        )
        depths.append(
            [
                _cast(se3.transform_points(se3.inverse(T_t0_lidar[b, f]), past), rays, grid, voxelizer)
                for f, rays in enumerate(directions[b])
            ]
        )
    return depths


def ray_points(directions: np.ndarray, depth_m: np.ndarray, T_ego_lidar: np.ndarray) -> np.ndarray:
    """Returns of rays `(R, 3)` of the LiDAR frame at depths `(R,)`: `(N, 3)` float32 [m, ego frame], those with one."""
    hit = np.isfinite(depth_m)
    points = directions[hit] * depth_m[hit, None]
    return se3.transform_points(np.asarray(T_ego_lidar, np.float64), points).astype(np.float32)


def _cast(points: np.ndarray, directions: np.ndarray, grid: VoxelGrid, voxelizer: Voxelizer) -> np.ndarray:
    """Depth `(R,)` of rays from the origin into points `(N, 3)`, all in the grid's frame."""
    points = points[np.linalg.norm(points, axis=-1) > _NEAREST_M]
    voxels = voxelizer(points)
    occupied = np.zeros(grid.shape, bool)
    occupied[tuple(voxels.index.T)] = True
    depth, index = cast_rays(occupied, grid, np.zeros(3), directions)
    hit = np.isfinite(depth)
    of_voxel = np.ravel_multi_index(tuple(voxels.index.T), grid.shape)
    order = np.argsort(of_voxel)
    place = np.searchsorted(of_voxel, np.ravel_multi_index(tuple(index[hit].T), grid.shape), sorter=order)
    ends = voxels.means(points)[order[place]]
    depth[hit] = np.maximum((ends * directions[hit]).sum(-1), depth[hit])
    return depth


def _observed(history: History, b: int, t: int) -> np.ndarray:
    """Points `(N, 4)` float32 of one observed frame: x, y, z [m] in its own ego frame, intensity."""
    for name in ("points", "points_valid", "T_ego_lidar"):
        if getattr(history, name) is None:
            raise ValueError(f"LiDAR baselines need history.{name}, but the history has none")
    return history.points[b, t][history.points_valid[b, t], :4].cpu().numpy()
