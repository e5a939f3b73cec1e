"""The ground: which surface lies at each place of the plane z = 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.simulation import _kernels
from drivewm.simulation.lanes import LaneNet
from drivewm.simulation.streets import MAP_MARGIN_M, PARKING_WIDTH_M, ROAD_HALF_M, SIDEWALK_WIDTH_M, SIGN, Street
from drivewm.simulation.walkways import CORNER, WalkNet
from drivewm.structures.labels import OCC3D

RESOLUTION_M = 0.25
PARKING_MARGIN_M = 12.0
_CONNECTOR_HALF_M = 2.6
TERRAIN = OCC3D.index("terrain")
_DRIVEABLE = OCC3D.index("driveable_surface")
_FLAT = OCC3D.index("other_flat")


@dataclass(frozen=True)
class Ground:
    """A class raster; outside of it everything is terrain.

    Attributes:
        classes: `(H, W)` uint8 classes of `OCC3D`; H runs along global x and W along global y.
        drivable: `(H, W)` bool: road, junctions and parking strips.
        origin_m: global x, y of the lower corner [m].
        resolution_m: edge of a cell [m].
    """

    classes: np.ndarray
    drivable: np.ndarray
    origin_m: np.ndarray
    resolution_m: float = RESOLUTION_M

    def lookup(self, points: np.ndarray) -> np.ndarray:
        """Classes uint8 `(N,)` at global points `(N, 2)` [m]."""
        cell = np.floor((points - self.origin_m) / self.resolution_m).astype(np.int64)
        inside = ((cell >= 0) & (cell < self.classes.shape)).all(-1)
        cell = np.where(inside[:, None], cell, 0)
        return np.where(inside, self.classes[cell[:, 0], cell[:, 1]], np.uint8(TERRAIN)).astype(np.uint8)

    def paint(self, line: np.ndarray, radius_m: float, label: int) -> None:
        """Paint a stroke along `line (N, 2)`; later strokes cover earlier ones."""
        points = np.ascontiguousarray(line, np.float64)
        _kernels.paint_stroke(self.classes, self.origin_m, self.resolution_m, points, radius_m, label)
        covered = label == _DRIVEABLE
        if covered or label == _FLAT:
            _kernels.paint_stroke(self.drivable, self.origin_m, self.resolution_m, points, radius_m, True)


def paint_ground(nodes: np.ndarray, streets: list[Street], lanes: LaneNet, walks: WalkNet) -> Ground:
    """Terrain, on it the sidewalks, on them the parking strips, on them the roads."""
    low = nodes.min(0) - MAP_MARGIN_M
    shape = tuple(np.ceil((nodes.max(0) + MAP_MARGIN_M - low) / RESOLUTION_M).astype(int))
    ground = Ground(np.full(shape, TERRAIN, np.uint8), np.zeros(shape, bool), low)
    sidewalk = OCC3D.index("sidewalk")
    for node, position in enumerate(nodes):
        reach = max(s.trim_m[s.nodes.index(node)] for s in streets if node in s.nodes)
        ground.paint(position + np.array([[0.0, 0.0], [0.01, 0.0]]), min(reach, 13.0), sidewalk)
    for street in streets:
        for side, sign in enumerate(SIGN):
            middle = (ROAD_HALF_M + street.border_m(side)) / 2
            ground.paint(street.parallel(sign * middle), street.border_m(side) - middle, sidewalk)
    for way in np.flatnonzero(walks.kind == CORNER):
        ground.paint(walks.table.polyline(way), SIDEWALK_WIDTH_M / 2, sidewalk)
    for street in streets:
        for side, sign in enumerate(SIGN):
            if street.parking[side]:
                strip = street.parallel(sign * (ROAD_HALF_M + PARKING_WIDTH_M / 2), PARKING_MARGIN_M)
                ground.paint(strip, PARKING_WIDTH_M / 2 + 0.1, _FLAT)
    for street in streets:
        ground.paint(street.centerline, ROAD_HALF_M, _DRIVEABLE)
    for lane in np.flatnonzero(lanes.is_connector):
        ground.paint(lanes.table.polyline(lane), _CONNECTOR_HALF_M, _DRIVEABLE)
    return ground
