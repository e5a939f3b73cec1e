"""numba kernels behind `resimulation`. Their readable twins are `resimulation.*_reference`."""

from __future__ import annotations

import math

import numba


@numba.njit(cache=True, error_model="numpy")
def _first(position, direction, low, cell):
    """Along one axis: cell, step, distance to the next border, distance between borders."""
    i = int(math.floor((position - low) / cell))
    if direction > 0.0:
        return i, 1, (low + (i + 1) * cell - position) / direction, cell / direction
    if direction < 0.0:
        return i, -1, (low + i * cell - position) / direction, -cell / direction
    return i, 0, math.inf, math.inf


@numba.njit(cache=True, error_model="numpy")
def cast_obstacles(slot, low, cell, points, origin, directions, max_range, reach, depth):
    """Amanatides and Woo (1987) from an origin inside of the grid; the refinement is described at the twin."""
    cells_x, cells_y, cells_z = slot.shape
    for r in range(len(directions)):
        dx, dy, dz = directions[r, 0], directions[r, 1], directions[r, 2]
        flat2 = dx * dx + dy * dy
        depth[r] = math.inf
        x, step_x, next_x, delta_x = _first(origin[0], dx, low[0], cell)
        y, step_y, next_y, delta_y = _first(origin[1], dy, low[1], cell)
        z, step_z, next_z, delta_z = _first(origin[2], dz, low[2], cell)
        t = 0.0
        while t <= max_range and 0 <= x < cells_x and 0 <= y < cells_y and 0 <= z < cells_z:
            point = slot[x, y, z] - 1
            if point >= 0:
                ox, oy = points[point, 0] - origin[0], points[point, 1] - origin[1]
                if abs(ox * dy - oy * dx) <= reach * math.sqrt(flat2):
                    found = (ox * dx + oy * dy) / flat2
                    if 0.0 < found <= max_range:
                        depth[r] = found
                        break
            if next_x <= next_y and next_x <= next_z:
                t = next_x
                x += step_x
                next_x += delta_x
            elif next_y <= next_z:
                t = next_y
                y += step_y
                next_y += delta_y
            else:
                t = next_z
                z += step_z
                next_z += delta_z


@numba.njit(cache=True, error_model="numpy")
def _height(height, low, cell, x, y):
    u, v = (x - low[0]) / cell, (y - low[1]) / cell
    i, j = int(math.floor(u)), int(math.floor(v))
    if i < 0 or j < 0 or i >= height.shape[0] - 1 or j >= height.shape[1] - 1:
        return math.nan
    u, v = u - i, v - j
    below = (1.0 - v) * height[i, j] + v * height[i, j + 1]
    above = (1.0 - v) * height[i + 1, j] + v * height[i + 1, j + 1]
    return (1.0 - u) * below + u * above


@numba.njit(cache=True, error_model="numpy")
def cast_ground(height, low, cell, origin, directions, max_range, depth):
    """Steps of one cell along each ray; the first one that ends below the ground is cut linearly."""
    for r in range(len(directions)):
        dx, dy, dz = directions[r, 0], directions[r, 1], directions[r, 2]
        depth[r] = math.inf
        flat = math.sqrt(dx * dx + dy * dy)
        step = cell / max(flat, 0.2)
        before = math.nan
        count = int(max_range / step)
        for k in range(count + 1):
            t = k * step
            above = origin[2] + t * dz - _height(height, low, cell, origin[0] + t * dx, origin[1] + t * dy)
            if above <= 0.0 and before > 0.0:
                depth[r] = t - step * above / (above - before)
                break
            before = above
