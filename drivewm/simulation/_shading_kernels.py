"""numba kernels that turn what a camera's rays meet into colours: paint, sun with hard shadows, sky light, haze."""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np

from drivewm.simulation._body_paint_kernels import BARK, HEAD, LEAVES, head, leaves, paint_box
from drivewm.simulation._camera_kernels import GROUND, NOTHING, distance_to_shade, first_hit, global_xy, ray_of
from drivewm.simulation._paint_kernels import mix, noise, noise_3d, paint_ground, times

_SUN, _SKY_LIGHT, _BOUNCE = (1.38, 1.27, 1.08), (0.36, 0.42, 0.52), (0.16, 0.15, 0.13)
_HORIZON, _ZENITH = (0.60, 0.68, 0.76), (0.14, 0.29, 0.60)
# Where a pixel and its neighbour see different bodies, it is sampled at these places besides its centre.
_SAMPLES = ((-0.25, -0.375), (0.375, -0.125), (-0.125, 0.375))


class Paint(NamedTuple):
    """Per body: style `(K,)` uint8, linear colour `(K, 3)`, seed of its patterns `(K,)` int64."""

    style: np.ndarray
    color: np.ndarray
    seed: np.ndarray


class Air(NamedTuple):
    """How far one sees [m], and the pixel's angle [rad]."""

    haze_m: float
    pixel: float


@numba.njit(cache=True)
def _sky(dx, dy, dz, yaw, sun):
    """Colour of the sky in a direction of the ego frame; clouds stand still in the global one."""
    up = max(dz, 0.0)
    c = mix(_HORIZON, _ZENITH, 1.0 - (1.0 - min(up, 1.0)) ** 3)
    if up > 0.02:
        cos, sin = math.cos(yaw), math.sin(yaw)
        x, y = (cos * dx - sin * dy) / (up + 0.12), (sin * dx + cos * dy) / (up + 0.12)
        cloud = noise(x * 0.9, y * 0.9, 91) + 0.5 * noise(x * 2.1, y * 2.1, 92) + 0.25 * noise(x * 4.7, y * 4.7, 93)
        c = mix(c, (0.86, 0.88, 0.9), min(max(cloud - 0.15, 0.0), 1.0) * 0.8 * min(up / 0.15, 1.0))
    glow = max(dx * sun[0] + dy * sun[1] + dz * sun[2], 0.0)
    return mix(c, (1.0, 0.97, 0.9), 0.35 * glow**24)


@numba.njit(cache=True)
def _surface(k, solids, paint, surface, px, py, pz, blur):
    """Colour, gloss and unit normal of body k, or the ground, at a point of the ego frame."""
    n_box, n_cyl = solids.boxes.shape[0], solids.cylinders.shape[0]
    if k == GROUND:
        x, y = global_xy(surface, px, py)
        return paint_ground(surface, x, y, blur), 0.0, 0.0, 0.0, 1.0
    color = (paint.color[k, 0], paint.color[k, 1], paint.color[k, 2])
    style, seed = paint.style[k], paint.seed[k]
    if k < n_box:
        box = solids.boxes[k]
        ox, oy = px - box[0], py - box[1]
        x, y, z = box[6] * ox + box[7] * oy, box[6] * oy - box[7] * ox, pz - box[2]
        ax, ay, az = abs(x) / box[3], abs(y) / box[4], abs(z) / box[5]
        axis = 0 if ax >= ay and ax >= az else (1 if ay >= az else 2)
        c, gloss = paint_box(style, box, color, seed, x, y, pz, axis, blur)
        if axis == 2:
            return c, gloss, 0.0, 0.0, 1.0 if z > 0 else -1.0
        sign = 1.0 if (x if axis == 0 else y) > 0 else -1.0
        if axis == 0:
            return c, gloss, sign * box[6], sign * box[7], 0.0
        return c, gloss, -sign * box[7], sign * box[6], 0.0
    if k < n_box + n_cyl:
        body = solids.cylinders[k - n_box]
        if style == BARK:
            x, y = global_xy(surface, px, py)
            color = times(color, 1.0 + 0.4 * noise_3d(x * 14.0, y * 14.0, pz * 3.0, 41))
        if pz >= body[3] - 1e-6:
            return color, 0.0, 0.0, 0.0, 1.0
        if pz <= body[2] + 1e-6:
            return color, 0.0, 0.0, 0.0, -1.0
        return color, 0.05, (px - body[0]) / body[4], (py - body[1]) / body[4], 0.0
    body = solids.ellipsoids[k - n_box - n_cyl]
    if style == LEAVES:
        x, y = global_xy(surface, px, py)
        color = leaves(color, seed, x, y, pz, blur)
    elif style == HEAD:
        color = head(color, seed, (pz - body[2]) / body[4])
    nx, ny, nz = (px - body[0]) / body[3] ** 2, (py - body[1]) / body[3] ** 2, (pz - body[2]) / body[4] ** 2
    norm = math.sqrt(nx * nx + ny * ny + nz * nz)
    return color, 0.0, nx / norm, ny / norm, nz / norm


@numba.njit(cache=True)
def _color(t, k, solids, paint, surface, shadows, air, camera, dx, dy, dz):
    """Linear colour that a ray brings back which met body k at distance t."""
    if k == NOTHING:
        return _sky(dx, dy, dz, surface.pose[2], shadows.sun)
    px, py, pz = camera.origin[0] + t * dx, camera.origin[1] + t * dy, camera.origin[2] + t * dz
    blur = t * air.pixel
    if k == GROUND:
        blur *= math.sqrt(1.0 / max(-dz, 1e-3))  # between its width and its length on the ground
    c, gloss, nx, ny, nz = _surface(k, solids, paint, surface, px, py, pz, blur)
    sun = shadows.sun
    facing = nx * sun[0] + ny * sun[1] + nz * sun[2]
    open_sky = 0.5 + 0.5 * nz
    lit = max(facing, 0.0)
    if lit > 0.0:
        shade = distance_to_shade(solids, shadows, px, py, pz, nx, ny, nz)
        if shade < math.inf:
            lit = 0.0
            if k == GROUND:  # right below something, little of the sky is left
                open_sky *= 0.35 + 0.65 * min(shade / 1.5, 1.0)
    if k != GROUND:  # walls are darker towards the ground
        open_sky *= 0.7 + 0.3 * min(max(pz, 0.0) / 1.2, 1.0)
    bounce = 0.5 - 0.5 * nz
    r = c[0] * (lit * _SUN[0] + open_sky * _SKY_LIGHT[0] + bounce * _BOUNCE[0])
    g = c[1] * (lit * _SUN[1] + open_sky * _SKY_LIGHT[1] + bounce * _BOUNCE[1])
    b = c[2] * (lit * _SUN[2] + open_sky * _SKY_LIGHT[2] + bounce * _BOUNCE[2])
    if gloss > 0.0:
        along = dx * nx + dy * ny + dz * nz
        rx, ry, rz = dx - 2.0 * along * nx, dy - 2.0 * along * ny, dz - 2.0 * along * nz
        above = mix(_HORIZON, _ZENITH, min(max(rz, 0.0) * 1.5, 1.0))
        mirrored = mix((0.12, 0.12, 0.11), above, min(max(rz * 6.0 + 0.5, 0.0), 1.0))
        strength = gloss * (0.12 + 0.88 * (1.0 - min(abs(along), 1.0)) ** 3)
        r, g, b = mix((r, g, b), mirrored, strength)
        if lit > 0.0:
            spark = gloss * max(rx * sun[0] + ry * sun[1] + rz * sun[2], 0.0) ** 40
            r, g, b = r + spark, g + spark, b + spark
    return mix((r, g, b), _HORIZON, 1.0 - math.exp(-((t / air.haze_m) ** 2)))


@numba.njit(cache=True, inline="always")
def _byte(value):
    """Linear light as the camera stores it."""
    return np.uint8(min(max(255.0 * math.sqrt(max(value, 0.0)) + 0.5, 0.0), 255.0))


@numba.njit(cache=True, nogil=True)
def shade_image(solids, paint, sectors, surface, shadows, air, camera, distance, body, rgb):
    """Fill `rgb (H, W, 3)` from what each pixel's centre has met; outlines get more samples."""
    height, width = distance.shape
    for i in range(height):
        for j in range(width):
            k = body[i, j]
            dx, dy, dz = ray_of(camera, j + 0.5, i + 0.5)
            r, g, b = _color(distance[i, j], k, solids, paint, surface, shadows, air, camera, dx, dy, dz)
            edge = (
                body[max(i - 1, 0), j] != k
                or body[min(i + 1, height - 1), j] != k
                or body[i, max(j - 1, 0)] != k
                or body[i, min(j + 1, width - 1)] != k
            )
            if edge:
                for su, sv in _SAMPLES:
                    dx, dy, dz = ray_of(camera, j + 0.5 + su, i + 0.5 + sv)
                    t, met = first_hit(solids, sectors, camera, dx, dy, dz)
                    c = _color(t, met, solids, paint, surface, shadows, air, camera, dx, dy, dz)
                    r, g, b = r + c[0], g + c[1], b + c[2]
                r, g, b = 0.25 * r, 0.25 * g, 0.25 * b
            rgb[i, j, 0], rgb[i, j, 1], rgb[i, j, 2] = _byte(r), _byte(g), _byte(b)
