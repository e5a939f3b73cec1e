"""The ground: which surface lies at each place of the plane z = 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.simulation import _kernels, paths
from drivewm.simulation.lanes import LaneNet
from drivewm.simulation.streets import LANE_WIDTH_M, MAP_MARGIN_M, PARKING_WIDTH_M, SIDEWALK_WIDTH_M, SIGN, Street
from drivewm.simulation.walkways import CORNER, CROSSING_WIDTH_M, WalkNet
from drivewm.structures.labels import OCC3D

RESOLUTION_M = 0.25
PARKING_MARGIN_M = 12.0
PARKING_BAY_M = 6.4
CONNECTOR_HALF_M = 2.6
CORNER_REACH_M = 13.0
TERRAIN, _SIDEWALK = OCC3D.index("terrain"), OCC3D.index("sidewalk")
_DRIVEABLE, _FLAT = OCC3D.index("driveable_surface"), OCC3D.index("other_flat")
DRIVABLE = (_DRIVEABLE, _FLAT)
"""Where vehicles may be: the roads, and the parking strips, which Occ3D calls other flat."""

MARKING_RESOLUTION_M = 0.125
_LINE_HALF_M = 0.09
_DASH_M, _DASH_EVERY_M = 3.0, 9.0
_EDGE_INSET_M = 0.3
_BAR_HALF_M, _BAR_EVERY_M = 0.25, 1.0
_STOP_LINE_HALF_M, _STOP_LINE_BEFORE_M = 0.2, 1.2


@dataclass(frozen=True)
class Ground:
    """A class raster; outside of it everything is terrain.

    Attributes:
        classes: `(H, W)` uint8 classes of `OCC3D`; H runs along global x and W along global y.
        drivable: `(H, W)` bool: road, junctions and parking strips.
        origin_m: global x, y of the lower corner [m].
        marking: `(H', W')` uint8 share of white paint, 0 to 255, from the same corner in finer cells.
        resolution_m, marking_resolution_m: edge of a cell [m].
    """

    classes: np.ndarray
    drivable: np.ndarray
    origin_m: np.ndarray
    marking: np.ndarray
    resolution_m: float = RESOLUTION_M
    marking_resolution_m: float = MARKING_RESOLUTION_M

    def lookup(self, points: np.ndarray) -> np.ndarray:
        """Classes uint8 `(N,)` at global points `(N, 2)` [m]."""
        return self._at(points, self.classes, self.resolution_m, TERRAIN)

    def is_marked(self, points: np.ndarray) -> np.ndarray:
        """Which global points `(N, 2)` [m] lie on white paint: bool `(N,)`."""
        return self._at(points, self.marking, self.marking_resolution_m, 0) > 127

    def _at(self, points: np.ndarray, raster: np.ndarray, resolution_m: float, outside: int) -> np.ndarray:
        cell = np.floor((points - self.origin_m) / resolution_m).astype(np.int64)
        inside = ((cell >= 0) & (cell < raster.shape)).all(-1)
        cell = np.where(inside[:, None], cell, 0)
        return np.where(inside, raster[cell[:, 0], cell[:, 1]], np.uint8(outside)).astype(np.uint8)

    def paint(self, stroke: Stroke) -> None:
        """Paint a stroke; later strokes cover earlier ones."""
        points = np.ascontiguousarray(stroke.line, np.float64)
        place = (self.origin_m, self.resolution_m, points, stroke.radius_m)
        _kernels.paint_stroke(self.classes, *place, stroke.label)
        if stroke.label in DRIVABLE:
            _kernels.paint_stroke(self.drivable, *place, True)

    def mark(self, line: np.ndarray, half_width_m: float, fresh: bool = True) -> None:
        """Mark a white line `(N, 2)` with blunt ends, or wipe what is there if not `fresh`."""
        points = np.ascontiguousarray(line, np.float64)
        _kernels.paint_band(self.marking, self.origin_m, self.marking_resolution_m, points, half_width_m, fresh)


@dataclass(frozen=True)
class Stroke:
    """A surface that lies within `radius_m` of a `line (N, 2)` [m, global]."""

    line: np.ndarray
    radius_m: float
    label: int


def surface_strokes(nodes: np.ndarray, streets: list[Street], lanes: LaneNet, walks: WalkNet) -> list[Stroke]:
    """All surfaces but terrain, later ones covering earlier ones: sidewalks, parking strips, roads."""
    strokes = []
    for node, position in enumerate(nodes):
        reach = max(s.trim_m[s.nodes.index(node)] for s in streets if node in s.nodes)
        dot = position + np.array([[0.0, 0.0], [0.01, 0.0]])
        strokes.append(Stroke(dot, min(reach, CORNER_REACH_M), _SIDEWALK))
    for street in streets:
        for side, sign in enumerate(SIGN):
            middle = (street.half_m + street.border_m(side)) / 2
            strokes.append(Stroke(street.parallel(sign * middle), street.border_m(side) - middle, _SIDEWALK))
    for way in np.flatnonzero(walks.kind == CORNER):
        strokes.append(Stroke(walks.table.polyline(way), SIDEWALK_WIDTH_M / 2, _SIDEWALK))
    for street in streets:
        for side, sign in enumerate(SIGN):
            if street.parking[side]:
                strip = street.parallel(sign * (street.half_m + PARKING_WIDTH_M / 2), PARKING_MARGIN_M)
                strokes.append(Stroke(strip, PARKING_WIDTH_M / 2 + 0.1, _FLAT))
    for street in streets:
        strokes.append(Stroke(street.parallel(0.0), street.half_m, _DRIVEABLE))
        for node in street.nodes:
            strokes.append(Stroke(*junction_arm(streets, street, node), _DRIVEABLE))
    for lane in np.flatnonzero(lanes.is_connector):
        strokes.append(Stroke(lanes.table.polyline(lane), CONNECTOR_HALF_M, _DRIVEABLE))
    return strokes


def junction_arm(streets: list[Street], street: Street, node: int) -> tuple[np.ndarray, float]:
    """Middle line `(N, 2)` of a street inside its junction, from the centre outwards, and half its width there [m].

    It is no wider than what it meets, or it would come out on the far side.
    """
    end = street.nodes.index(node)
    line = street.centerline if end == 0 else street.centerline[::-1]
    others = [s.half_m for s in streets if node in s.nodes and s is not street]
    return paths.trim(line, 0.0, street.length_m - street.trim_m[end]), min(street.half_m, max(others))


def paint_ground(nodes: np.ndarray, streets: list[Street], lanes: LaneNet, walks: WalkNet) -> Ground:
    """The surfaces on terrain, and the marks on the roads."""
    low = nodes.min(0) - MAP_MARGIN_M
    shape = tuple(np.ceil((nodes.max(0) + MAP_MARGIN_M - low) / RESOLUTION_M).astype(int))
    finer = round(RESOLUTION_M / MARKING_RESOLUTION_M)
    marking = np.zeros((shape[0] * finer, shape[1] * finer), np.uint8)
    ground = Ground(np.full(shape, TERRAIN, np.uint8), np.zeros(shape, bool), low, marking)
    for stroke in surface_strokes(nodes, streets, lanes, walks):
        ground.paint(stroke)
    for street in streets:
        _mark_street(ground, street)
    over = dict(zip(walks.crossing.tolist(), walks.street.tolist(), strict=True))
    for crossing, (pose, half_m) in enumerate(zip(walks.crossing_pose, walks.crossing_half_m, strict=True)):
        _mark_crossing(ground, pose, half_m, streets[over[crossing]].half_m)
    return ground


def _mark_street(ground: Ground, street: Street) -> None:
    """Dashed lines between the lanes, a line at both edges of the road, and the bays of parking strips.

    Between the directions of a street with several lanes the line is unbroken.
    """
    for number in range(1 - street.lanes, street.lanes):
        line = street.parallel(number * LANE_WIDTH_M)
        if number == 0 and street.lanes > 1:
            ground.mark(line, _LINE_HALF_M)
            continue
        for start in np.arange(1.0, len(line) * paths.SPACING_M - _DASH_M, _DASH_EVERY_M):
            first, last = (round(station / paths.SPACING_M) for station in (start, start + _DASH_M))
            ground.mark(line[first : last + 1], _LINE_HALF_M)
    for side, sign in enumerate(SIGN):
        ground.mark(street.parallel(sign * (street.half_m - _EDGE_INSET_M)), _LINE_HALF_M)
        if street.parking[side]:
            near, far = (street.parallel(sign * m, PARKING_MARGIN_M) for m in (street.half_m, street.kerb_m(side)))
            for station in np.arange(0.3, (len(near) - 1) * paths.SPACING_M, PARKING_BAY_M):
                cell = round(station / paths.SPACING_M)
                ground.mark(np.stack([near[cell], far[cell]]), _LINE_HALF_M)


def _mark_crossing(ground: Ground, pose: np.ndarray, half_m: float, road_half_m: float) -> None:
    """Zebra stripes, and on both sides a line where vehicles stop; other lines end there."""
    along = np.array([np.cos(pose[2]), np.sin(pose[2])])
    left = np.array([-along[1], along[0]])
    reach = CROSSING_WIDTH_M / 2 + _STOP_LINE_BEFORE_M

    def line(ahead, ahead_end, beside, beside_end):
        return pose[:2] + np.array([ahead * along + beside * left, ahead_end * along + beside_end * left])

    ground.mark(line(-reach, reach, 0.0, 0.0), half_m, fresh=False)
    for beside in np.arange(_BAR_EVERY_M / 2, road_half_m - _BAR_HALF_M, _BAR_EVERY_M):
        for side in SIGN:
            ground.mark(line(-CROSSING_WIDTH_M / 2, CROSSING_WIDTH_M / 2, side * beside, side * beside), _BAR_HALF_M)
    for side in SIGN:  # traffic keeps to the right: it comes from behind on the right of the middle
        ahead, kerb = side * reach, side * (road_half_m - _EDGE_INSET_M)
        ground.mark(line(ahead, ahead, side * 0.3, kerb), _STOP_LINE_HALF_M)
