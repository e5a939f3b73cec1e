"""numba kernel behind `thing_motion.moving_things`."""

from __future__ import annotations

import math

import numba


@numba.njit(cache=True)
def _overlap(cells, first, end, maps, ages, vx, vy):
    """Mean of the maps where the cells of a thing were, had it moved with a constant velocity [m/s]."""
    height, width = maps.shape[1], maps.shape[2]
    total = 0.0
    for k in range(len(maps)):
        dx, dy = int(math.floor(vx * ages[k] + 0.5)), int(math.floor(vy * ages[k] + 0.5))
        for n in range(first, end):
            x, y = cells[n, 0] - dx, cells[n, 1] - dy
            if 0 <= x < height and 0 <= y < width:
                total += maps[k, x, y]
    return total / ((end - first) * len(maps))


@numba.njit(cache=True)
def match(cells, pointer, tried, maps, ages, fastest, coarse, fine, slow, velocity, score, still):
    """Writes the velocity with the greatest overlap, that overlap, and that of standing still, of each thing tried.

    Velocities are tried on a coarse lattice, then on a fine one around the best. Each metre per second costs `slow`.
    """
    steps = int(fastest / coarse)
    for t in range(len(pointer) - 1):
        if not tried[t]:
            continue
        first, end = pointer[t], pointer[t + 1]
        still[t] = _overlap(cells, first, end, maps, ages, 0.0, 0.0)
        best, best_x, best_y = still[t], 0.0, 0.0
        for i in range(-steps, steps + 1):
            for j in range(-steps, steps + 1):
                if i * i + j * j > steps * steps:
                    continue
                found = _overlap(cells, first, end, maps, ages, i * coarse, j * coarse) - slow * coarse * math.sqrt(
                    i * i + j * j
                )
                if found > best + 1e-6:
                    best, best_x, best_y = found, i * coarse, j * coarse
        around = int(coarse / fine)
        middle_x, middle_y = best_x, best_y
        for i in range(-around, around + 1):
            for j in range(-around, around + 1):
                x, y = middle_x + i * fine, middle_y + j * fine
                found = _overlap(cells, first, end, maps, ages, x, y) - slow * math.sqrt(x * x + y * y)
                if found > best + 1e-6:
                    best, best_x, best_y = found, x, y
        velocity[t, 0], velocity[t, 1], score[t] = best_x, best_y, best
