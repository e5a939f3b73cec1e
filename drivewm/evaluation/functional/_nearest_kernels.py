"""numba kernels behind `nearest`. Readable twin: `nearest.nearest_reference`."""

from __future__ import annotations

import math

import numba
import numpy as np

BLOCK = 32
"""Points of a block, at most, and blocks of a group. LLVM unrolls loops of 16 steps and does not vectorize them."""
_BITS = 10
_CELLS = 1 << _BITS


def _every_third_bit() -> np.ndarray:
    """For each cell along an axis, its bits with two zeros between neighbours."""
    cell = np.arange(_CELLS, dtype=np.uint32)
    return sum(((cell >> np.uint32(bit)) & np.uint32(1)) << np.uint32(3 * bit) for bit in range(_BITS))


_SPREAD = _every_third_bit()


@numba.njit(cache=True, error_model="numpy")
def sort_along_curve(points, middle, spread):
    """Points (N, 3) in order of their places on a Z-order curve: these keys (N,) and the points' numbers.

    Half of all cells along an axis reach from `middle - spread` to `middle + spread`; beyond they grow, so that there
    is a cell for any coordinate.
    """
    key, number = np.empty(len(points), np.uint32), np.arange(len(points)).astype(np.int32)
    counts = np.zeros((3, _CELLS), np.int32)
    for n in range(len(points)):
        code = np.uint32(0)
        for axis in range(3):
            away = (points[n, axis] - middle[axis]) / spread
            share = 0.5 + math.copysign(0.5 - 0.5 / (1.0 + abs(away)), away)
            code |= _SPREAD[int(share * (_CELLS - 1e-3))] << np.uint32(axis)
        key[n] = code
        for digit in range(3):
            counts[digit, _digit(code, digit)] += 1
    other_key, other_number = np.empty_like(key), np.empty_like(number)
    for digit in range(3):
        place = counts[digit]
        total = 0
        for value in range(_CELLS):
            place[value], total = total, total + place[value]
        for n in range(len(key)):
            value = _digit(key[n], digit)
            other_key[place[value]], other_number[place[value]] = key[n], number[n]
            place[value] += 1
        key, other_key, number, other_number = other_key, key, other_number, number
    return key, number


@numba.njit(cache=True, inline="always")
def _digit(key, digit):
    return (key >> np.uint32(_BITS * digit)) & np.uint32(_CELLS - 1)


@numba.njit(cache=True)
def cut(key):
    """Where sorted keys are cut into the fewest boxes of the Z-order curve that hold at most BLOCK of them.

    The keys of such a box are all those with some first bits; runs that cross its border would make boxes large. More
    than BLOCK equal keys are cut anywhere. Returns the first of each box, and the number of keys.
    """
    begin, boxes, first = np.empty(len(key) + 1, np.int32), 0, 0
    while first < len(key):
        begin[boxes] = first
        boxes += 1
        here, end = key[first], min(first + BLOCK, len(key))
        # The highest bit in which neighbours beyond differ from here: those in the box agree there and in all before.
        differs = np.uint32(0xFFFFFFFF)
        if first > 0:
            differs = min(differs, here ^ key[first - 1])
        if end < len(key):
            differs = min(differs, here ^ key[end])
        after = first + 1
        while after < end and (differs == 0 or _lower_bit(here ^ key[after], differs)):
            after += 1
        first = after
    begin[boxes] = len(key)
    return begin[: boxes + 1].copy()


@numba.njit(cache=True, inline="always")
def _lower_bit(a, b):
    """Is the highest bit of a lower than that of b?"""
    return a < b and a < a ^ b


@numba.njit(cache=True)
def bounding_boxes(points, begin):
    """Lowest and highest coordinates (6, B) float64 of points (N, 3) in B blocks, which begin at `begin (B + 1,)`."""
    box = np.empty((6, len(begin) - 1))
    for block in range(len(begin) - 1):
        for axis in range(3):
            low = high = points[begin[block], axis]
            for p in range(begin[block] + 1, begin[block + 1]):
                low, high = min(low, points[p, axis]), max(high, points[p, axis])
            box[axis, block], box[axis + 3, block] = low, high
    return box


@numba.njit(cache=True, error_model="numpy")
def search(
    queries, query_begin, query_key, query_box, points, begin, key, box, group_begin, group_box, squared, nearest, found
):
    """Writes squared distances from `queries (N, 3)` to their nearest of `points`, and these points' positions.

    Both are in order and in blocks: where these begin, the first key and the box of each; blocks of points also in
    groups. All queries of a block search together, in the lanes of vectors: first in the block of points at their own
    place on the curve, then in its group, then in all others, wherever a box is nearer than what some query has.
    `nearest (N,)` and, to work with, `found (BLOCK,)` are int64, or both None where only distances count.

    Exact: rounding is monotone, so the rounded distance to a box is never more than that to a point in it.
    """
    x, y, z, best = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    to_group, to_block = np.empty(group_box.shape[1]), np.empty(BLOCK)
    own = home = 0
    for q in range(len(query_begin) - 1):
        first, last = query_begin[q], query_begin[q + 1] - 1
        for lane in range(BLOCK):
            n = min(first + lane, last)
            x[lane], y[lane], z[lane], best[lane] = queries[n, 0], queries[n, 1], queries[n, 2], math.inf
        while own + 1 < len(key) and key[own + 1] <= query_key[q]:
            own += 1
        while group_begin[home + 1] <= own:
            home += 1
        _look_through(points, begin[own], begin[own + 1], x, y, z, best, found)
        bound = _worst(best)
        _distances(query_box[:, q], group_box, to_group)
        for turn in range(-1, len(to_group)):
            group = home if turn < 0 else turn
            if turn == home or not to_group[group] < bound:
                continue
            start = group_begin[group]
            _distances(query_box[:, q], box[:, start : group_begin[group + 1]], to_block)
            for block in range(start, group_begin[group + 1]):
                if block != own and to_block[block - start] < bound and _may_help(box[:, block], x, y, z, best):
                    _look_through(points, begin[block], begin[block + 1], x, y, z, best, found)
            bound = _worst(best)
        for n in range(first, last + 1):
            squared[n] = best[n - first]
            if nearest is not None:
                nearest[n] = found[n - first]


@numba.njit(cache=True, error_model="numpy")
def _look_through(points, first, end, x, y, z, best, found):
    """Two points at a time, which halves how often the queries are loaded; an odd last one is taken twice."""
    for p in range(first, end, 2):
        other = min(p + 1, end - 1)
        px, py, pz = np.float64(points[p, 0]), np.float64(points[p, 1]), np.float64(points[p, 2])
        ox, oy, oz = np.float64(points[other, 0]), np.float64(points[other, 1]), np.float64(points[other, 2])
        for lane in range(BLOCK):
            dx, dy, dz = x[lane] - px, y[lane] - py, z[lane] - pz
            ex, ey, ez = x[lane] - ox, y[lane] - oy, z[lane] - oz
            d, e = dx * dx + dy * dy + dz * dz, ex * ex + ey * ey + ez * ez
            least = e if e < d else d
            if found is not None:
                nearer = other if e < d else p
                found[lane] = nearer if least < best[lane] else found[lane]
            best[lane] = least if least < best[lane] else best[lane]


@numba.njit(cache=True, error_model="numpy", inline="always")
def _distances(query_box, box, squared):
    """Squared distances from a box (6,) to others (6, B)."""
    low_x, low_y, low_z, high_x, high_y, high_z = box[0], box[1], box[2], box[3], box[4], box[5]
    qx, qy, qz, rx, ry, rz = query_box[0], query_box[1], query_box[2], query_box[3], query_box[4], query_box[5]
    for b in range(len(low_x)):
        dx = max(max(low_x[b] - rx, qx - high_x[b]), 0.0)
        dy = max(max(low_y[b] - ry, qy - high_y[b]), 0.0)
        dz = max(max(low_z[b] - rz, qz - high_z[b]), 0.0)
        squared[b] = dx * dx + dy * dy + dz * dz


@numba.njit(cache=True, error_model="numpy", inline="always")
def _may_help(box, x, y, z, best):
    """Is a box (6,) nearer to any query than what it has?"""
    low_x, low_y, low_z, high_x, high_y, high_z = box[0], box[1], box[2], box[3], box[4], box[5]
    helped = 0
    for lane in range(BLOCK):
        dx = max(max(low_x - x[lane], x[lane] - high_x), 0.0)
        dy = max(max(low_y - y[lane], y[lane] - high_y), 0.0)
        dz = max(max(low_z - z[lane], z[lane] - high_z), 0.0)
        helped |= 1 if dx * dx + dy * dy + dz * dz < best[lane] else 0
    return helped > 0


@numba.njit(cache=True, inline="always")
def _worst(best):
    worst = best[0]
    for lane in range(1, BLOCK):
        worst = max(worst, best[lane])
    return worst
