"""Closed-loop collisions: which agents the ego hits, how, and whose fault it is (nuPlan's and NAVSIM's rule)."""

from __future__ import annotations

import enum
from typing import NamedTuple

import numpy as np

from drivewm.geometry import se2
from drivewm.geometry.boxes import bev_corners, boxes_overlap, polygons_overlap
from drivewm.structures import OCC3D, RoadMap, Rollout

STOPPED_SPEED = 0.05
"""At or below this speed [m/s] a vehicle counts as stopped."""
_BEHIND_RAD = np.deg2rad(150.0)
_AHEAD_RAD = np.deg2rad(30.0)
# The front bumper is a strip, since a line has no area to overlap with.
_BUMPER_DEPTH_M = 0.01


class CollisionKind(enum.Enum):
    """How the ego and an agent met, at the first step at which they overlap."""

    EGO_STOPPED = "ego stopped"
    AGENT_STOPPED = "agent stopped"
    REAR = "hit from behind"
    FRONT = "front bumper"
    LATERAL = "lateral"


class Collision(NamedTuple):
    """One agent hit; each agent counts once.

    Attributes:
        step: first step of the rollout with an overlap.
        agent: its slot in `rollout.agents`.
        kind: how they met.
        at_fault: the ego's fault, by `find_collisions`' rule.
    """

    step: int
    agent: int
    kind: CollisionKind
    at_fault: bool


def overlaps(rollout: Rollout, ahead_s: float = 0.0) -> np.ndarray:
    """Which agents the ego's footprint overlaps at which steps: bool `(T, N)`.

    With `ahead_s` [s], ego and agents are first moved straight on by that time at their present velocities.
    """
    ego, agents = rollout.ego_boxes(), rollout.agents
    boxes = agents.boxes.copy()
    if ahead_s:
        heading = np.stack([np.cos(rollout.poses[:, 2]), np.sin(rollout.poses[:, 2])], axis=-1)
        ego[:, :2] += ahead_s * rollout.speed[:, None] * heading
        boxes[..., :2] += ahead_s * np.nan_to_num(agents.velocity)
    return agents.valid & boxes_overlap(ego[:, None], boxes)


def find_collisions(rollout: Rollout) -> list[Collision]:
    """All collisions of an episode, in the order of time.

    At fault is the ego that hits a stopped agent or any agent with its front bumper, or one laterally while it is in
    several lanes or off the drivable area (or where no map can tell). Not at fault: an ego that stands, or is hit from
    behind (nuPlan's `no_ego_at_fault_collisions`, as NAVSIM applies it).
    """
    hit = overlaps(rollout)
    first = np.where(hit.any(0), hit.argmax(0), len(hit))
    found = []
    for agent in np.argsort(first, kind="stable")[: int(hit.any(0).sum())]:
        step = int(first[agent])
        kind = _kind(rollout, step, int(agent))
        at_fault = kind in (CollisionKind.AGENT_STOPPED, CollisionKind.FRONT)
        if kind is CollisionKind.LATERAL:
            at_fault = leaves_its_lane(rollout.road_map, bev_corners(rollout.ego_boxes()[step]))
        found.append(Collision(step, int(agent), kind, bool(at_fault)))
    return found


def _kind(rollout: Rollout, step: int, agent: int) -> CollisionKind:
    agents = rollout.agents
    if abs(rollout.speed[step]) <= STOPPED_SPEED:
        return CollisionKind.EGO_STOPPED
    if agents.label[agent] not in OCC3D.movable or np.linalg.norm(agents.velocity[step, agent]) <= STOPPED_SPEED:
        return CollisionKind.AGENT_STOPPED
    if is_behind(rollout.poses[step], agents.boxes[step, agent, :2]):
        return CollisionKind.REAR
    front = rollout.ego_boxes()[step]
    back_off = (front[3] - _BUMPER_DEPTH_M) / 2
    front[:2] += back_off * np.array([np.cos(front[6]), np.sin(front[6])])
    front[3] = _BUMPER_DEPTH_M
    if polygons_overlap(bev_corners(front), bev_corners(agents.boxes[step, agent])):
        return CollisionKind.FRONT
    return CollisionKind.LATERAL


def is_ahead(pose: np.ndarray, point: np.ndarray) -> bool:
    """Is `point (2,)` less than 30 degrees off the heading of `pose (3,)`?"""
    return bool(_bearing(pose, point) < _AHEAD_RAD)


def is_behind(pose: np.ndarray, point: np.ndarray) -> bool:
    """Is `point (2,)` more than 150 degrees off the heading of `pose (3,)`?"""
    return bool(_bearing(pose, point) > _BEHIND_RAD)


def _bearing(pose: np.ndarray, point: np.ndarray) -> float:
    x, y = se2.transform_points(se2.inverse(np.asarray(pose, np.float64)), np.asarray(point)[None])[0]
    return abs(np.arctan2(y, x))


def lanes_at(road_map: RoadMap, points: np.ndarray) -> dict[int, np.ndarray]:
    """Lanes that hold any of the global points `(N, 2)` [m], with which of them: lane id -> bool `(N,)`.

    A point is in a lane if it is at most half the lane's width from the centreline.
    """
    held = {}
    for lane_id, lane in road_map.lanes.items():
        margin = lane.width_m / 2
        low, high = lane.centerline.min(0) - margin, lane.centerline.max(0) + margin
        if (points.max(0) < low).any() or (points.min(0) > high).any():
            continue
        inside = distance_to_polyline(lane.centerline, points) <= margin
        if inside.any():
            held[lane_id] = inside
    return held


def straddles_lanes(road_map: RoadMap, corners: np.ndarray) -> bool:
    """Are the corners `(4, 2)` [m] spread over several lanes?

    True if more than one lane holds a corner and no lane holds all four, where a lane and one that follows it count as
    one (driving on from a lane to its successor is no lane change).
    """
    held = lanes_at(road_map, corners)
    for lane_id, inside in held.items():
        following = [inside | held[s] for s in road_map.lanes[lane_id].successors if s in held]
        if any(joint.all() for joint in (inside, *following)):
            return False
    return len(held) > 1


def leaves_its_lane(road_map: RoadMap | None, corners: np.ndarray) -> bool:
    """Are the corners `(4, 2)` [m] spread over several lanes, or one off the drivable area? Without a map: yes."""
    return road_map is None or straddles_lanes(road_map, corners) or not road_map.is_drivable(corners).all()


def in_intersection(road_map: RoadMap, point: np.ndarray) -> bool:
    """Is `point (2,)` [m] on a connector?"""
    return any(
        road_map.lanes[lane_id].intersection is not None for lane_id in lanes_at(road_map, np.asarray(point)[None])
    )


def distance_to_polyline(polyline: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Distance `(N,)` [m] of `points (N, 2)` from a polyline `(P, 2)`."""
    start, step = polyline[:-1], np.diff(polyline, axis=0)
    length2 = np.maximum((step**2).sum(-1), 1e-12)
    share = np.clip(((points[:, None] - start) * step).sum(-1) / length2, 0.0, 1.0)
    return np.linalg.norm(start + share[..., None] * step - points[:, None], axis=-1).min(-1)
