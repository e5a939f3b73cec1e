"""numba kernels of the traffic: poses along lanes, and what lies ahead of each vehicle."""

from __future__ import annotations

import math

import numba
import numpy as np


@numba.njit(cache=True, inline="always")
def _locate(path, current, station, length):
    """Position in `path` and station in that lane for a station measured in `path[current]`; clamped at both ends."""
    k = current
    while station < 0.0 and k > 0 and path[k - 1] >= 0:
        k -= 1
        station += length[path[k]]
    while station > length[path[k]] and k + 1 < path.shape[0] and path[k + 1] >= 0:
        station -= length[path[k]]
        k += 1
    return k, min(max(station, 0.0), length[path[k]])


@numba.njit(cache=True, inline="always")
def _sample(path, current, station, first, length, step, points, heading, speed):
    """x, y, yaw and allowed speed at a station of a vehicle's path."""
    k, station = _locate(path, current, station, length)
    lane = path[k]
    cell = station / step[lane]
    low = min(int(cell), first[lane + 1] - first[lane] - 2)
    share = cell - low
    n = first[lane] + low
    x = points[n, 0] + share * (points[n + 1, 0] - points[n, 0])
    y = points[n, 1] + share * (points[n + 1, 1] - points[n, 1])
    return x, y, heading[n] + share * (heading[n + 1] - heading[n]), speed[n + int(share + 0.5)]


@numba.njit(cache=True)
def vehicle_poses(paths, station, size, shift, slip, first, length, step, points, heading, speed, poses):
    """Write poses (N, 3) of vehicle centres: a chord between two axles that both follow the lane.

    `paths (N, K)` holds lane numbers, entry 1 being the current one; `shift (N,)` moves a vehicle to the left and
    `slip (N,)` [rad] turns it.
    """
    for i in range(paths.shape[0]):
        half = 0.3 * size[i, 0]
        x0, y0, _, _ = _sample(paths[i], 1, station[i] - half, first, length, step, points, heading, speed)
        x1, y1, _, _ = _sample(paths[i], 1, station[i] + half, first, length, step, points, heading, speed)
        yaw = math.atan2(y1 - y0, x1 - x0)
        poses[i, 0] = 0.5 * (x0 + x1) - shift[i] * math.sin(yaw)
        poses[i, 1] = 0.5 * (y0 + y1) + shift[i] * math.cos(yaw)
        poses[i, 2] = yaw + slip[i]


@numba.njit(cache=True)
def look_ahead(
    paths,
    station,
    size,
    shift,
    drift,
    settle,
    braking,
    obstacles,
    velocity,
    first,
    length,
    step,
    points,
    heading,
    speed,
    reach,
    margin,
    gap,
    lead_speed,
    allowed,
):
    """What each vehicle meets along its path within `reach` [m] of its front bumper.

    A disc of the vehicle's half width plus `margin` is swept along the path; the first of `obstacles` (M, 7)
    (x, y, z, l, w, h, yaw, moving at `velocity` (M, 2)) that it touches is the leader. Vehicle i is obstacle i.
    It keeps `shift` (N,) [m] to the left of the path, and for now `drift` (N,) more, gone within `settle` (N,) [m].
    Writes gap (N,) [m] (inf if free), lead_speed (N,) [m/s] along the path, and allowed (N,): the speed from which the
    speeds that the path allows ahead can be kept by braking with `braking (N,)` [m/s^2].
    """
    stride = 0.75
    near = np.empty(obstacles.shape[0], np.int64)
    for i in range(paths.shape[0]):
        front = station[i] + 0.5 * size[i, 0]
        radius = 0.5 * size[i, 1] + margin
        x, y, yaw, limit = _sample(paths[i], 1, station[i], first, length, step, points, heading, speed)
        count = 0
        for j in range(obstacles.shape[0]):
            # Half the reach ahead, half the reach around: a disc that holds every path of that length.
            dx, dy = obstacles[j, 0] - x, obstacles[j, 1] - y
            span = reach + 0.5 * size[i, 0] + 0.5 * obstacles[j, 3] + radius + 1.0
            if j != i and dx * dx + dy * dy < span * span:
                near[count] = j
                count += 1
        gap[i], lead_speed[i] = math.inf, 0.0
        allowed[i] = limit
        ahead = 0.0
        while ahead <= reach:
            x, y, yaw, limit = _sample(paths[i], 1, front + ahead, first, length, step, points, heading, speed)
            c, s = math.cos(yaw), math.sin(yaw)
            # Speed limits count from the middle of the vehicle.
            way = ahead + 0.5 * size[i, 0]
            allowed[i] = min(allowed[i], math.sqrt(limit * limit + 2.0 * braking[i] * way))
            left = shift[i] + drift[i] * max(1.0 - ahead / settle[i], 0.0) if settle[i] > 0.0 else shift[i]
            x, y = x - left * s, y + left * c
            for n in range(count):
                j = near[n]
                dx, dy = x - obstacles[j, 0], y - obstacles[j, 1]
                if dx * dx + dy * dy > (0.5 * obstacles[j, 3] + 0.5 * obstacles[j, 4] + radius) ** 2:
                    continue
                cj, sj = math.cos(obstacles[j, 6]), math.sin(obstacles[j, 6])
                lx, ly = cj * dx + sj * dy, cj * dy - sj * dx
                qx = min(max(lx, -0.5 * obstacles[j, 3]), 0.5 * obstacles[j, 3])
                qy = min(max(ly, -0.5 * obstacles[j, 4]), 0.5 * obstacles[j, 4])
                ex, ey = qx - lx, qy - ly
                if ex * ex + ey * ey > radius * radius:
                    continue
                # From the disc's centre to the touched point, along the path.
                onward = c * (cj * ex - sj * ey) + s * (sj * ex + cj * ey)
                found = max(ahead + onward, 0.0)
                if ahead == 0.0 and onward < -0.3:
                    continue
                if found < gap[i]:
                    gap[i] = found
                    lead_speed[i] = c * velocity[j, 0] + s * velocity[j, 1]
            if gap[i] < math.inf:
                break
            ahead += stride
