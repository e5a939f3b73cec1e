"""numba kernels behind `nearest`. Readable twin: `nearest.nearest_reference`."""

from __future__ import annotations

import math

import numba
import numpy as np


@numba.njit(cache=True, inline="always")
def _cell(value, low, per_m, cells):
    """Cell along one axis, of which there are `per_m` a metre; border cells hold what lies beyond the grid too."""
    return int(min(max((value - low) * per_m, 0.0), cells - 1.0))


@numba.njit(cache=True)
def sort_into_cells(points, low, per_m, shape):
    """Points (N, 3) in order of their cells, by counting.

    Returns the points in that order, their numbers in the old one, and where each cell of the grid `shape` (row-major,
    one entry more than cells) begins.
    """
    cells_x, cells_y = shape
    begin = np.zeros(cells_x * cells_y + 1, np.int32)
    cell_of = np.empty(len(points), np.int32)
    for n in range(len(points)):
        flat = _cell(points[n, 0], low[0], per_m, cells_x) * cells_y + _cell(points[n, 1], low[1], per_m, cells_y)
        cell_of[n] = flat
        begin[flat] += 1
    total = 0
    for flat in range(len(begin)):
        total += begin[flat]
        begin[flat] = total  # the cell's end: points are put before it, the last first
    in_order, number = np.empty_like(points), np.empty(len(points), np.int32)
    for n in range(len(points) - 1, -1, -1):
        flat = cell_of[n]
        begin[flat] -= 1
        in_order[begin[flat]] = points[n]
        number[begin[flat]] = n
    return in_order, number, begin


@numba.njit(cache=True, inline="always")
def _squared_distance(flat, point, x, y, z):
    """From (x, y, z) to a point of the flattened array. Unsigned positions spare the test for negative ones."""
    first = np.uint64(3) * np.uint64(point)
    dx, dy, dz = flat[first] - x, flat[first + np.uint64(1)] - y, flat[first + np.uint64(2)] - z
    return dx * dx + dy * dy + dz * dz


@numba.njit(cache=True, error_model="numpy")
def search(queries, points, begin, low, per_m, shape, squared, nearest):
    """Nearest of `points` for each of `queries`, both (., 3) in order of their cells.

    Writes squared distances and positions in `points`. The neighbour of the query before is the first guess; from the
    query's row of cells outwards, each row is looked through as far as the best distance so far reaches. Cells of a row
    follow each other in memory, so that empty ones cost nothing.

    Exact for points beyond the grid too: `_cell` is monotone along each axis, so a point within the best distance has
    its cell among those between the cells of the query minus and plus this distance. The reach is rounded up a little,
    since the root is rounded.
    """
    cells_x, cells_y = shape
    low_x, low_y, flat = low[0], low[1], points.reshape(-1)
    guess = 0
    for n in range(len(queries)):
        x, y, z = np.float64(queries[n, 0]), np.float64(queries[n, 1]), np.float64(queries[n, 2])
        best = _squared_distance(flat, guess, x, y, z)
        reach = math.sqrt(best) * (1.0 + 1e-12)
        middle = _cell(x, low_x, per_m, cells_x)
        first, last = _cell(x - reach, low_x, per_m, cells_x), _cell(x + reach, low_x, per_m, cells_x)
        left, right = _cell(y - reach, low_y, per_m, cells_y), _cell(y + reach, low_y, per_m, cells_y)
        away = 0
        while middle - away >= first or middle + away <= last:
            for side in range(2 if away > 0 else 1):
                row = middle + away if side == 0 else middle - away
                if row < first or row > last:
                    continue
                before = best
                start = begin[np.uint64(row * cells_y + left)]
                end = begin[np.uint64(row * cells_y + right + 1)]
                for p in range(start, end):
                    distance = _squared_distance(flat, p, x, y, z)
                    if distance < best:
                        best, guess = distance, p
                if best < before:
                    reach = math.sqrt(best) * (1.0 + 1e-12)
                    first, last = _cell(x - reach, low_x, per_m, cells_x), _cell(x + reach, low_x, per_m, cells_x)
                    left, right = _cell(y - reach, low_y, per_m, cells_y), _cell(y + reach, low_y, per_m, cells_y)
            away += 1
        squared[n] = best
        nearest[n] = guess
