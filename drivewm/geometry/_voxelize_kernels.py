"""numba kernel behind `voxelize`. Readable twin: `voxelize.voxelize_reference`."""

from __future__ import annotations

import math

import numba


@numba.njit(cache=True)
def number_voxels(points, low, voxel, shape, number_at, index, voxel_of):
    """Numbers the voxels of points (N, 3 + C) in order of first appearance; returns how many there are.

    `number_at` has an entry for each voxel of the grid, 0 before and after; `index (N, 3)` and `voxel_of (N,)` are
    written. Clearing what was set, and not the whole map, makes the cost that of the points alone.
    """
    cells_x, cells_y, cells_z = shape
    count = 0
    for n in range(len(points)):
        x = math.floor((points[n, 0] - low[0]) / voxel)
        y = math.floor((points[n, 1] - low[1]) / voxel)
        z = math.floor((points[n, 2] - low[2]) / voxel)
        if not (0 <= x < cells_x and 0 <= y < cells_y and 0 <= z < cells_z):  # NaN too
            voxel_of[n] = -1
            continue
        i, j, k = int(x), int(y), int(z)
        flat = (i * cells_y + j) * cells_z + k
        if number_at[flat] == 0:
            index[count, 0], index[count, 1], index[count, 2] = i, j, k
            count += 1
            number_at[flat] = count
        voxel_of[n] = number_at[flat] - 1
    for v in range(count):
        number_at[(index[v, 0] * cells_y + index[v, 1]) * cells_z + index[v, 2]] = 0
    return count
