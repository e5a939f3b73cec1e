"""numba kernels of procedural paint: what colour a body has at a place of its surface, see `_paint_kernels`."""

from __future__ import annotations

import math

import numba

from drivewm.simulation._paint_kernels import chance, fade, mix, noise, noise_3d, times, within

# How a body is painted.
PLAIN, FACADE, FENCE, LEAVES, BARK, WHEEL, CAR_BODY, CABIN, BUS, CAB, CARGO, STRIPES, SPOKES, HEAD = range(14)
_TYRE, _GLASS = 0.012, (0.035, 0.045, 0.055)


@numba.njit(cache=True)
def _facade(color, seed, across, z, width, height, face, blur):
    """A wall: `across` from its middle, `z` above the ground. Windows by storey and bay; shops or doors below."""
    storeys = max(int(height / 3.0 + 0.35), 1)
    tall = height / storeys
    bays = max(int(width / (2.3 + 1.1 * chance(seed, 1, 0)) + 0.5), 1)
    wide = width / bays
    bay = min(max(int((across + 0.5 * width) / wide), 0), bays - 1)
    storey = min(max(int(z / tall), 0), storeys - 1)
    x, y = (across + 0.5 * width) - bay * wide - 0.5 * wide, z - storey * tall
    c = times(color, 1.0 + 0.05 * noise(across * 0.5 + seed % 97, z * 0.5 + face * 7.0, 21))
    course = 1.0 + 0.1 * (chance(int(math.floor(z / 0.09)), int(math.floor(across / 0.3)), seed) - 0.5) * fade(
        0.12, blur
    )
    c = times(c, course)
    half, low, high = 0.5 * min(1.25, 0.62 * wide), 0.95, min(2.35, tall - 0.35)
    light, own = (0.62, 0.61, 0.58), chance(seed + face, bay, storey)
    if storey == 0 and chance(seed, bay, face + 50) < 0.22:  # a door
        door = within(x, -0.5, 0.5, blur) * within(y, -1.0, 2.15, blur)
        frame = within(x, -0.6, 0.6, blur) * within(y, -1.0, 2.25, blur)
        tint = (0.05 + 0.1 * own, 0.04, 0.03) if own < 0.6 else (0.03, 0.05, 0.09)
        c = mix(mix(c, light, frame), tint, door)
    elif high > low + 0.3 and width > 2.0:
        frame = within(x, -half - 0.08, half + 0.08, blur) * within(y, low - 0.12, high + 0.08, blur)
        pane = within(x, -half, half, blur) * within(y, low, high, blur)
        bars = within(x, -0.03, 0.03, blur)
        inside = (0.03, 0.04, 0.05) if own < 0.7 else ((0.2, 0.18, 0.14) if own < 0.85 else (0.09, 0.11, 0.14))
        sheen = 0.035 * (y - low) / (high - low)
        inside = (inside[0] + sheen, inside[1] + 1.15 * sheen, inside[2] + 1.4 * sheen)
        c = mix(mix(c, light, frame), mix(inside, light, bars), pane)
    c = mix(c, times(color, 0.55), within(z, height - 0.28, height, blur))  # eaves
    return mix(c, (0.17, 0.165, 0.16), within(z, -0.1, 0.5, blur))  # plinth


@numba.njit(cache=True)
def leaves(color, seed, x, y, z, blur):
    clump = noise_3d(x * 2.2, y * 2.2, z * 2.2, seed % 9973)
    fine = noise_3d(x * 9.0, y * 9.0, z * 9.0, seed % 9967) * fade(0.12, blur)
    shade = max(0.15, 1.0 + 0.7 * clump + 0.75 * fine)
    return color[0] * shade * (1.0 + 0.15 * clump), color[1] * shade, color[2] * shade * 0.9


@numba.njit(cache=True)
def head(color, seed, up):
    """A head of skin `color` with hair above; `up` is -1 at the chin and 1 at the top."""
    if up < 0.3:
        return color
    return mix((0.015, 0.012, 0.01), (0.2, 0.13, 0.06), chance(seed, 61, 62) ** 2)


@numba.njit(cache=True)
def _car_face(x, y, z, box, axis, color, blur):
    """Lower body of a car: lamps, grille and plate at the ends, seams and a sill on the sides."""
    length, width, low, tall = box[3], box[4], box[2] - 0.5 * box[5], box[5]
    c = color
    if axis == 1:
        seams = max(
            within(abs(x + 0.06 * length), -0.012, 0.012, blur), within(abs(x), 0.27 * length, 0.276 * length, blur)
        )
        c = times(c, 1.0 - 0.6 * seams)
        c = mix(c, (0.03, 0.03, 0.03), within(z, low, low + 0.16 * tall, blur))
        end = within(abs(x), 0.47 * length, 0.6 * length, blur) * within(z, low + 0.6 * tall, low + 0.85 * tall, blur)
        c = mix(c, (0.75, 0.75, 0.7) if x > 0 else (0.4, 0.01, 0.01), end)
    elif axis == 0:
        lamp = within(abs(y), 0.3 * width, 0.48 * width, blur) * within(z, low + 0.52 * tall, low + 0.85 * tall, blur)
        c = mix(c, (0.9, 0.9, 0.85) if x > 0 else (0.5, 0.012, 0.01), lamp)
        if x > 0:
            grille = within(abs(y), -1.0, 0.26 * width, blur) * within(z, low + 0.45 * tall, low + 0.8 * tall, blur)
            c = mix(c, (0.02, 0.02, 0.02), grille)
        c = mix(c, (0.03, 0.03, 0.03), within(z, low, low + 0.2 * tall, blur))
        plate = within(abs(y), -1.0, 0.26, blur) * within(z, low + 0.22 * tall, low + 0.4 * tall, blur)
        c = mix(c, (0.7, 0.7, 0.66), plate)
    return c


@numba.njit(cache=True)
def _glazed(along, width, up, low, high, color, pillars, blur):
    """A band of glass between `low` and `high` with pillars; `along` from the middle of a face `width` wide."""
    pane = within(up, low, high, blur) * within(abs(along), -1.0, 0.5 * width - 0.07, blur)
    for n in range(1, pillars):
        place = width * (n / pillars - 0.5)
        pane *= 1.0 - within(along - place, -0.045, 0.045, blur)
    return mix(color, _GLASS, pane), pane


@numba.njit(cache=True)
def paint_box(style, box, color, seed, x, y, z, axis, blur):
    """Colour and gloss of a box at a place (x, y, z) of its own frame, on the face across `axis`; z from the ground."""
    length, width, height = box[3], box[4], box[5]
    low = box[2] - 0.5 * height
    up = (z - low) / height
    along, wide = (y, width) if axis == 0 else (x, length)
    face = axis * 2 + (1 if (x if axis == 0 else y) > 0 else 0)
    c, gloss = color, 0.0
    if style == FACADE:
        if axis == 2:
            shade = 1.0 + 0.15 * noise(x * 0.7, y * 0.7, 22)
            return times((0.16, 0.15, 0.145), shade), 0.0
        return _facade(color, seed, along, z, wide, height, face, blur), 0.0
    if style == FENCE:
        shade = 1.0 + 0.25 * (chance(int(math.floor(along / 0.14)), seed, 3) - 0.5) * fade(0.14, blur)
        gap = within(along - 0.14 * math.floor(along / 0.14), 0.0, 0.02, blur)
        return times(color, shade * (1.0 - 0.6 * gap)), 0.0
    if style == WHEEL:
        c = (_TYRE, _TYRE, _TYRE)
        radius = 0.5 * height
        if axis == 1:
            r = math.hypot(x * min(1.0, height / length), z - low - radius)
            c = mix(c, (0.3, 0.3, 0.31), within(r, -1.0, 0.6 * radius, blur))
            c = mix(c, (0.06, 0.06, 0.06), within(r, -1.0, 0.2 * radius, blur))
        return c, 0.0
    if style == SPOKES:
        # A wheel that one sees through: within the tyre it is as grey as a street.
        c = (_TYRE, _TYRE, _TYRE)
        if axis == 1:
            radius = 0.5 * max(height, length)
            r = math.hypot(x, z - low - 0.5 * height)
            c = mix(c, (0.11, 0.11, 0.11), within(r, -1.0, 0.84 * radius, blur))
            c = mix(c, (0.05, 0.05, 0.05), within(r, -1.0, 0.14 * radius, blur))
        return c, 0.0
    if style == CAR_BODY:
        return _car_face(x, y, z, box, axis, color, blur), 0.35
    if style == CABIN:
        if axis == 2:
            return color, 0.35
        c, pane = _glazed(along, wide, up, 0.12, 0.84, color, 2 if axis == 1 else 1, blur)
        return c, 0.35 + 0.4 * pane
    if style == BUS:
        if axis == 2:
            return times(color, 0.9), 0.1
        if axis == 1:
            c = mix(color, times(color, 0.35), within(up, 0.0, 0.1, blur / height))
            c, pane = _glazed(along, wide, up, 0.4, 0.84, c, max(int(length / 1.5), 1), blur)
            return c, 0.2 + 0.5 * pane
        c, pane = _glazed(along, wide, up, 0.34 if x > 0 else 0.5, 0.84, color, 1, blur)
        sign = within(up, 0.87, 0.97, blur / height) * within(abs(y), -1.0, 0.38 * width, blur)
        c = mix(c, (0.6, 0.3, 0.02) if x > 0 else (0.02, 0.02, 0.02), sign)
        lamp = within(abs(y), 0.33 * width, 0.47 * width, blur) * within(up, 0.1, 0.19, blur / height)
        return mix(c, (0.9, 0.9, 0.85) if x > 0 else (0.5, 0.01, 0.01), lamp), 0.2 + 0.5 * pane
    if style == CAB:
        if axis == 2:
            return color, 0.3
        c, pane = _glazed(along, wide, up, 0.5, 0.88, color, 1, blur)
        if axis == 0 and x > 0:
            lamp = within(abs(y), 0.3 * width, 0.47 * width, blur) * within(up, 0.1, 0.24, blur / height)
            c = mix(c, (0.9, 0.9, 0.85), lamp)
            c = mix(
                c, (0.03, 0.03, 0.03), within(up, 0.26, 0.42, blur / height) * within(abs(y), -1.0, 0.4 * width, blur)
            )
        return c, 0.25 + 0.4 * pane
    if style == CARGO:
        rib = within(along - 0.6 * math.floor(along / 0.6), 0.0, 0.04, blur)
        c = times(color, 1.0 - 0.3 * rib * (1.0 if axis < 2 else 0.0))
        c = mix(c, (0.05, 0.05, 0.05), within(up, -0.1, 0.07, blur / height))
        if axis == 0 and x < 0:
            seam = within(abs(y), -1.0, 0.015, blur)
            lamp = within(abs(y), 0.38 * width, 0.48 * width, blur) * within(up, 0.02, 0.09, blur / height)
            c = mix(mix(c, (0.05, 0.05, 0.05), seam), (0.5, 0.01, 0.01), lamp)
        return c, 0.05
    if style == STRIPES:
        band = (along + z) / 0.5
        band = within(band - math.floor(band), 0.0, 0.5, blur / 0.5)
        return mix((0.7, 0.7, 0.68), color, band), 0.05
    if style == LEAVES:
        return leaves(color, seed, x, y, z, blur), 0.0
    return c, gloss
