"""The way that one road user took in a recording, as a line to follow at another pace."""

from __future__ import annotations

import numpy as np

from drivewm.geometry import se2

_SPACING_M = 1.0
_BEYOND_M = 40.0  # straight on behind the end, so that who is there is still seen
_SLOWEST = 2.0
_WINDOW_M = 10.0
_STANDS = 0.5
_FADE_M = 5.0


class RecordedPath:
    """A polyline with the recorded headings and speeds by arc length.

    A tracker's boxes jitter where a vehicle stands, so points less than 1 m from the last one are left out.

    Args:
        boxes: `(T, 7)` global boxes.
        speed: `(T,)` [m/s], where `valid (T,)`.

    Attributes:
        first, last: steps at which it was recorded first and last.
        length_m: arc length at the end of the recording.
        stands_at_end: does it stand there, or was it lost while it drove?
    """

    def __init__(self, boxes: np.ndarray, speed: np.ndarray, valid: np.ndarray) -> None:
        self._steps = np.flatnonzero(valid)
        boxes, speed = boxes[self._steps], speed[self._steps]
        self.first, self.last = int(self._steps[0]), int(self._steps[-1])
        self.stands_at_end = bool(speed[-1] < _STANDS)
        self._boxes = boxes
        self._yaw = np.unwrap(boxes[:, 6])
        kept = _thin(boxes[:, :2])
        self._points = boxes[kept, :2]
        step = np.diff(self._points, axis=0)
        length = np.hypot(step[:, 0], step[:, 1])
        self._along = np.concatenate([[0.0], np.cumsum(length)])
        self.length_m = float(self._along[-1])
        ahead = step[-1] / length[-1] if len(kept) > 1 else np.array([np.cos(self._yaw[-1]), np.sin(self._yaw[-1])])
        self._points = np.concatenate([self._points, self._points[-1:] + _BEYOND_M * ahead])
        self._along = np.append(self._along, self.length_m + _BEYOND_M)
        self._height, self._heading = (np.append(v[kept], v[kept[-1]]) for v in (boxes[:, 2], self._yaw))
        self._tangent = np.diff(self._points, axis=0) / np.diff(self._along)[:, None]
        self._station = self._stations(kept)
        self._desired = self._speed_profile(speed)

    def _stations(self, kept: np.ndarray) -> np.ndarray:
        """Arc length of each recorded box: on the piece of the line that was drawn while it was there."""
        piece = np.searchsorted(kept, np.arange(len(self._boxes)), side="right") - 1
        along = ((self._boxes[:, :2] - self._points[piece]) * self._tangent[piece]).sum(-1)
        length = np.where(piece < len(kept) - 1, np.diff(self._along)[piece], 0.0)
        return np.maximum.accumulate(self._along[piece] + np.clip(along, 0.0, length))

    def _speed_profile(self, speed: np.ndarray) -> np.ndarray:
        """Desired speed at every metre: the highest recorded one within 10 m, so that nobody wishes to stand."""
        metres = np.arange(int(self.length_m) + 2.0)
        near = np.abs(metres[:, None] - self._station) <= _WINDOW_M
        return np.maximum(np.where(near, speed, 0.0).max(1), _SLOWEST)

    def desired_speed(self, station: float) -> float:
        """At an arc length [m/s]."""
        return float(np.interp(station, np.arange(len(self._desired)), self._desired))

    def station_at(self, step: int) -> float:
        """Arc length where it was recorded at a step [m]; between recorded steps, interpolated."""
        return float(np.interp(step, self._steps, self._station))

    def recorded(self, step: int) -> np.ndarray:
        """`(4,)` recorded x, y, z, yaw at a step; between recorded steps, interpolated."""
        columns = (*self._boxes[:, :3].T, self._yaw)
        return np.array([np.interp(step, self._steps, column) for column in columns])

    def pose(self, station: float, offset: np.ndarray | None = None, driven_m: float = 0.0) -> np.ndarray:
        """`(4,)` x, y, z, yaw on the line, plus an `offset (4,)` that fades with the way driven since [m]."""
        columns = (*self._points.T, self._height, self._heading)
        pose = np.array([np.interp(station, self._along, column) for column in columns])
        return pose if offset is None else pose + offset * np.exp(-driven_m / _FADE_M)

    def tangent(self, station: np.ndarray) -> np.ndarray:
        """Unit driving directions `(..., 2)` at arc lengths `(...)`."""
        piece = np.searchsorted(self._along, station, side="right") - 1
        return self._tangent[np.clip(piece, 0, len(self._tangent) - 1)]

    def project(self, points: np.ndarray, low_m: float, high_m: float) -> tuple[np.ndarray, np.ndarray]:
        """Arc length and distance to the left `(N,)` [m] of `points (N, 2)`, by the nearest place of a stretch.

        What lies before or behind the stretch, rather than beside it, gets an infinite distance.
        """
        begin, end = np.searchsorted(self._along, [low_m, high_m])
        pieces = slice(max(int(begin) - 1, 0), max(int(end), 1))
        (start_x, start_y), (ahead_x, ahead_y) = self._points[:-1][pieces].T, self._tangent[pieces].T
        along, length = self._along[:-1][pieces], np.diff(self._along)[pieces]
        x, y = points[:, :1] - start_x, points[:, 1:] - start_y
        forward, left = x * ahead_x + y * ahead_y, y * ahead_x - x * ahead_y
        on_line = np.clip(forward, 0.0, length)
        distance2 = left**2 + (forward - on_line) ** 2
        nearest = np.argmin(distance2, axis=1)
        row = np.arange(len(points))
        side = np.where(left[row, nearest] >= 0, 1.0, -1.0) * np.sqrt(distance2[row, nearest])
        before = (nearest == 0) & (forward[:, 0] < 0)
        behind = (nearest == len(along) - 1) & (forward[:, -1] > length[-1])
        return along[nearest] + on_line[row, nearest], np.where(before | behind, np.inf, side)


def offset_from(line_pose: np.ndarray, recorded: np.ndarray) -> np.ndarray:
    """What is to be added to `line_pose (4,)` to get `recorded (4,)`; the yaw is wrapped."""
    offset = recorded - line_pose
    offset[3] = se2.wrap_angle(offset[3])
    return offset


def _thin(xy: np.ndarray) -> np.ndarray:
    """Numbers of the points that are at least 1 m from the one kept before, of the first and of the last."""
    kept = [0]
    for number in range(1, len(xy)):
        if np.hypot(*(xy[number] - xy[kept[-1]])) >= _SPACING_M:
            kept.append(number)
    if len(kept) > 1:
        kept[-1] = len(xy) - 1
    return np.array(kept)
