"""Rules of the road: direction (DDC), lights (TLC) and lane keeping (LK), after NAVSIM v2 (Cao et al., 2025).

All need a map. Which lanes belong to the route follows from geometry: those that run along it, and those beside them in
the same direction.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from drivewm.geometry.boxes import bev_corners, polygons_overlap
from drivewm.structures import Lane, RoadMap, Rollout

WRONG_WAY_WINDOW_S = 1.0
WRONG_WAY_M = (2.0, 6.0)
"""Driven against the direction within the window [m]: less than the first is fine, from the second on it scores 0."""
LANE_DEVIATION_M = 0.5
LANE_DEVIATION_S = 2.0
_SAME_WAY = np.cos(np.pi / 4)
# How far from the route a place in a lane of its direction may be, in lane widths: up to the far edge of the third lane
# beside it, so that all of a wide road counts; for connectors of the one beside it, so that no other turn does.
_STREET_WIDTHS, _CONNECTOR_WIDTHS = 3.5, 1.5


class Nearest(NamedTuple):
    """Where points are against a polyline; `(N,)` each.

    Attributes:
        distance: from the polyline [m]; inf where none of it runs in the demanded direction.
        yaw: of the polyline there [rad].
        inside: false for points before its first or behind its last end.
    """

    distance: np.ndarray
    yaw: np.ndarray
    inside: np.ndarray


def nearest(line: np.ndarray, points: np.ndarray, yaw: np.ndarray | None = None) -> Nearest:
    """Nearest place on a polyline `(P, 2)` to each of `points (N, 2)`, same frame [m].

    With `yaw (N,)` [rad] only places count at which the polyline runs within 45 degrees of it; `inside` does not care.
    """
    start, step = line[:-1], np.diff(line, axis=0)
    heading = np.arctan2(step[:, 1], step[:, 0])
    share = (points @ step.T - (start * step).sum(-1)) / np.maximum((step**2).sum(-1), 1e-12)
    on_line = np.clip(share, 0.0, 1.0)
    x, y = (points[:, i, None] - start[:, i] - on_line * step[:, i] for i in (0, 1))
    distance = np.sqrt(x * x + y * y)
    rows, place = np.arange(len(points)), distance.argmin(-1)
    inside = ~(((place == 0) & (share[:, 0] < 0)) | ((place == len(step) - 1) & (share[:, -1] > 1)))
    if yaw is not None:
        distance = np.where(np.cos(heading - yaw[:, None]) > _SAME_WAY, distance, np.inf)
        place = distance.argmin(-1)
    return Nearest(distance[rows, place], heading[place], inside)


class RouteSteps(NamedTuple):
    """What the map and the route say about the ego's centre at each step; `(T,)` bool each.

    Attributes:
        on_route: in a lane of the route, or before its beginning or behind its end, where it says nothing.
        in_intersection: on a connector.
        off_center: more than `LANE_DEVIATION_M` beside the route.
    """

    on_route: np.ndarray
    in_intersection: np.ndarray
    off_center: np.ndarray


def route_steps(rollout: Rollout) -> RouteSteps:
    """Compare the ego's way to the route. The rollout must have a map."""
    points, route = rollout.ego_boxes()[:, :2], rollout.route
    place = nearest(route, points)
    on_route, in_intersection = ~place.inside, np.zeros(len(points), bool)
    for lane, near in _lanes_near(rollout.road_map, points):
        lane_place = nearest(lane.centerline, points[near])
        held = lane_place.distance <= lane.width_m / 2
        if lane.intersection is not None:
            in_intersection[near[held & lane_place.inside]] = True
        elif held.any():
            beside = nearest(route, points[near[held]], lane_place.yaw[held])
            on_route[near[held]] |= beside.distance <= _STREET_WIDTHS * lane.width_m
    return RouteSteps(on_route, in_intersection, place.inside & (place.distance > LANE_DEVIATION_M))


def direction_compliance(rollout: Rollout, steps: RouteSteps) -> float:
    """DDC: 1, 0.5 or 0, as the ego drives less than 2 m, less than 6 m or more within 1 s where it should not.

    That is where its centre is in no lane of the route and in no intersection.
    """
    moved = np.hypot(*np.diff(rollout.ego_boxes()[:, :2], axis=0, prepend=rollout.ego_boxes()[:1, :2]).T)
    wrong = np.cumsum(np.where(steps.on_route | steps.in_intersection, 0.0, moved))
    window = max(round(WRONG_WAY_WINDOW_S / rollout.dt_s), 1)
    before = np.concatenate([np.zeros(window), wrong])[: len(wrong)]
    worst = float((wrong - before).max())
    fine, worse = WRONG_WAY_M
    return 1.0 if worst < fine else 0.5 if worst < worse else 0.0


def lane_keeping(rollout: Rollout, steps: RouteSteps) -> float:
    """LK: 0 if the ego's centre is more than 0.5 m beside the route for 2 s (20 steps at 10 Hz) on end, else 1.

    Steps in intersections are skipped: they neither count nor end a run.
    """
    needed = max(round(LANE_DEVIATION_S / rollout.dt_s), 1)
    off_center = steps.off_center[~steps.in_intersection]
    runs = np.convolve(off_center, np.ones(needed, int)) if len(off_center) else np.zeros(1)
    return float(runs.max() < needed)


def light_compliance(rollout: Rollout) -> float:
    """TLC: 0 if the ego enters an intersection by a red connector of the route, else 1. Map and lights must be known.

    It enters with the first corner of its footprint that is on one of the route's connectors there, and leaves with the
    last. Who has entered before the light turned red may clear the intersection (NAVSIM fails that too). An ego that is
    inside at the first step has entered unseen.

    Raises:
        ValueError: if a light is of a connector that the map does not have, or their steps are not the ego's.
    """
    lights, road_map = rollout.lights, rollout.road_map
    if len(lights.red) != len(rollout.poses):
        raise ValueError(f"lights.red has {len(lights.red)} steps, expected {len(rollout.poses)}, as many as poses")
    unknown = sorted(set(lights.lane.tolist()) - set(road_map.lanes))
    if unknown:
        raise ValueError(f"lights are of lanes {unknown}, expected lanes of the map")
    red = dict(zip(lights.lane.tolist(), lights.red.T, strict=True))
    boxes, reach = rollout.ego_boxes(), np.hypot(rollout.length_m, rollout.width_m) / 2
    inside: dict[int, np.ndarray] = {}
    at_red: dict[int, np.ndarray] = {}
    for lane, near in _lanes_near(road_map, boxes[:, :2], reach):
        if lane.intersection is None:
            continue
        touched = np.zeros(len(boxes), bool)
        touched[near] = _touches(boxes[near], lane)
        if not touched.any() or not _of_route(lane, rollout.route):
            continue
        for found, steps in ((inside, touched), (at_red, touched & red.get(lane.lane_id, False))):
            found[lane.intersection] = found.get(lane.intersection, False) | steps
    entered = (at_red[i][1:] & ~inside[i][:-1] for i in inside)
    return float(not any(steps.any() for steps in entered))


def _lanes_near(road_map: RoadMap, points: np.ndarray, margin_m: float = 0.0):
    """Lanes whose bounding box, grown by half the width and the margin, holds some points; with their indices."""
    for lane in road_map.lanes.values():
        margin = lane.width_m / 2 + margin_m
        low, high = lane.centerline.min(0) - margin, lane.centerline.max(0) + margin
        near = np.flatnonzero(((points >= low) & (points <= high)).all(-1))
        if len(near):
            yield lane, near


def _of_route(connector: Lane, route: np.ndarray) -> bool:
    """Does a connector run along the route or beside it, on its whole length?"""
    yaw = np.arctan2(*np.gradient(connector.centerline, axis=0).T[::-1])
    place = nearest(route, connector.centerline, yaw)
    near = place.distance <= _CONNECTOR_WIDTHS * connector.width_m
    return bool(place.inside.any() and near[place.inside].all())


def _touches(boxes: np.ndarray, lane: Lane) -> np.ndarray:
    """Which of the boxes `(N, 7)` overlap the strip of the lane's width: bool `(N,)`."""
    step = np.diff(lane.centerline, axis=0)
    middle, width = lane.centerline[:-1] + step / 2, np.full(len(step), lane.width_m)
    yaw, length = np.arctan2(step[:, 1], step[:, 0]), np.hypot(step[:, 0], step[:, 1])
    strip = np.stack([middle[:, 0], middle[:, 1], 0 * width, length, width, 0 * width, yaw], axis=-1)
    reach = (np.hypot(boxes[:, 3], boxes[:, 4])[:, None] + np.hypot(length, width)) / 2
    box, part = np.nonzero(np.hypot(*np.moveaxis(boxes[:, None, :2] - middle, -1, 0)) <= reach)
    touched = np.zeros(len(boxes), bool)
    touched[box[polygons_overlap(bev_corners(boxes[box]), bev_corners(strip[part]))]] = True
    return touched
