"""numba kernels of the cameras: which body a pixel's ray meets first, and what stands between a point and the sun.

The exact images (depth, body, class) are made here; colours are in `_shading_kernels`. Kernels let other threads run,
so that several cameras are rendered at once; none of them starts threads itself, which would not survive a fork.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np

from drivewm.simulation._kernels import _azimuth_span, _hit_box, _hit_cylinder, _hit_ellipsoid

GROUND, NOTHING = -2, -1
# Rays of shadow start this far off their surface [m].
_LIFT_M = 1e-3


class Solids(NamedTuple):
    """Bodies as kernels read them, counted through: boxes `(B, 8)`, cylinders `(C, 5)`, ellipsoids `(E, 5)`."""

    boxes: np.ndarray
    cylinders: np.ndarray
    ellipsoids: np.ndarray


class Surface(NamedTuple):
    """The ground: rasters of classes and of markings, each with its cell [m], the pose `(3,)` of the ego in them."""

    classes: np.ndarray
    class_cell: float
    marking: np.ndarray
    marking_cell: float
    origin: np.ndarray
    pose: np.ndarray
    outside: int


class Pinhole(NamedTuple):
    """A camera: its position `(3,)` and the matrix `(3, 3)` from pixels (u, v, 1) to rays, both in the ego frame.

    `to_camera` is the inverse of the intrinsics, whose rays have z = 1.
    """

    origin: np.ndarray
    to_ego: np.ndarray
    to_camera: np.ndarray
    max_range: float


class Sectors(NamedTuple):
    """Bodies by azimuth as seen from one point, in each sector the near ones first; slopes are height over distance."""

    offsets: np.ndarray
    members: np.ndarray
    near: np.ndarray
    slope_low: np.ndarray
    slope_high: np.ndarray


class ShadowGrid(NamedTuple):
    """Bodies by the cells of the ground that their shadows fall on; `sun (3,)` points to the sun."""

    offsets: np.ndarray
    members: np.ndarray
    low: float
    cell: float
    size: int
    sun: np.ndarray


@numba.njit(cache=True, inline="always")
def hit(k, solids, ox, oy, oz, dx, dy, dz):
    """Distance along a ray to body k; inf if missed."""
    n_box, n_cyl = solids.boxes.shape[0], solids.cylinders.shape[0]
    if k < n_box:
        t, _ = _hit_box(ox, oy, oz, dx, dy, dz, solids.boxes[k])
    elif k < n_box + n_cyl:
        t, _ = _hit_cylinder(ox, oy, oz, dx, dy, dz, solids.cylinders[k - n_box])
    else:
        t, _ = _hit_ellipsoid(ox, oy, oz, dx, dy, dz, solids.ellipsoids[k - n_box - n_cyl])
    return t


@numba.njit(cache=True)
def _extent(k, solids, out):
    """Write x, y, radius of the footprint's circle, lower and upper z of body k."""
    n_box, n_cyl = solids.boxes.shape[0], solids.cylinders.shape[0]
    if k < n_box:
        b = solids.boxes[k]
        out[0], out[1], out[2] = b[0], b[1], 0.5 * math.hypot(b[3], b[4])
        out[3], out[4] = b[2] - 0.5 * b[5], b[2] + 0.5 * b[5]
    elif k < n_box + n_cyl:
        b = solids.cylinders[k - n_box]
        out[0], out[1], out[2], out[3], out[4] = b[0], b[1], b[4], b[2], b[3]
    else:
        b = solids.ellipsoids[k - n_box - n_cyl]
        out[0], out[1], out[2], out[3], out[4] = b[0], b[1], b[3], b[2] - b[4], b[2] + b[4]


@numba.njit(cache=True, nogil=True)
def sort_into_sectors(solids, origin, max_range, sectors):
    """`Sectors` around `origin (3,)`; bodies further than `max_range` [m] are in none."""
    n_box, n_cyl = solids.boxes.shape[0], solids.cylinders.shape[0]
    total = n_box + n_cyl + solids.ellipsoids.shape[0]
    width = 2.0 * math.pi / sectors
    first, count = np.zeros(total, np.int64), np.zeros(total, np.int64)
    near, slope_low, slope_high = np.zeros(total), np.zeros(total), np.zeros(total)
    offsets, span, extent = np.zeros(sectors + 1, np.int64), np.zeros(3), np.zeros(5)
    for k in range(total):
        if k < n_box:
            _azimuth_span(origin[0], origin[1], 0, solids.boxes[k], span)
        elif k < n_box + n_cyl:
            _azimuth_span(origin[0], origin[1], 1, solids.cylinders[k - n_box], span)
        else:
            _azimuth_span(origin[0], origin[1], 2, solids.ellipsoids[k - n_box - n_cyl], span)
        _extent(k, solids, extent)
        closest = max(span[2], 1e-9)
        furthest = closest + 2.0 * extent[2] + 1e-9
        bottom, top = extent[3] - origin[2] - 1e-9, extent[4] - origin[2] + 1e-9
        near[k] = span[2]
        slope_low[k] = bottom / (closest if bottom < 0.0 else furthest)
        slope_high[k] = top / (closest if top > 0.0 else furthest)
        if span[2] <= max_range:
            first[k] = int(math.floor((span[0] - span[1] - 1e-9 + math.pi) / width))
            last = int(math.floor((span[0] + span[1] + 1e-9 + math.pi) / width))
            count[k] = min(last - first[k] + 1, sectors)
        for s in range(count[k]):
            offsets[(first[k] + s) % sectors + 1] += 1
    for s in range(sectors):
        offsets[s + 1] += offsets[s]
    fill, members = offsets[:-1].copy(), np.empty(offsets[sectors], np.int64)
    for k in np.argsort(near):
        for s in range(count[k]):
            sector = (first[k] + s) % sectors
            members[fill[sector]] = k
            fill[sector] += 1
    return Sectors(offsets, members, near, slope_low, slope_high)


@numba.njit(cache=True, nogil=True)
def first_hit(solids, sectors, camera, dx, dy, dz):
    """Distance [m] along the unit ray (dx, dy, dz) of a camera, and what it meets: a body, GROUND or NOTHING (inf)."""
    ox, oy, oz = camera.origin[0], camera.origin[1], camera.origin[2]
    best, body = camera.max_range, NOTHING
    if dz < 0.0 and -oz / dz < best:
        best, body = -oz / dz, GROUND
    flat = max(math.sqrt(dx * dx + dy * dy), 1e-12)
    slope = dz / flat
    count = sectors.offsets.shape[0] - 1
    sector = int((math.atan2(dy, dx) + math.pi) / (2.0 * math.pi / count)) % count
    for m in range(sectors.offsets[sector], sectors.offsets[sector + 1]):
        k = sectors.members[m]
        if sectors.near[k] > best * flat:
            break
        if slope < sectors.slope_low[k] or slope > sectors.slope_high[k]:
            continue
        t = hit(k, solids, ox, oy, oz, dx, dy, dz)
        if t < best:
            best, body = t, k
    if body == NOTHING:
        best = math.inf
    return best, body


@numba.njit(cache=True, inline="always")
def ray_of(camera, u, v):
    """Unit direction in the ego frame of the ray through the pixel coordinates (u, v)."""
    m = camera.to_ego
    x = m[0, 0] * u + m[0, 1] * v + m[0, 2]
    y = m[1, 0] * u + m[1, 1] * v + m[1, 2]
    z = m[2, 0] * u + m[2, 1] * v + m[2, 2]
    norm = math.sqrt(x * x + y * y + z * z)
    return x / norm, y / norm, z / norm


@numba.njit(cache=True, inline="always")
def global_xy(surface, x, y):
    """A place in the ego frame, in the global one."""
    c, s = math.cos(surface.pose[2]), math.sin(surface.pose[2])
    return surface.pose[0] + c * x - s * y, surface.pose[1] + s * x + c * y


@numba.njit(cache=True, nogil=True)
def cast_image(solids, classes, sectors, surface, camera, distance, depth, semantic, body, free):
    """Fill images `(H, W)`: distance along the ray and depth along the optical axis [m], class and body."""
    q = camera.to_camera
    for i in range(distance.shape[0]):
        for j in range(distance.shape[1]):
            u, v = j + 0.5, i + 0.5
            dx, dy, dz = ray_of(camera, u, v)
            t, k = first_hit(solids, sectors, camera, dx, dy, dz)
            cx, cy = q[0, 0] * u + q[0, 1] * v + q[0, 2], q[1, 1] * v + q[1, 2]
            distance[i, j], body[i, j] = t, k
            depth[i, j] = t / math.sqrt(cx * cx + cy * cy + 1.0)
            semantic[i, j] = free
            if k >= 0:
                semantic[i, j] = classes[k]
            elif k == GROUND:
                x, y = global_xy(surface, camera.origin[0] + t * dx, camera.origin[1] + t * dy)
                a = int(math.floor((x - surface.origin[0]) / surface.class_cell))
                b = int(math.floor((y - surface.origin[1]) / surface.class_cell))
                inside = 0 <= a < surface.classes.shape[0] and 0 <= b < surface.classes.shape[1]
                semantic[i, j] = surface.classes[a, b] if inside else surface.outside


@numba.njit(cache=True, nogil=True)
def sort_shadows(solids, sun, reach, cell):
    """`ShadowGrid` of the ground within `reach` [m] of the ego."""
    total = solids.boxes.shape[0] + solids.cylinders.shape[0] + solids.ellipsoids.shape[0]
    size = int(math.ceil(2.0 * reach / cell))
    sx, sy = sun[0] / sun[2], sun[1] / sun[2]
    offsets, extent = np.zeros(size * size + 1, np.int64), np.zeros(5)
    fill, members = offsets, np.empty(0, np.int64)
    for turn in range(2):  # count, then fill
        if turn == 1:
            for s in range(size * size):
                offsets[s + 1] += offsets[s]
            fill, members = offsets[:-1].copy(), np.empty(offsets[-1], np.int64)
        for k in range(total):
            _extent(k, solids, extent)
            radius = extent[2] + 0.7072 * cell
            # The shadow is the footprint's circle swept along a line.
            ax, ay = extent[0] - extent[3] * sx, extent[1] - extent[3] * sy
            ex, ey = (extent[3] - extent[4]) * sx, (extent[3] - extent[4]) * sy
            length2 = max(ex * ex + ey * ey, 1e-12)
            i0 = max(int(math.floor((min(ax, ax + ex) - radius + reach) / cell)), 0)
            i1 = min(int(math.floor((max(ax, ax + ex) + radius + reach) / cell)) + 1, size)
            j0 = max(int(math.floor((min(ay, ay + ey) - radius + reach) / cell)), 0)
            j1 = min(int(math.floor((max(ay, ay + ey) + radius + reach) / cell)) + 1, size)
            for i in range(i0, i1):
                px = (i + 0.5) * cell - reach - ax
                for j in range(j0, j1):
                    py = (j + 0.5) * cell - reach - ay
                    t = min(max((px * ex + py * ey) / length2, 0.0), 1.0)
                    gap = (px - t * ex) ** 2 + (py - t * ey) ** 2
                    if gap <= radius * radius:
                        if turn == 0:
                            offsets[i * size + j + 1] += 1
                        else:
                            members[fill[i * size + j]] = k
                            fill[i * size + j] += 1
    return ShadowGrid(offsets, members, -reach, cell, size, sun)


@numba.njit(cache=True, nogil=True)
def distance_to_shade(solids, shadows, x, y, z, nx, ny, nz):
    """How far towards the sun the first body is, seen from a point of a surface with normal (nx, ny, nz); or inf."""
    x, y, z = x + _LIFT_M * nx, y + _LIFT_M * ny, z + _LIFT_M * nz
    sx, sy, sz = shadows.sun[0], shadows.sun[1], shadows.sun[2]
    i = int(math.floor((x - z * sx / sz - shadows.low) / shadows.cell))
    j = int(math.floor((y - z * sy / sz - shadows.low) / shadows.cell))
    best = math.inf
    if 0 <= i < shadows.size and 0 <= j < shadows.size:
        for m in range(shadows.offsets[i * shadows.size + j], shadows.offsets[i * shadows.size + j + 1]):
            best = min(best, hit(shadows.members[m], solids, x, y, z, sx, sy, sz))
    return best
