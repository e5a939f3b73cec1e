"""numba kernels behind `raycast`. Readable twins: `raycast.cast_rays_reference`; of `carve_from`, `raycast.carve`."""

from __future__ import annotations

import math

import numba
import numpy as np

_FAR = 1e30  # ends a ray of unlimited range and no direction, whose next border is infinitely far


@numba.njit(cache=True, error_model="numpy")
def _clip(origin, direction, low, voxel, cells, near, far):
    """The part of the parametric interval [near, far] inside the slab of one axis; near > far if there is none."""
    high = low + cells * voxel
    if direction == 0.0:
        return (near, far) if low <= origin < high else (1.0, 0.0)
    a, b = (low - origin) / direction, (high - origin) / direction
    return max(near, min(a, b)), min(far, max(a, b))


@numba.njit(cache=True, error_model="numpy")
def _start(origin, direction, low, voxel, cells, near):
    """Along one axis: first cell, step, cell behind the grid, distance to the next border, distance between borders."""
    cell = min(max(int(math.floor((origin + direction * near - low) / voxel)), 0), cells - 1)
    if direction > 0.0:
        return cell, 1, cells, (low + (cell + 1) * voxel - origin) / direction, voxel / direction
    if direction < 0.0:
        return cell, -1, -1, (low + cell * voxel - origin) / direction, -voxel / direction
    return cell, 0, cells, math.inf, math.inf


@numba.njit(cache=True, error_model="numpy")
def traverse(occupied, low, voxel, origins, directions, max_range, depth, index, visited):
    """Amanatides and Woo (1987), one ray after the other.

    Writes depth (R,) and index (R, 3) of the first occupied voxel within `max_range[r]`, and marks in `visited` each
    voxel that a ray goes through up to there, the hit one included.

    The three axes are written out as scalars and the voxel is one running flat position: with small arrays in their
    place the loop is four times slower. The position is cast to unsigned, which spares the test for negative indices.
    """
    cells_x, cells_y, cells_z = occupied.shape
    flat_occupied, flat_visited = occupied.reshape(-1), visited.reshape(-1)
    for r in range(len(directions)):
        ox, oy, oz = origins[r, 0], origins[r, 1], origins[r, 2]
        dx, dy, dz = directions[r, 0], directions[r, 1], directions[r, 2]
        depth[r] = math.inf
        index[r, 0], index[r, 1], index[r, 2] = -1, -1, -1
        near, far = _clip(ox, dx, low[0], voxel, cells_x, 0.0, max_range[r])
        near, far = _clip(oy, dy, low[1], voxel, cells_y, near, far)
        near, far = _clip(oz, dz, low[2], voxel, cells_z, near, far)
        if near > far:
            continue
        far = min(far, _FAR)
        x, step_x, end_x, next_x, delta_x = _start(ox, dx, low[0], voxel, cells_x, near)
        y, step_y, end_y, next_y, delta_y = _start(oy, dy, low[1], voxel, cells_y, near)
        z, step_z, end_z, next_z, delta_z = _start(oz, dz, low[2], voxel, cells_z, near)
        flat = (x * cells_y + y) * cells_z + z
        flat_x, flat_y, flat_z = step_x * cells_y * cells_z, step_y * cells_z, step_z
        t = near
        while t <= far:
            flat_visited[np.uint64(flat)] = True
            if flat_occupied[np.uint64(flat)]:
                depth[r] = t
                index[r, 0], index[r, 1], index[r, 2] = x, y, z
                break
            if next_x <= next_y and next_x <= next_z:
                t = next_x
                x += step_x
                if x == end_x:
                    break
                next_x += delta_x
                flat += flat_x
            elif next_y <= next_z:
                t = next_y
                y += step_y
                if y == end_y:
                    break
                next_y += delta_y
                flat += flat_y
            else:
                t = next_z
                z += step_z
                if z == end_z:
                    break
                next_z += delta_z
                flat += flat_z


@numba.njit(cache=True, error_model="numpy")
def carve_from(points, T, low, voxel, visited):
    """Marks in `visited (X, Y, Z)` the voxels on the way from the origin of the points' frame to each point (N, 3).

    `T` leads to the frame of the grid. The walk is that of `traverse`, without anything that could stop it.
    """
    cells_x, cells_y, cells_z = visited.shape
    flat_visited = visited.reshape(-1)
    ox, oy, oz = T[0, 3], T[1, 3], T[2, 3]
    for n in range(len(points)):
        px, py, pz = np.float64(points[n, 0]), np.float64(points[n, 1]), np.float64(points[n, 2])
        dx = T[0, 0] * px + T[0, 1] * py + T[0, 2] * pz
        dy = T[1, 0] * px + T[1, 1] * py + T[1, 2] * pz
        dz = T[2, 0] * px + T[2, 1] * py + T[2, 2] * pz
        length = math.sqrt(dx * dx + dy * dy + dz * dz)
        scale = max(length, 1e-9)
        dx, dy, dz = dx / scale, dy / scale, dz / scale
        near, far = _clip(ox, dx, low[0], voxel, cells_x, 0.0, length)
        near, far = _clip(oy, dy, low[1], voxel, cells_y, near, far)
        near, far = _clip(oz, dz, low[2], voxel, cells_z, near, far)
        if near > far:
            continue
        x, step_x, end_x, next_x, delta_x = _start(ox, dx, low[0], voxel, cells_x, near)
        y, step_y, end_y, next_y, delta_y = _start(oy, dy, low[1], voxel, cells_y, near)
        z, step_z, end_z, next_z, delta_z = _start(oz, dz, low[2], voxel, cells_z, near)
        flat = (x * cells_y + y) * cells_z + z
        flat_x, flat_y, flat_z = step_x * cells_y * cells_z, step_y * cells_z, step_z
        t = near
        while t <= far:
            flat_visited[np.uint64(flat)] = True
            if next_x <= next_y and next_x <= next_z:
                t = next_x
                x += step_x
                if x == end_x:
                    break
                next_x += delta_x
                flat += flat_x
            elif next_y <= next_z:
                t = next_y
                y += step_y
                if y == end_y:
                    break
                next_y += delta_y
                flat += flat_y
            else:
                t = next_z
                z += step_z
                if z == end_z:
                    break
                next_z += delta_z
                flat += flat_z
