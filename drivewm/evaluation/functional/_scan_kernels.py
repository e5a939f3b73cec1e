"""numba kernel of `scan_refinement`: sums of a Gauss-Newton step. Readable twin: `normal_equations_reference` there."""

from __future__ import annotations

import math

import numba
import numpy as np


@numba.njit(cache=True)
def normal_equations(source, target, seen, ahead, left, weight, pose, turn, scale):
    """Gauss-Newton sums of the class maps' difference; arguments and result as in the twin."""
    channels, height, width = source.shape
    system, vector = np.zeros((3, 3)), np.zeros(3)
    cost = total = 0.0
    cos, sin = math.cos(pose[2]), math.sin(pose[2])
    for i in range(height):
        for j in range(width):
            if weight[i, j] <= 0.0:
                continue
            x, y = ahead[i], left[j]
            u = pose[0] + cos * x - sin * y - ahead[0]
            v = pose[1] + sin * x + cos * y - left[0]
            a, b = math.floor(u), math.floor(v)
            if a < 0 or b < 0 or a + 1 >= height or b + 1 >= width:
                continue
            known = weight[i, j] * min(min(seen[a, b], seen[a + 1, b]), min(seen[a, b + 1], seen[a + 1, b + 1]))
            if known <= 0.0:
                continue
            p, q = u - a, v - b
            # How a point of the frame moves with the yaw, in units of `turn` cells.
            du, dv = (-sin * x - cos * y) / turn, (cos * x - sin * y) / turn
            square = 0.0
            g00 = g01 = g11 = e0 = e1 = 0.0
            for c in range(channels):
                s00, s01 = source[c, a, b], source[c, a, b + 1]
                s10, s11 = source[c, a + 1, b], source[c, a + 1, b + 1]
                gu = (1 - q) * (s10 - s00) + q * (s11 - s01)
                gv = (1 - p) * (s01 - s00) + p * (s11 - s10)
                value = (1 - p) * ((1 - q) * s00 + q * s01) + p * ((1 - q) * s10 + q * s11)
                e = value - target[c, i, j]
                square += e * e
                g00 += gu * gu
                g01 += gu * gv
                g11 += gv * gv
                e0 += gu * e
                e1 += gv * e
            w = known * scale / (scale + square)
            w *= scale / (scale + square)
            cost += known * square / (scale + square)
            total += known
            h0, h1 = g00 * du + g01 * dv, g01 * du + g11 * dv
            system[0, 0] += w * g00
            system[0, 1] += w * g01
            system[1, 1] += w * g11
            system[0, 2] += w * h0
            system[1, 2] += w * h1
            system[2, 2] += w * (h0 * du + h1 * dv)
            vector[0] += w * e0
            vector[1] += w * e1
            vector[2] += w * (e0 * du + e1 * dv)
    system[1, 0], system[2, 0], system[2, 1] = system[0, 1], system[0, 2], system[1, 2]
    return system, vector, cost, total
