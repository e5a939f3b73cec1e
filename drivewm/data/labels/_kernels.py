"""numba kernels behind `sorting` and `voting`. Their readable twins are `sort_out_reference` and `vote_reference`."""

from __future__ import annotations

import math

import numba
import numpy as np

# A coarse map around the sensor of where boxes are: most points need not be compared with any.
_CELL_M, _CELLS = 2.0, 128


@numba.njit(cache=True, error_model="numpy")
def _near_boxes(boxes, reach, x, y):
    """`(_CELLS, _CELLS)` bool around (x, y): could a box with its trail, grown by `reach`, be in this cell?"""
    near = np.zeros((_CELLS, _CELLS), np.bool_)
    for m in range(len(boxes)):
        radius = math.hypot(boxes[m, 3], boxes[m, 4]) + boxes[m, 8] + reach
        first_x = max(int(math.floor((boxes[m, 0] - radius - x) / _CELL_M)) + _CELLS // 2, 0)
        first_y = max(int(math.floor((boxes[m, 1] - radius - y) / _CELL_M)) + _CELLS // 2, 0)
        last_x = min(int(math.floor((boxes[m, 0] + radius - x) / _CELL_M)) + _CELLS // 2, _CELLS - 1)
        last_y = min(int(math.floor((boxes[m, 1] + radius - y) / _CELL_M)) + _CELLS // 2, _CELLS - 1)
        for i in range(first_x, last_x + 1):
            for j in range(first_y, last_y + 1):
                near[i, j] = True
    return near


@numba.njit(cache=True, error_model="numpy")
def sort_out(points, classes, T_ego, T, ego_body, boxes, known, track, label, movable, codes, lengths, out):
    """One pass of `sorting.sort_out`: writes the points that are kept to the front of `out`, and returns how many.

    `T_ego` leads to the ego's frame, `T` to that of the boxes. `boxes (M, 9)` has centre, half of the size, cosine and
    sine of the yaw, and trail of each box. Codes: `STATIC, ALONE, DROPPED, UNLABELLED`. Lengths: `MARGIN_M, HALO_M,
    CLEARANCE_M, FAR_M`, and how near to the sensor all of the ego is. Out: points, classes, owner, local.
    """
    static, alone, dropped, unlabelled = codes
    margin, halo, clearance, far, ego_reach = lengths
    out_points, out_classes, out_owner, out_local = out
    near = _near_boxes(boxes, 2.0 * halo, T[0, 3], T[1, 3])
    count = 0
    for n in range(len(points)):
        px, py, pz = np.float64(points[n, 0]), np.float64(points[n, 1]), np.float64(points[n, 2])
        if abs(px) < ego_reach and abs(py) < ego_reach:
            on_ego = True
            for a in range(3):
                value = T_ego[a, 0] * px + T_ego[a, 1] * py + T_ego[a, 2] * pz + T_ego[a, 3]
                on_ego = on_ego and ego_body[0, a] <= value <= ego_body[1, a]
            if on_ego:
                continue
        kind = classes[n]
        moves, nameless = movable[kind], kind == unlabelled
        owner = alone if moves else static
        if nameless and px * px + py * py + pz * pz > far * far:
            owner = dropped
        x = T[0, 0] * px + T[0, 1] * py + T[0, 2] * pz + T[0, 3]
        y = T[1, 0] * px + T[1, 1] * py + T[1, 2] * pz + T[1, 3]
        i = int(math.floor((x - T[0, 3]) / _CELL_M)) + _CELLS // 2
        j = int(math.floor((y - T[1, 3]) / _CELL_M)) + _CELLS // 2
        if near[i, j] if 0 <= i < _CELLS and 0 <= j < _CELLS else True:
            z = T[2, 0] * px + T[2, 1] * py + T[2, 2] * pz + T[2, 3]
            beside = -1
            for m in range(len(boxes)):
                dx, dy, w = x - boxes[m, 0], y - boxes[m, 1], z - boxes[m, 2]
                u, v = dx * boxes[m, 6] + dy * boxes[m, 7], dy * boxes[m, 6] - dx * boxes[m, 7]
                front, side, top = boxes[m, 3], boxes[m, 4], boxes[m, 5]
                if u > front + halo or u < -front - halo - boxes[m, 8] or abs(v) > side + halo or abs(w) > top + halo:
                    continue
                if abs(u) > front + margin or abs(v) > side + margin or abs(w) > top + margin:
                    beside = m if beside < 0 else beside
                    continue
                beside = -1
                own = moves or kind == label[m]
                if known[m] and (own or (nameless and w > clearance - top)):
                    owner = track[m]
                    out_local[count, 0], out_local[count, 1], out_local[count, 2] = u, v, w
                else:
                    owner = dropped if nameless else alone if own else static
                break
            if beside >= 0:
                owner = dropped if nameless else alone if moves or kind == label[beside] else static
        out_points[count, 0], out_points[count, 1], out_points[count, 2] = points[n, 0], points[n, 1], points[n, 2]
        out_classes[count], out_owner[count] = kind, owner
        count += 1
    return count


@numba.njit(cache=True, error_model="numpy")
def add_votes(points, classes, owner, wanted, T, low, voxel, shape, votes, is_touched, touched, count):
    """Counts in `votes (cells, classes)` the points of the owner that is wanted; notes the cells in `touched`.

    Returns how many cells are touched by now, `count` being how many were before.
    """
    for n in range(len(points)):
        if owner[n] != wanted:
            continue
        px, py, pz = np.float64(points[n, 0]), np.float64(points[n, 1]), np.float64(points[n, 2])
        x = math.floor((T[0, 0] * px + T[0, 1] * py + T[0, 2] * pz + T[0, 3] - low[0]) / voxel)
        y = math.floor((T[1, 0] * px + T[1, 1] * py + T[1, 2] * pz + T[1, 3] - low[1]) / voxel)
        z = math.floor((T[2, 0] * px + T[2, 1] * py + T[2, 2] * pz + T[2, 3] - low[2]) / voxel)
        if not (0 <= x < shape[0] and 0 <= y < shape[1] and 0 <= z < shape[2]):
            continue
        cell = (int(x) * shape[1] + int(y)) * shape[2] + int(z)
        if not is_touched[cell]:
            is_touched[cell] = True
            touched[count] = cell
            count += 1
        votes[cell, classes[n]] += 1
    return count


@numba.njit(cache=True, error_model="numpy")
def decide(votes, is_touched, touched, count, free, reach, semantics):
    """Writes the class with most votes of each touched cell into `semantics (X, Y, Z)`, and empties the votes.

    Cells whose points have no class (the last column of votes) take the most frequent class around them, from the
    nearest shell of cells up to `reach` that has one. The lower class wins a tie.
    """
    flat, unlabelled = semantics.reshape(-1), votes.shape[1] - 1
    waiting = np.empty(count, np.int64)
    waits = 0
    for k in range(count):
        cell = touched[k]
        best, most = free, np.uint32(0)
        for c in range(unlabelled):
            if votes[cell, c] > most:
                best, most = c, votes[cell, c]
            votes[cell, c] = 0
        flat[cell] = best
        if most == 0:
            waiting[waits] = cell
            waits += 1
        votes[cell, unlabelled] = 0
        is_touched[cell] = False
    found = np.empty(waits, np.uint8)
    for k in range(waits):
        found[k] = _class_around(semantics, waiting[k], free, reach)
    for k in range(waits):
        flat[waiting[k]] = found[k]


@numba.njit(cache=True, error_model="numpy")
def _class_around(semantics, cell, free, reach):
    cells_x, cells_y, cells_z = semantics.shape
    x, y, z = cell // (cells_y * cells_z), cell // cells_z % cells_y, cell % cells_z
    seen = np.zeros(256, np.int64)
    for radius in range(1, reach + 1):
        for i in range(max(x - radius, 0), min(x + radius, cells_x - 1) + 1):
            for j in range(max(y - radius, 0), min(y + radius, cells_y - 1) + 1):
                for k in range(max(z - radius, 0), min(z + radius, cells_z - 1) + 1):
                    seen[semantics[i, j, k]] += 1
        seen[free] = 0
        best = np.argmax(seen)
        if seen[best] > 0:
            return best
    return free
