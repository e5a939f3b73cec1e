"""numba kernels of procedural paint: patterns, and what colour the ground has. Colours are linear light, 0 to 1.

Patterns that are finer than `blur` [m], the width of a pixel on the surface, fade to their mean.

numba's cache watches a kernel's own file only: after a change here, in `_body_paint_kernels` or in `_camera_kernels`,
the cached kernels of `_shading_kernels` in `__pycache__` must go.
"""

from __future__ import annotations

import math

import numba
import numpy as np

# Columns of the ground's colours: the classes of the ground in the order of `OCC3D`.
ROAD, FLAT, SIDEWALK, TERRAIN = range(4)
_ROAD_CLASS = 11


@numba.njit(cache=True, inline="always")
def chance(i, j, k):
    """A number in [0, 1) from three integers."""
    h = np.uint32(i) * np.uint32(374761393) + np.uint32(j) * np.uint32(668265263) + np.uint32(k) * np.uint32(2246822519)
    h = (h ^ (h >> np.uint32(13))) * np.uint32(1274126177)
    h = (h ^ (h >> np.uint32(15))) * np.uint32(2654435761)
    return float(np.uint32(h) >> np.uint32(8)) / 16777216.0


@numba.njit(cache=True)
def noise(x, y, seed):
    """Smooth noise in [-1, 1] over the plane, about one blob per unit."""
    i, j = int(math.floor(x)), int(math.floor(y))
    fx, fy = x - i, y - j
    fx, fy = fx * fx * (3.0 - 2.0 * fx), fy * fy * (3.0 - 2.0 * fy)
    low = chance(i, j, seed) * (1.0 - fx) + chance(i + 1, j, seed) * fx
    high = chance(i, j + 1, seed) * (1.0 - fx) + chance(i + 1, j + 1, seed) * fx
    return 2.0 * (low * (1.0 - fy) + high * fy) - 1.0


@numba.njit(cache=True)
def noise_3d(x, y, z, seed):
    """The same in space."""
    k = int(math.floor(z))
    f = z - k
    f = f * f * (3.0 - 2.0 * f)
    return noise(x, y, seed + 31 * k) * (1.0 - f) + noise(x, y, seed + 31 * k + 31) * f


@numba.njit(cache=True, inline="always")
def fade(size, blur):
    """How much of a pattern with details of `size` [m] is left when a pixel is `blur` [m] wide."""
    return min(1.0, size / max(blur, 1e-9)) ** 2


@numba.njit(cache=True, inline="always")
def within(x, low, high, blur):
    """Share of a pixel of width `blur` about x that lies in [low, high]."""
    b = max(blur, 1e-6)
    return max(0.0, min(x + 0.5 * b, high) - max(x - 0.5 * b, low)) / b


@numba.njit(cache=True, inline="always")
def mix(a, b, share):
    """Colour a with a share of colour b over it."""
    return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share


@numba.njit(cache=True, inline="always")
def times(a, factor):
    """A darker or brighter colour."""
    return a[0] * factor, a[1] * factor, a[2] * factor


@numba.njit(cache=True, inline="always")
def _spline(f):
    """Weights of the cells before, at and after a place at share f of its cell."""
    return 0.5 * (1.0 - f) ** 2, 0.75 - (f - 0.5) ** 2, 0.5 * f * f


@numba.njit(cache=True, inline="always")
def _wide_spline(f):
    """The same for two cells on either side, smoother."""
    a, b, c = _spline(f)
    return 0.25 * a, 0.25 * b + 0.5 * a, 0.25 * (a + c) + 0.5 * b, 0.25 * b + 0.5 * c, 0.25 * c


@numba.njit(cache=True)
def marked(surface, x, y, blur):
    """Share of white paint at a place of the ground: the raster smoothed, so that slanted lines have no stairs."""
    raster, cell = surface.marking, surface.marking_cell
    a, b = (x - surface.origin[0]) / cell, (y - surface.origin[1]) / cell
    i, j = int(math.floor(a)), int(math.floor(b))
    if i < 1 or j < 1 or i >= raster.shape[0] - 1 or j >= raster.shape[1] - 1:
        return 0.0
    wi, wj = _spline(a - i), _spline(b - j)
    share = 0.0
    for p in range(3):
        for q in range(3):
            share += wi[p] * wj[q] * raster[i + p - 1, j + q - 1]
    share /= 255.0
    soft = max(0.6, min(1.0, 2.0 * blur))
    return min(max((share - 0.5) / soft + 0.5, 0.0), 1.0)


@numba.njit(cache=True)
def _grass(x, y, blur):
    shade = 1.0 + 0.22 * noise(x * 0.3, y * 0.3, 11) + 0.2 * noise(x * 1.7, y * 1.7, 12) * fade(0.5, blur)
    shade += 0.35 * noise(x * 14.0, y * 14.0, 13) * fade(0.07, blur)
    dry = 0.5 + 0.5 * noise(x * 0.11, y * 0.11, 14)
    return times(mix((0.075, 0.125, 0.035), (0.15, 0.155, 0.06), 0.6 * dry), shade)


@numba.njit(cache=True)
def _asphalt(x, y, blur, grey):
    shade = 1.0 + 0.1 * noise(x * 0.23, y * 0.23, 1) + 0.06 * noise(x * 2.1, y * 2.1, 2) * fade(0.4, blur)
    shade += 0.22 * noise(x * 37.0, y * 37.0, 3) * fade(0.03, blur) + 0.1 * noise(x * 11.0, y * 11.0, 4) * fade(
        0.1, blur
    )
    return grey * shade, grey * shade, grey * 1.04 * shade


@numba.njit(cache=True)
def _slabs(x, y, blur):
    i, j = int(math.floor(x / 0.6)), int(math.floor(y / 0.6))
    shade = 1.0 + 0.16 * (chance(i, j, 5) - 0.5) * fade(0.6, blur) + 0.08 * noise(x * 0.6, y * 0.6, 6)
    joint = max(within(x - 0.6 * i, 0.0, 0.018, blur), within(y - 0.6 * j, 0.0, 0.018, blur))
    return times((0.335, 0.32, 0.295), shade * (1.0 - 0.45 * joint))


@numba.njit(cache=True)
def paint_ground(surface, x, y, blur):
    """Colour of the ground at a global place: surfaces, their borders, kerbs and markings."""
    classes, cell = surface.classes, surface.class_cell
    a, b = (x - surface.origin[0]) / cell, (y - surface.origin[1]) / cell
    i, j = int(math.floor(a)), int(math.floor(b))
    if i < 2 or j < 2 or i >= classes.shape[0] - 2 or j >= classes.shape[1] - 2:
        return _grass(x, y, blur)
    wi, wj = _wide_spline(a - i), _wide_spline(b - j)
    road, flat, walk, terrain = 0.0, 0.0, 0.0, 0.0
    for p in range(5):
        for q in range(5):
            weight, kind = wi[p] * wj[q], classes[i + p - 2, j + q - 2] - _ROAD_CLASS
            if kind == ROAD:
                road += weight
            elif kind == FLAT:
                flat += weight
            elif kind == SIDEWALK:
                walk += weight
            else:
                terrain += weight
    kerb = 4.0 * (road + flat) * walk
    road, flat, walk, terrain = road**6, flat**6, walk**6, terrain**6
    total = road + flat + walk + terrain
    r, g, bl = 0.0, 0.0, 0.0
    if road > 0.02 * total:
        c = _asphalt(x, y, blur, 0.098)
        white = marked(surface, x, y, blur)
        if white > 0.0:
            c = mix(c, (0.72, 0.72, 0.7), white * (0.85 + 0.13 * noise(x * 5.0, y * 5.0, 7) * fade(0.2, blur)))
        r, g, bl = r + road * c[0], g + road * c[1], bl + road * c[2]
    if flat > 0.02 * total:
        c = _asphalt(x, y, blur, 0.14)
        c = mix((c[0] * 1.06, c[1], c[2] * 0.94), (0.7, 0.7, 0.68), 0.9 * marked(surface, x, y, blur))
        r, g, bl = r + flat * c[0], g + flat * c[1], bl + flat * c[2]
    if walk > 0.02 * total:
        c = _slabs(x, y, blur)
        r, g, bl = r + walk * c[0], g + walk * c[1], bl + walk * c[2]
    if terrain > 0.02 * total:
        c = _grass(x, y, blur)
        r, g, bl = r + terrain * c[0], g + terrain * c[1], bl + terrain * c[2]
    c = (r / total, g / total, bl / total)
    # A stone of the kerb, and the gutter that it darkens.
    if kerb > 0.3:
        c = mix(c, (0.42, 0.41, 0.39), min((kerb - 0.3) / 0.3, 1.0) * (0.9 if walk > road + flat else 0.0))
        c = times(c, 1.0 if walk > road + flat else 1.0 - 0.45 * min(kerb, 1.0))
    return c
