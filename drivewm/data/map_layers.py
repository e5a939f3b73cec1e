"""The shapes of a town's map: lines along streets, polygons of its layers, centrelines as chains of arcs."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from shapely import LineString, MultiPolygon, Point, Polygon, unary_union
from shapely.geometry.base import BaseGeometry

from drivewm.simulation import Town
from drivewm.simulation.ground import CONNECTOR_HALF_M, junction_arm, surface_strokes
from drivewm.simulation.streets import LANE_WIDTH_M, Street
from drivewm.simulation.walkways import CROSSING_WIDTH_M

LINE_TOLERANCE_M = 0.02
"""How far a line of the map may be from the town's."""

_SLIVER_M2 = 0.5
_CAP_M = 0.5
_STRAIGHT_RAD = 1e-4
_STRAIGHT_RADIUS_M = 999.999
_SHORTEST_ARC_M = 1e-3


@dataclass(frozen=True)
class Arc:
    """A piece of a centreline: an arc of a circle, or a straight piece.

    Attributes:
        start, end: poses x, y [m], yaw [rad].
        curvature: [1/m], positive to the left, 0 for straight.
        length_m: along the arc.
    """

    start: tuple[float, float, float]
    end: tuple[float, float, float]
    curvature: float
    length_m: float

    def path(self) -> dict:
        """The row of `arcline_path_3`: arc, straight piece, arc, of which one has a length."""
        lengths = [0.0, 0.0, 0.0]
        lengths[0 if self.curvature else 1] = round(self.length_m, 5)
        return {
            "start_pose": [round(v, 6) for v in self.start],
            "end_pose": [round(v, 6) for v in self.end],
            "shape": "RSR" if self.curvature < 0 else "LSL",
            "radius": round(1.0 / abs(self.curvature), 5) if self.curvature else _STRAIGHT_RADIUS_M,
            "segment_length": lengths,
        }

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Distances `(N,)` [m] of points `(N, 2)` beside the arc."""
        x, y, yaw = self.start
        along, left = self._local(points - [x, y], yaw)
        if not self.curvature:
            return np.abs(left)
        radius = 1.0 / self.curvature
        return np.abs(np.hypot(along, left - radius) - abs(radius))

    @staticmethod
    def _local(offset, yaw):
        cos, sin = math.cos(yaw), math.sin(yaw)
        return offset[:, 0] * cos + offset[:, 1] * sin, offset[:, 1] * cos - offset[:, 0] * sin


def arc_chain(line: np.ndarray, tolerance_m: float = LINE_TOLERANCE_M) -> list[Arc]:
    """A polyline `(N, 2)` [m] as arcs that begin where the last one ended, in its direction.

    Each piece between two points of the line is a biarc that has the line's headings there; where it leaves the line
    by more than `tolerance_m`, the piece is halved.
    """
    step = np.gradient(line, axis=0, edge_order=2 if len(line) > 2 else 1)
    heading = np.unwrap(np.arctan2(step[:, 1], step[:, 0]))
    chain: list[Arc] = []
    waiting = [(0, len(line) - 1)]
    while waiting:
        low, high = waiting.pop()
        arcs = _biarc(line[low], heading[low], line[high], heading[high])
        inner = line[low + 1 : high]
        if len(inner) and np.min([arc.distance(inner) for arc in arcs], axis=0).max() > tolerance_m:
            middle = (low + high) // 2
            waiting += [(middle, high), (low, middle)]
        else:
            chain += arcs
    return chain


def _biarc(start: np.ndarray, start_yaw: float, end: np.ndarray, end_yaw: float) -> list[Arc]:
    """Two arcs from one pose to another, whose arms are of equal length; one, where it does."""
    single = _arc(start, start_yaw, end)
    if abs(math.remainder(single.end[2] - end_yaw, 2 * math.pi)) < _STRAIGHT_RAD:
        return [single]
    chord = end - start
    leave, arrive = (np.array([math.cos(yaw), math.sin(yaw)]) for yaw in (start_yaw, end_yaw))
    along, turned = float(chord @ (leave + arrive)), 1.0 - float(leave @ arrive)
    distance2 = float(chord @ chord)
    # The arm d solves |chord|^2 = 2 d chord.(leave + arrive) + 2 d^2 (1 - leave.arrive).
    arm = distance2 / (along + math.sqrt(along**2 + 2.0 * turned * distance2))
    joint = (start + end + arm * (leave - arrive)) / 2.0
    first = _arc(start, start_yaw, joint)
    return [first, _arc(joint, first.end[2], end)]


def _arc(start: np.ndarray, yaw: float, end: np.ndarray) -> Arc:
    """The arc that leaves a pose and reaches a point."""
    chord = end - start
    half = math.remainder(math.atan2(chord[1], chord[0]) - yaw, 2 * math.pi)
    distance = float(np.hypot(*chord))
    straight = abs(half) < _STRAIGHT_RAD
    curvature = 0.0 if straight else 2.0 * math.sin(half) / distance
    length = distance if straight else distance * half / math.sin(half)
    leave, reach = (math.remainder(v, 2 * math.pi) for v in (yaw, yaw if straight else yaw + 2.0 * half))
    return Arc((*start.tolist(), leave), (*end.tolist(), reach), curvature, max(length, _SHORTEST_ARC_M))


def simplified(line: np.ndarray) -> np.ndarray:
    """A polyline `(N, 2)` with the points that its shape needs; both ends stay."""
    return np.array(LineString(line).simplify(LINE_TOLERANCE_M).coords)


def parallel(street: Street, left_m: float, margin_m: float = 0.0) -> np.ndarray:
    """A line along the street between its junctions, `left_m` beside its middle, simplified."""
    return simplified(street.parallel(left_m, margin_m))


def band(street: Street, first_m: float, second_m: float, margin_m: float = 0.0) -> np.ndarray:
    """Ring `(N, 2)` between two parallels of a street: along the first and back along the second."""
    return np.concatenate([parallel(street, first_m, margin_m), parallel(street, second_m, margin_m)[::-1]])


def cross_section(street: Street) -> tuple[float, ...]:
    """Where the lines along a street lie, from left to right of its middle [m]: edges of the road and of its lanes."""
    lanes = [LANE_WIDTH_M * k for k in range(street.lanes, -street.lanes - 1, -1)]
    return (street.half_m, *lanes, -street.half_m)


def section(street: Street, end: int, lefts_m: tuple[float, ...]) -> np.ndarray:
    """Points `(N, 2)` across the street where its junction at `end` begins."""
    return np.array([street.parallel(left)[-end] for left in lefts_m])


def strip(line: np.ndarray, width_m: float) -> np.ndarray:
    """Ring `(N, 2)` of what lies within half a width of a line, with ends square to it."""
    step = np.gradient(line, axis=0, edge_order=2 if len(line) > 2 else 1)
    normal = np.stack([-step[:, 1], step[:, 0]], axis=-1) / np.linalg.norm(step, axis=1, keepdims=True)
    sides = [simplified(line + side * width_m / 2 * normal) for side in (1, -1)]
    return np.concatenate([sides[0], sides[1][::-1]])


def polygons(shape: BaseGeometry) -> list[Polygon]:
    """The polygons of a shape, simplified, from left to right; slivers are left out, also among the holes."""
    found = []
    for part in shape.geoms if isinstance(shape, MultiPolygon) else [shape]:
        if part.area > _SLIVER_M2:
            holes = [hole for hole in part.interiors if Polygon(hole).area > _SLIVER_M2]
            found.append(Polygon(part.exterior, holes).simplify(LINE_TOLERANCE_M))
    return sorted(found, key=lambda part: part.bounds)


def surface(town: Town, labels: Collection[int]) -> BaseGeometry:
    """Where the town's ground was painted with one of these classes, also where others cover it."""
    strokes = surface_strokes(town.nodes, town.streets, town.lanes, town.walks)
    return unary_union([LineString(s.line).buffer(s.radius_m) for s in strokes if s.label in labels])


def crossing(town: Town, number: int, drivable: BaseGeometry) -> Polygon:
    """A pedestrian crossing from kerb to kerb."""
    x, y, heading = town.walks.crossing_pose[number]
    along = CROSSING_WIDTH_M / 2 * np.array([math.cos(heading), math.sin(heading)])
    across = town.walks.crossing_half_m[number] * np.array([-math.sin(heading), math.cos(heading)])
    corners = [np.array([x, y]) + i * along + j * across for i, j in ((1, 1), (-1, 1), (-1, -1), (1, -1))]
    return max(polygons(Polygon(corners) & drivable), key=lambda part: part.area)


def intersection(town: Town, node: int) -> np.ndarray:
    """Ring `(N, 2)` of a junction: what vehicles use between the ends of its streets' lanes.

    The corners of lanes and road blocks there are points of the ring.
    """
    lanes, corners, outside = town.lanes, [], []
    parts: list[BaseGeometry] = []
    for street in town.streets:
        for end in (0, 1):
            if street.nodes[end] == node:
                arm, half_m = junction_arm(town.streets, street, node)
                parts += [LineString(arm).buffer(half_m, cap_style="flat"), Point(town.nodes[node]).buffer(half_m)]
                corners.append(section(street, end, cross_section(street)))
                # Square caps end nearly there: fill up to the section and cut off what is beyond.
                left, right = corners[-1][[0, -1]]
                across = (left - right) / np.linalg.norm(left - right)
                away = np.array([across[1], -across[0]]) * (1.0 if end == 0 else -1.0)
                parts.append(Polygon([left, right, right - _CAP_M * away, left - _CAP_M * away]))
                ends = [left + _CAP_M * across, right - _CAP_M * across]
                outside.append(Polygon([*ends, ends[1] + _CAP_M * away, ends[0] + _CAP_M * away]))
    for connector in np.flatnonzero(lanes.is_connector & (lanes.junction == node)):
        parts.append(LineString(lanes.table.polyline(connector)).buffer(CONNECTOR_HALF_M, cap_style="flat"))
    shape = max(polygons(unary_union(parts) - unary_union(outside)), key=lambda part: part.area)
    return with_points(np.array(shape.exterior.coords)[:-1], np.concatenate(corners))


def with_points(ring: np.ndarray, points: np.ndarray, reach_m: float = 0.05) -> np.ndarray:
    """A ring `(N, 2)` that has these points `(M, 2)` of its border as vertices; near vertices move there."""
    ring = list(ring)
    for point in points:
        gap = np.linalg.norm(np.array(ring) - point, axis=1)
        if gap.min() < reach_m:
            ring[int(gap.argmin())] = point
            continue
        start, step = np.array(ring), np.roll(ring, -1, axis=0) - ring
        share = np.clip(((point - start) * step).sum(1) / (step**2).sum(1), 0.0, 1.0)
        away = np.linalg.norm(start + share[:, None] * step - point, axis=1)
        if away.min() < reach_m:
            ring.insert(int(away.argmin()) + 1, point)
    return np.array(ring)
