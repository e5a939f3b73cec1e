"""numba kernels behind `raycast`. Their readable twins are `raycast.*_reference`."""

from __future__ import annotations

import math

import numba
import numpy as np


@numba.njit(cache=True, inline="always")
def _enter(origin, direction, low, high):
    """Parametric interval [near, far] in which the ray is inside the box; near > far if it misses (slab test)."""
    near, far = 0.0, math.inf
    for axis in range(3):
        if direction[axis] == 0.0:
            if origin[axis] < low[axis] or origin[axis] >= high[axis]:
                return 1.0, 0.0
        else:
            inv = 1.0 / direction[axis]
            a, b = (low[axis] - origin[axis]) * inv, (high[axis] - origin[axis]) * inv
            if a > b:
                a, b = b, a
            near, far = max(near, a), min(far, b)
    return near, far


@numba.njit(cache=True)
def traverse(occupied, low, voxel, origins, directions, max_range, depth, index, visited):
    """Amanatides and Woo (1987), one ray after the other.

    Writes depth (R,) and index (R, 3) of the first occupied voxel within `max_range[r]`, and marks in `visited` each
    voxel that a ray goes through up to there, the hit one included.
    """
    shape = np.array(occupied.shape)
    high = low + shape * voxel
    cell, step = np.empty(3, np.int64), np.empty(3, np.int64)
    t_next, t_delta = np.empty(3), np.empty(3)
    for r in range(origins.shape[0]):
        origin, direction = origins[r], directions[r]
        depth[r] = math.inf
        index[r, :] = -1
        near, far = _enter(origin, direction, low, high)
        far = min(far, max_range[r])
        if near > far:
            continue
        for axis in range(3):
            position = (origin[axis] + direction[axis] * near - low[axis]) / voxel
            cell[axis] = min(max(int(math.floor(position)), 0), shape[axis] - 1)
            if direction[axis] > 0.0:
                step[axis] = 1
                t_next[axis] = (low[axis] + (cell[axis] + 1) * voxel - origin[axis]) / direction[axis]
                t_delta[axis] = voxel / direction[axis]
            elif direction[axis] < 0.0:
                step[axis] = -1
                t_next[axis] = (low[axis] + cell[axis] * voxel - origin[axis]) / direction[axis]
                t_delta[axis] = -voxel / direction[axis]
            else:
                step[axis] = 0
                t_next[axis] = math.inf
                t_delta[axis] = math.inf
        t = near
        while t <= far:
            visited[cell[0], cell[1], cell[2]] = True
            if occupied[cell[0], cell[1], cell[2]]:
                depth[r] = t
                index[r, 0], index[r, 1], index[r, 2] = cell[0], cell[1], cell[2]
                break
            axis = 0
            if t_next[1] < t_next[axis]:
                axis = 1
            if t_next[2] < t_next[axis]:
                axis = 2
            t = t_next[axis]
            cell[axis] += step[axis]
            if cell[axis] < 0 or cell[axis] >= shape[axis]:
                break
            t_next[axis] += t_delta[axis]
