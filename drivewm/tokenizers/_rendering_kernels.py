"""numba kernel behind `rendering.render_depths`. Readable twin: `rendering.render`."""

from __future__ import annotations

import math

import numba

_FLAT = 1e-2  # where the field changes by less over an interval, the quotient of differences is all rounding


@numba.njit(cache=True, error_model="numpy", inline="always")
def _cell(u, cells):
    """Lower one of the two centres that position u (in voxels from the first centre) lies between, and its share."""
    u = min(max(u, 0.0), cells - 1.0)
    i = min(int(u), max(cells - 2, 0))
    return i, u - i


@numba.njit(cache=True, error_model="numpy", inline="always")
def _field_at(field, x, y, z):
    """Trilinear interpolation at a position in voxels from the first centre."""
    cells_x, cells_y, cells_z = field.shape
    i, u = _cell(x, cells_x)
    j, v = _cell(y, cells_y)
    k, w = _cell(z, cells_z)
    i2, j2, k2 = min(i + 1, cells_x - 1), min(j + 1, cells_y - 1), min(k + 1, cells_z - 1)
    low = (field[i, j, k] * (1 - w) + field[i, j, k2] * w) * (1 - v) + (
        field[i, j2, k] * (1 - w) + field[i, j2, k2] * w
    ) * v
    high = (field[i2, j, k] * (1 - w) + field[i2, j, k2] * w) * (1 - v) + (
        field[i2, j2, k] * (1 - w) + field[i2, j2, k2] * w
    ) * v
    return low * (1 - u) + high * u


@numba.njit(cache=True, error_model="numpy", inline="always")
def _softplus(s):
    return max(s, 0.0) + math.log1p(math.exp(-abs(s)))


@numba.njit(cache=True, error_model="numpy")
def free_blocks(field, size, sure, free):
    """Marks in `free (X', Y', Z')` the blocks of `size` voxels within which the field is nowhere below `sure`.

    What is interpolated between two centres depends on both, so a block also looks at its neighbours' next centres.
    """
    cells_x, cells_y, cells_z = field.shape
    for bx in range(free.shape[0]):
        for by in range(free.shape[1]):
            for bz in range(free.shape[2]):
                least = math.inf
                for x in range(max(bx * size - 1, 0), min((bx + 1) * size + 1, cells_x)):
                    for y in range(max(by * size - 1, 0), min((by + 1) * size + 1, cells_y)):
                        for z in range(max(bz * size - 1, 0), min((bz + 1) * size + 1, cells_z)):
                            least = min(least, field[x, y, z])
                free[bx, by, bz] = least >= sure


@numba.njit(cache=True, error_model="numpy")
def march(
    field, free, size, low, voxel, origins, directions, near, far, step, log_left, done, expected, quantile, escape
):
    """Writes the expected depth, the one beyond which a share e^log_left gets, and the log of the share that escapes.

    Each is (R,), as log_left is: of the rays of one frame. Samples in free blocks are not looked at, and a ray of which
    next to nothing is left (log survival below `done`) goes no further.
    """
    for r in range(len(near)):
        dx, dy, dz = directions[r, 0] / voxel, directions[r, 1] / voxel, directions[r, 2] / voxel
        ox = (origins[r, 0] - low[0]) / voxel - 0.5
        oy = (origins[r, 1] - low[1]) / voxel - 0.5
        oz = (origins[r, 2] - low[2]) / voxel - 0.5
        t, end, left, mean, reached = near[r], far[r], 0.0, near[r], math.inf
        a, known = 0.0, False
        while t < end:
            after = min(t + step, end)
            x, y, z = ox + t * dx, oy + t * dy, oz + t * dz
            x2, y2, z2 = ox + after * dx, oy + after * dy, oz + after * dz
            if _is_free(free, size, x, y, z) and _is_free(free, size, x2, y2, z2):
                mean += math.exp(left) * (after - t)
                t, known = after, False
                continue
            if not known:
                a = _field_at(field, x, y, z)
            b = _field_at(field, x2, y2, z2)
            share, loss = 1.0, 0.0
            if a > b:
                log_phi_a = -_softplus(-a)
                loss = -_softplus(-b) - log_phi_a
                part = (_softplus(a) - _softplus(b)) / (a - b) if a - b > _FLAT else 1 / (1 + math.exp(-(a + b) / 2))
                share = part * math.exp(-log_phi_a)
                if left > log_left[r] and left + loss <= log_left[r]:
                    log_phi = log_phi_a + log_left[r] - left
                    crossing = log_phi - math.log1p(-min(math.exp(log_phi), 1 - 1e-6))
                    reached = t + min(max((a - crossing) / max(a - b, 1e-6), 0.0), 1.0) * (after - t)
            mean += math.exp(left) * share * (after - t)
            left += loss
            t, a, known = after, b, True
            if left < done:
                break
        expected[r], quantile[r], escape[r] = mean, reached, left


@numba.njit(cache=True, error_model="numpy", inline="always")
def _is_free(free, size, x, y, z):
    """Is the block of a position, in voxels from the first centre, free?"""
    i = min(max(int((x + 0.5) / size), 0), free.shape[0] - 1)
    j = min(max(int((y + 0.5) / size), 0), free.shape[1] - 1)
    k = min(max(int((z + 0.5) / size), 0), free.shape[2] - 1)
    return free[i, j, k]
