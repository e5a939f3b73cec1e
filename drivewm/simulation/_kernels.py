"""numba kernels of the sensors and labels. Their readable twins are in `reference`."""

from __future__ import annotations

import math

import numba
import numpy as np

# Voxels are tested as closed cubes, grown by this much [m]: a return on a face must find its voxel occupied.
TOUCH_M = 1e-4


@numba.njit(cache=True)
def paint_stroke(raster, origin, cell, points, radius, value):
    """Set all cells of `raster (H, W)` whose centre is within `radius` [m] of the polyline `points (N, 2)`."""
    height, width = raster.shape
    for n in range(points.shape[0] - 1):
        ax, ay = points[n, 0] - origin[0], points[n, 1] - origin[1]
        dx, dy = points[n + 1, 0] - points[n, 0], points[n + 1, 1] - points[n, 1]
        length2 = max(dx * dx + dy * dy, 1e-12)
        i0 = max(int(math.floor((min(ax, ax + dx) - radius) / cell)), 0)
        i1 = min(int(math.floor((max(ax, ax + dx) + radius) / cell)) + 1, height)
        j0 = max(int(math.floor((min(ay, ay + dy) - radius) / cell)), 0)
        j1 = min(int(math.floor((max(ay, ay + dy) + radius) / cell)) + 1, width)
        for i in range(i0, i1):
            px = (i + 0.5) * cell - ax
            for j in range(j0, j1):
                py = (j + 0.5) * cell - ay
                t = min(max((px * dx + py * dy) / length2, 0.0), 1.0)
                ex, ey = px - t * dx, py - t * dy
                if ex * ex + ey * ey <= radius * radius:
                    raster[i, j] = value


@numba.njit(cache=True)
def paint_band(raster, origin, cell, points, half_width, fresh):
    """Set how much of each cell of `raster (H, W)` lies beside the polyline within `half_width` [m], 0 to 255.

    Ends are blunt. More covers less; where not `fresh`, the band is wiped instead.
    """
    height, width = raster.shape
    last = points.shape[0] - 2
    for n in range(last + 1):
        ax, ay = points[n, 0] - origin[0], points[n, 1] - origin[1]
        dx, dy = points[n + 1, 0] - points[n, 0], points[n + 1, 1] - points[n, 1]
        length, reach = max(math.sqrt(dx * dx + dy * dy), 1e-9), half_width + cell
        # Inner joints overlap a little, so that bends have no gaps.
        begin, end = 0.0 if n == 0 else -half_width, length if n == last else length + half_width
        i0 = max(int(math.floor((min(ax, ax + dx) - reach) / cell)), 0)
        i1 = min(int(math.floor((max(ax, ax + dx) + reach) / cell)) + 1, height)
        j0 = max(int(math.floor((min(ay, ay + dy) - reach) / cell)), 0)
        j1 = min(int(math.floor((max(ay, ay + dy) + reach) / cell)) + 1, width)
        for i in range(i0, i1):
            px = (i + 0.5) * cell - ax
            for j in range(j0, j1):
                py = (j + 0.5) * cell - ay
                along, across = (px * dx + py * dy) / length, (py * dx - px * dy) / length
                inside = min(along - begin, end - along, half_width - abs(across)) / cell + 0.5
                if inside > 0.0:
                    share = np.uint8(255.0 * min(inside, 1.0))
                    raster[i, j] = max(raster[i, j], share) if fresh else min(raster[i, j], 255 - share)


@numba.njit(cache=True, inline="always")
def _hit_box(ox, oy, oz, dx, dy, dz, box):
    """Distance to a box x, y, z, l, w, h, cos, sin and the cosine of incidence; inf if missed. Starts outside."""
    px, py = ox - box[0], oy - box[1]
    lx, ly, lz = box[6] * px + box[7] * py, -box[7] * px + box[6] * py, oz - box[2]
    ux, uy = box[6] * dx + box[7] * dy, -box[7] * dx + box[6] * dy
    near, far, cosine = -math.inf, math.inf, 1.0
    for axis in range(3):
        p, u = (lx, ux) if axis == 0 else ((ly, uy) if axis == 1 else (lz, dz))
        half = 0.5 * box[3 + axis]
        if abs(u) < 1e-12:
            if abs(p) > half:
                return math.inf, 1.0
        else:
            a, b = (-half - p) / u, (half - p) / u
            if a > b:
                a, b = b, a
            if a > near:
                near, cosine = a, abs(u)
            far = min(far, b)
    if near > far or near <= 0.0:
        return math.inf, 1.0
    return near, cosine


@numba.njit(cache=True, inline="always")
def _hit_cylinder(ox, oy, oz, dx, dy, dz, body):
    """The same for an upright cylinder x, y, z_low, z_high, radius."""
    px, py, radius = ox - body[0], oy - body[1], body[4]
    a, b, c = dx * dx + dy * dy, px * dx + py * dy, px * px + py * py - radius * radius
    best, cosine = math.inf, 1.0
    discriminant = b * b - a * c
    if a < 1e-12 or discriminant < 0.0:
        return best, cosine
    t = (-b - math.sqrt(discriminant)) / a
    if t > 0.0:
        z = oz + t * dz
        if body[2] <= z <= body[3]:
            return t, abs((px + t * dx) * dx + (py + t * dy) * dy) / radius
    if dz != 0.0:
        t = ((body[3] if dz < 0.0 else body[2]) - oz) / dz
        if t > 0.0:
            ex, ey = px + t * dx, py + t * dy
            if ex * ex + ey * ey <= radius * radius:
                return t, abs(dz)
    return best, cosine


@numba.njit(cache=True, inline="always")
def _hit_ellipsoid(ox, oy, oz, dx, dy, dz, body):
    """The same for an ellipsoid x, y, z, horizontal radius, vertical radius."""
    px, py, pz = (ox - body[0]) / body[3], (oy - body[1]) / body[3], (oz - body[2]) / body[4]
    ux, uy, uz = dx / body[3], dy / body[3], dz / body[4]
    a, b, c = ux * ux + uy * uy + uz * uz, px * ux + py * uy + pz * uz, px * px + py * py + pz * pz - 1.0
    discriminant = b * b - a * c
    if discriminant < 0.0:
        return math.inf, 1.0
    t = (-b - math.sqrt(discriminant)) / a
    if t <= 0.0:
        return math.inf, 1.0
    nx, ny, nz = (px + t * ux) / body[3], (py + t * uy) / body[3], (pz + t * uz) / body[4]
    return t, abs(nx * dx + ny * dy + nz * dz) / math.sqrt(nx * nx + ny * ny + nz * nz)


@numba.njit(cache=True)
def _azimuth_span(ox, oy, kind, body, span):
    """Write centre azimuth, half width [rad] and nearest distance [m] of a body's footprint seen from (ox, oy)."""
    dx, dy = body[0] - ox, body[1] - oy
    distance, center = math.hypot(dx, dy), math.atan2(dy, dx)
    if kind == 0:
        radius = 0.5 * math.hypot(body[3], body[4])
    else:
        radius = body[4] if kind == 1 else body[3]
    span[0], span[2] = center, distance - radius
    if distance <= radius + 1e-6:
        span[1] = math.pi
    elif kind == 0:
        half = 0.0
        for k in range(4):
            along = 0.5 * body[3] * (1.0 if k < 2 else -1.0)
            across = 0.5 * body[4] * (1.0 if k % 2 == 0 else -1.0)
            cx = dx + along * body[6] - across * body[7]
            cy = dy + along * body[7] + across * body[6]
            turn = math.atan2(cy, cx) - center
            half = max(half, abs((turn + math.pi) % (2.0 * math.pi) - math.pi))
        span[1] = half
    else:
        span[1] = math.asin(radius / distance)


@numba.njit(cache=True)
def cast(origin, directions, boxes, cylinders, ellipsoids, max_range, sectors, depth, body_index, cosine):
    """First body along each ray from one origin, or the ground plane z = 0.

    Bodies are binned into azimuth sectors first. Writes depth (R,), cosine of incidence (R,) and body_index (R,):
    boxes, then cylinders, then ellipsoids are counted through; -1 is nothing within max_range and -2 the ground.
    """
    ox, oy, oz = origin[0], origin[1], origin[2]
    n_box, n_cyl, n_ell = boxes.shape[0], cylinders.shape[0], ellipsoids.shape[0]
    total = n_box + n_cyl + n_ell
    width = 2.0 * math.pi / sectors
    first, count = np.zeros(total, np.int64), np.zeros(total, np.int64)
    near = np.zeros(total)
    offsets, span = np.zeros(sectors + 1, np.int64), np.zeros(3)
    for k in range(total):
        if k < n_box:
            _azimuth_span(ox, oy, 0, boxes[k], span)
        elif k < n_box + n_cyl:
            _azimuth_span(ox, oy, 1, cylinders[k - n_box], span)
        else:
            _azimuth_span(ox, oy, 2, ellipsoids[k - n_box - n_cyl], span)
        near[k] = span[2]
        if span[2] > max_range:
            continue
        low = int(math.floor((span[0] - span[1] - 1e-9 + math.pi) / width))
        high = int(math.floor((span[0] + span[1] + 1e-9 + math.pi) / width))
        first[k], count[k] = low, min(high - low + 1, sectors)
        for s in range(count[k]):
            offsets[(low + s) % sectors + 1] += 1
    for s in range(sectors):
        offsets[s + 1] += offsets[s]
    fill, members = offsets[:-1].copy(), np.empty(offsets[sectors], np.int64)
    for k in range(total):
        for s in range(count[k]):
            sector = (first[k] + s) % sectors
            members[fill[sector]] = k
            fill[sector] += 1

    for r in range(directions.shape[0]):
        dx, dy, dz = directions[r, 0], directions[r, 1], directions[r, 2]
        best, best_body, best_cosine = max_range, -1, 1.0
        if dz < 0.0 and -oz / dz < best:
            best, best_body, best_cosine = -oz / dz, -2, -dz
        flat = math.sqrt(dx * dx + dy * dy)
        sector = int((math.atan2(dy, dx) + math.pi) / width) % sectors
        for m in range(offsets[sector], offsets[sector + 1]):
            k = members[m]
            if near[k] > best * flat:
                continue
            if k < n_box:
                t, c = _hit_box(ox, oy, oz, dx, dy, dz, boxes[k])
            elif k < n_box + n_cyl:
                t, c = _hit_cylinder(ox, oy, oz, dx, dy, dz, cylinders[k - n_box])
            else:
                t, c = _hit_ellipsoid(ox, oy, oz, dx, dy, dz, ellipsoids[k - n_box - n_cyl])
            if t < best:
                best, best_body, best_cosine = t, k, c
        depth[r] = best if best_body != -1 else math.inf
        body_index[r], cosine[r] = best_body, best_cosine


@numba.njit(cache=True, inline="always")
def _cells(low, high, origin, voxel, size):
    """Half-open range of cells that the interval [low, high] touches."""
    first = int(math.floor((low - TOUCH_M - origin) / voxel))
    last = int(math.floor((high + TOUCH_M - origin) / voxel))
    return max(first, 0), min(last + 1, size)


@numba.njit(cache=True)
def fill_boxes(labels, origin, voxel, boxes, classes):
    """Label all voxels that a box x, y, z, l, w, h, cos, sin touches (separating axes of rectangle and square)."""
    for k in range(boxes.shape[0]):
        x, y, z, length, width, height, c, s = boxes[k]
        rx, ry = 0.5 * (abs(c) * length + abs(s) * width), 0.5 * (abs(s) * length + abs(c) * width)
        i0, i1 = _cells(x - rx, x + rx, origin[0], voxel, labels.shape[0])
        j0, j1 = _cells(y - ry, y + ry, origin[1], voxel, labels.shape[1])
        k0, k1 = _cells(z - 0.5 * height, z + 0.5 * height, origin[2], voxel, labels.shape[2])
        # Half extent of a cell on the box's axes, for the other two separating axes.
        reach = 0.5 * voxel * (abs(c) + abs(s)) + TOUCH_M
        for i in range(i0, i1):
            px = origin[0] + (i + 0.5) * voxel - x
            for j in range(j0, j1):
                py = origin[1] + (j + 0.5) * voxel - y
                if abs(c * px + s * py) <= 0.5 * length + reach and abs(c * py - s * px) <= 0.5 * width + reach:
                    for m in range(k0, k1):
                        labels[i, j, m] = classes[k]


@numba.njit(cache=True)
def fill_round(labels, origin, voxel, bodies, upright, classes):
    """Label all voxels that a cylinder (x, y, z_low, z_high, radius) or ellipsoid (x, y, z, radius, z_radius) touches.

    Nearest point of the cell to the axis or centre; an ellipsoid is a sphere after scaling z.
    """
    for k in range(bodies.shape[0]):
        x, y = bodies[k, 0], bodies[k, 1]
        if upright[k]:
            radius, low, high, middle, scale = bodies[k, 4], bodies[k, 2], bodies[k, 3], 0.0, 0.0
        else:
            radius, middle, scale = bodies[k, 3], bodies[k, 2], bodies[k, 3] / bodies[k, 4]
            low, high = middle - bodies[k, 4], middle + bodies[k, 4]
        i0, i1 = _cells(x - radius, x + radius, origin[0], voxel, labels.shape[0])
        j0, j1 = _cells(y - radius, y + radius, origin[1], voxel, labels.shape[1])
        k0, k1 = _cells(low, high, origin[2], voxel, labels.shape[2])
        limit = (radius + TOUCH_M) ** 2
        for i in range(i0, i1):
            ex = max(abs(origin[0] + (i + 0.5) * voxel - x) - 0.5 * voxel, 0.0)
            for j in range(j0, j1):
                ey = max(abs(origin[1] + (j + 0.5) * voxel - y) - 0.5 * voxel, 0.0)
                flat = ex * ex + ey * ey
                if flat > limit:
                    continue
                for m in range(k0, k1):
                    ez = scale * max(abs(origin[2] + (m + 0.5) * voxel - middle) - 0.5 * voxel, 0.0)
                    if flat + ez * ez <= limit:
                        labels[i, j, m] = classes[k]


@numba.njit(cache=True)
def fill_ground(labels, origin, voxel, pose, raster, raster_origin, cell, outside):
    """Label the layer that holds z = 0 with the raster's class under each cell's centre."""
    layer = int(math.floor(-origin[2] / voxel))
    if layer < 0 or layer >= labels.shape[2]:
        return
    c, s = math.cos(pose[2]), math.sin(pose[2])
    for i in range(labels.shape[0]):
        x = origin[0] + (i + 0.5) * voxel
        for j in range(labels.shape[1]):
            y = origin[1] + (j + 0.5) * voxel
            a = int(math.floor((pose[0] + c * x - s * y - raster_origin[0]) / cell))
            b = int(math.floor((pose[1] + s * x + c * y - raster_origin[1]) / cell))
            inside = 0 <= a < raster.shape[0] and 0 <= b < raster.shape[1]
            labels[i, j, layer] = raster[a, b] if inside else outside
