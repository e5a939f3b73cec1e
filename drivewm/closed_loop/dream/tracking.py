"""OccupancyTracker: who is who in a row of occupancy frames, and how fast; with them, boxes between the frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from drivewm.closed_loop.dream.detection import Detections, detect
from drivewm.geometry import se2, se3
from drivewm.geometry.se2 import wrap_angle
from drivewm.geometry.voxel_grid import VoxelGrid
from drivewm.simulation import AgentBoxes
from drivewm.structures.labels import OCC3D

_ALIKE = (
    ("bus", "car", "construction_vehicle", "trailer", "truck"),
    ("bicycle", "motorcycle"),
    ("pedestrian",),
    ("barrier", "others", "traffic_cone"),
)
"""Classes that a frame may take for each other; the last do not move by themselves, and stand."""
_GROUP = {OCC3D.index(name): number for number, names in enumerate(_ALIKE) for name in names}
_FASTEST_MPS = (14.0, 14.0, 3.0, 2.0)
"""Of each group: somebody whose velocity is not known yet is looked for within so much a second."""
_SURPRISE_M, _SURPRISE_MPSS = 1.5, 6.0
"""Somebody whose velocity is known is looked for around where that leads, by this and by such an acceleration."""
_OTHER_CLASS_M = 1.0
_LOOKS_BACK = 2
"""Frames. A velocity over two steps lags behind by half a second, and errs by a third of one over a single step."""
_STANDS_VOXELS = 0.25
"""What moved by less than this, and as much again for each step, stands: so far a box moves when voxels cut the thing
otherwise."""
_MISSES = 1
"""In so many frames in a row somebody may be missing and still be where its velocity leads."""
_FACES_MPS = 1.0


@dataclass
class _Track:
    """`places` are the newest centres, each seen whole and one frame after the other, with their times [us]."""

    number: int
    label: int
    box: np.ndarray
    velocity: np.ndarray
    places: list[tuple[int, np.ndarray]]
    known: bool = False
    missed: int = 0


class OccupancyTracker:
    """Sees frame after frame of one episode. Detections are matched with tracks by the least sum of distances.

    A velocity is the displacement over the last steps by their time; 0 for newcomers. What the edge of the grid cuts
    keeps the velocity that it had: its box grows when it comes in, and shrinks when it leaves.

    Args:
        grid: of the frames.
    """

    def __init__(self, grid: VoxelGrid) -> None:
        self.grid = grid
        self._tracks: list[_Track] = []
        self._next, self._time_us = 1, 0

    def update(self, occupancy: np.ndarray, T_global_ego: np.ndarray, timestamp_us: int) -> AgentBoxes:
        """All who are in `occupancy (X, Y, Z)`, seen from `T_global_ego (4, 4)`: boxes in the global frame."""
        seen, pose = detect(occupancy, self.grid), se3.to_se2(T_global_ego)
        boxes = seen.boxes.copy()
        boxes[:, [0, 1, 6]] = se2.compose(np.broadcast_to(pose, (len(boxes), 3)), boxes[:, [0, 1, 6]])
        dt_s, self._time_us = (timestamp_us - self._time_us) / 1e6, timestamp_us
        matched = self._match(boxes, seen, dt_s)
        for row, track in enumerate(self._tracks):
            if row in matched:
                self._found(track, boxes[matched[row]], seen, matched[row])
            else:
                track.missed += 1
                track.box[:2] += track.velocity * dt_s
        new = sorted(set(range(len(seen))) - set(matched.values()))
        for row in new:
            track = _Track(self._next, int(seen.label[row]), boxes[row].copy(), np.zeros(2), [])
            track.box[6] = _facing(track.box[6], pose[2])
            self._note_place(track, bool(seen.cut[row]))
            self._tracks.append(track)
            self._next += 1
        self._tracks = [t for t in self._tracks if t.missed == 0 or (t.missed <= _MISSES and self._inside(t, pose))]
        return _agents(self._tracks)

    def _match(self, boxes: np.ndarray, seen: Detections, dt_s: float) -> dict[int, int]:
        """Rows of tracks and of the detections that they are."""
        if not self._tracks or not len(seen):
            return {}
        group = np.array([_GROUP[label] for label in seen.label.tolist()])
        distance = np.full((len(self._tracks), len(seen)), np.inf)
        for row, track in enumerate(self._tracks):
            own = _GROUP[track.label]
            reach_m = _FASTEST_MPS[own] * dt_s
            if track.known:
                reach_m = min(reach_m, _SURPRISE_M + _SURPRISE_MPSS * dt_s**2 / 2)
            away = np.linalg.norm(boxes[:, :2] - track.box[:2] - track.velocity * dt_s, axis=1)
            alike = (group == own) & (away <= reach_m)
            distance[row, alike] = away[alike] + _OTHER_CLASS_M * (seen.label[alike] != track.label)
        never = 1e6
        rows, columns = linear_sum_assignment(np.where(np.isfinite(distance), distance, never))
        return {int(r): int(c) for r, c in zip(rows, columns, strict=True) if np.isfinite(distance[r, c])}

    def _found(self, track: _Track, box: np.ndarray, seen: Detections, row: int) -> None:
        heading, track.box = track.box[6], box.copy()
        self._note_place(track, bool(seen.cut[row]))
        if np.linalg.norm(track.velocity) > _FACES_MPS:
            heading = np.arctan2(*track.velocity[::-1])
        track.box[6] = _facing(box[6], heading)
        track.label, track.missed = int(seen.label[row]), 0

    def _note_place(self, track: _Track, cut: bool) -> None:
        """Where the track is now, and its velocity, if that follows."""
        if cut or track.missed:
            track.places = []
        if not cut:
            track.places = [*track.places, (self._time_us, track.box[:2].copy())][-1 - _LOOKS_BACK :]
        if len(track.places) > 1:
            (begin_us, begin), (end_us, end) = track.places[0], track.places[-1]
            stands_m = _STANDS_VOXELS * self.grid.voxel_m * len(track.places)
            moved = end - begin
            stands = np.linalg.norm(moved) < stands_m or track.label not in OCC3D.movable
            track.velocity, track.known = np.zeros(2) if stands else moved / ((end_us - begin_us) / 1e6), True

    def _inside(self, track: _Track, pose: np.ndarray) -> bool:
        """Is the track's centre where the frame would show it?"""
        local = se2.relative(pose, track.box[[0, 1, 6]])
        return bool(self.grid.to_index(np.array([local[0], local[1], track.box[2]]))[1])


def between(first: AgentBoxes, second: AgentBoxes, share: float) -> AgentBoxes:
    """Those who are in both of two successive frames, `share` of the time in (0, 1) later than the first."""
    _, before, after = np.intersect1d(first.track, second.track, return_indices=True)
    boxes = first.boxes[before] + share * (second.boxes[after] - first.boxes[before])
    turn = (second.boxes[after, 6] - first.boxes[before, 6] + np.pi / 2) % np.pi - np.pi / 2  # ends are not told apart
    boxes[:, 6] = wrap_angle(second.boxes[after, 6] - (1 - share) * turn)
    category = tuple(second.category[row] for row in after)
    rest = second.velocity[after], second.label[after], second.track[after], category, second.parked[after]
    return AgentBoxes(boxes, *rest)


def _facing(yaw: float, heading: float) -> float:
    """The yaw or its opposite, whichever is nearer to a heading."""
    return float(wrap_angle(yaw if np.cos(yaw - heading) >= 0 else yaw + np.pi))


def _agents(tracks: list[_Track]) -> AgentBoxes:
    """Categories are the names of the classes; who is parked and who only stands cannot be told."""
    return AgentBoxes(
        np.array([track.box for track in tracks]).reshape(-1, 7),
        np.array([track.velocity for track in tracks]).reshape(-1, 2),
        np.array([track.label for track in tracks], np.int64),
        np.array([track.number for track in tracks], np.int64),
        tuple(OCC3D.names[track.label] for track in tracks),
        np.zeros(len(tracks), bool),
    )
