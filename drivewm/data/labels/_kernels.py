"""numba kernels behind `sorting` and `voting`. Their readable twins are `sort_out_reference` and `vote_reference`."""

from __future__ import annotations

import math

import numba
import numpy as np

# A coarse map around the sensor of where boxes are: most points need not be compared with any of them.
_CELL_M, _CELLS = 1.0, 128


@numba.njit(cache=True, error_model="numpy")
def _cells_of(box, reach, x, y):
    """First and last cells that a box with its trail, grown by `reach`, may touch: along x, then along y."""
    length, width = box[3] + box[8] + reach, box[4] + reach
    along_x, along_y = abs(box[6]) * length + abs(box[7]) * width, abs(box[7]) * length + abs(box[6]) * width
    return (
        max(int(math.floor((box[0] - along_x - x) / _CELL_M)) + _CELLS // 2, 0),
        min(int(math.floor((box[0] + along_x - x) / _CELL_M)) + _CELLS // 2, _CELLS - 1),
        max(int(math.floor((box[1] - along_y - y) / _CELL_M)) + _CELLS // 2, 0),
        min(int(math.floor((box[1] + along_y - y) / _CELL_M)) + _CELLS // 2, _CELLS - 1),
    )


@numba.njit(cache=True, error_model="numpy")
def _boxes_by_cell(boxes, reach, x, y):
    """Which boxes may be in each cell around (x, y): those of cell c are `members[start[c] : start[c + 1]]`, in order.

    One more cell at the end, for all that is farther away, has all of them.
    """
    everywhere = _CELLS * _CELLS
    start = np.zeros(everywhere + 2, np.int64)
    for m in range(len(boxes)):
        i0, i1, j0, j1 = _cells_of(boxes[m], reach, x, y)
        for i in range(i0, i1 + 1):
            for j in range(j0, j1 + 1):
                start[i * _CELLS + j + 1] += 1
    start[everywhere + 1] = len(boxes)
    for c in range(everywhere + 1):
        start[c + 1] += start[c]
    members, filled = np.empty(start[everywhere + 1], np.int64), start[:-1].copy()
    for m in range(len(boxes)):
        i0, i1, j0, j1 = _cells_of(boxes[m], reach, x, y)
        for i in range(i0, i1 + 1):
            for j in range(j0, j1 + 1):
                members[filled[i * _CELLS + j]] = m
                filled[i * _CELLS + j] += 1
        members[filled[everywhere]] = m
        filled[everywhere] += 1
    return start, members


@numba.njit(cache=True, error_model="numpy")
def sort_out(points, classes, T_ego, T, ego_body, boxes, known, track, label, movable, codes, lengths, out):
    """One pass of `sorting.sort_out`: writes the points that are kept to the front of `out`, and returns how many
    there are, and how many of them belong to tracks.

    `T_ego` leads to the ego's frame, `T` to that of the boxes. `boxes (M, 9)` has centre, half of the size, cosine and
    sine of the yaw, and trail of each box. Codes: `STATIC, ALONE, DROPPED, UNLABELLED`. Lengths: `MARGIN_M, HALO_M,
    CLEARANCE_M, FAR_M`, and how near to the sensor all of the ego is. Out: points, classes, owner; of those of
    tracks once more the owner, and the point in the frame of its box.
    """
    static, alone, dropped, unlabelled = codes
    margin, halo, clearance, far, ego_reach = lengths
    out_points, out_classes, out_owner, out_track, out_local = out
    # Scalars: the compiler cannot know that what is written leaves the transform alone, and would read it again.
    xx, xy, xz, x0 = T[0, 0], T[0, 1], T[0, 2], T[0, 3]
    yx, yy, yz, y0 = T[1, 0], T[1, 1], T[1, 2], T[1, 3]
    zx, zy, zz, z0 = T[2, 0], T[2, 1], T[2, 2], T[2, 3]
    start, members = _boxes_by_cell(boxes, halo + 1e-6, x0, y0)
    count = tracked = 0
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
        x = xx * px + xy * py + xz * pz + x0
        y = yx * px + yy * py + yz * pz + y0
        i = int(math.floor((x - x0) / _CELL_M)) + _CELLS // 2
        j = int(math.floor((y - y0) / _CELL_M)) + _CELLS // 2
        cell = i * _CELLS + j if 0 <= i < _CELLS and 0 <= j < _CELLS else _CELLS * _CELLS
        if start[cell] < start[cell + 1]:
            z = zx * px + zy * py + zz * pz + z0
            beside = -1
            for m in members[start[cell] : start[cell + 1]]:
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
                    out_local[tracked, 0], out_local[tracked, 1], out_local[tracked, 2] = u, v, w
                    out_track[tracked] = owner
                    tracked += 1
                else:
                    owner = dropped if nameless else alone if own else static
                break
            if beside >= 0:
                owner = dropped if nameless else alone if moves or kind == label[beside] else static
        out_points[count, 0], out_points[count, 1], out_points[count, 2] = points[n, 0], points[n, 1], points[n, 2]
        out_classes[count], out_owner[count] = kind, owner
        count += 1
    return count, tracked


@numba.njit(cache=True, error_model="numpy")
def add_votes(points, classes, owner, wanted, T, low, voxel, shape, votes, is_touched, touched, count):
    """Counts in `votes (cells, classes)` the points of the owner that is wanted; notes the cells in `touched`.

    Returns how many cells are touched by now, `count` being how many were before.
    """
    xx, xy, xz, x0 = T[0, 0], T[0, 1], T[0, 2], T[0, 3]
    yx, yy, yz, y0 = T[1, 0], T[1, 1], T[1, 2], T[1, 3]
    zx, zy, zz, z0 = T[2, 0], T[2, 1], T[2, 2], T[2, 3]
    low_x, low_y, low_z = low
    cells_x, cells_y, cells_z = shape
    for n in range(len(points)):
        if owner[n] != wanted:
            continue
        px, py, pz = np.float64(points[n, 0]), np.float64(points[n, 1]), np.float64(points[n, 2])
        x = math.floor((xx * px + xy * py + xz * pz + x0 - low_x) / voxel)
        y = math.floor((yx * px + yy * py + yz * pz + y0 - low_y) / voxel)
        z = math.floor((zx * px + zy * py + zz * pz + z0 - low_z) / voxel)
        if not (0 <= x < cells_x and 0 <= y < cells_y and 0 <= z < cells_z):
            continue
        cell = (int(x) * cells_y + int(y)) * cells_z + int(z)
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
