"""Annotations of the town: boxes of road users, with what the LiDAR sees of each."""

from __future__ import annotations

import numpy as np

from drivewm.data.nuscenes_schema import visibility_token
from drivewm.data.records import BoxRecord
from drivewm.geometry import boxes as box_geometry
from drivewm.geometry import se2, se3
from drivewm.simulation import AgentBoxes, LidarSweep

_STANDING_SPEED = 0.2
# An object that nothing hides returns about this share of the rays that enter its bounding rectangle.
_FILL = 0.6


def annotate(agents: AgentBoxes, sweep: LidarSweep, T_global_ego: np.ndarray) -> list[BoxRecord]:
    """Boxes of road users, as many points of the sweep as lie in each, and how visible that makes it."""
    elevations = np.sort(np.arcsin(sweep.ray_directions[:, 2]))
    ego_boxes = agents.boxes.copy()
    ego_boxes[:, [0, 1, 6]] = se2.relative(se3.to_se2(T_global_ego), agents.boxes[:, [0, 1, 6]])
    inside = count_points(sweep.points_ego(), ego_boxes)
    share = inside / np.maximum(_FILL * _rays_towards(ego_boxes, sweep.T_ego_lidar[:3, 3], elevations), 1.0)
    records = []
    for i, box in enumerate(agents.boxes):
        records.append(
            BoxRecord(
                track=str(agents.track[i]),
                category=agents.category[i],
                attribute=_attribute(agents.category[i], bool(agents.parked[i]), float(np.hypot(*agents.velocity[i]))),
                translation=box[:3].round(4).tolist(),
                size=box[[4, 3, 5]].round(4).tolist(),
                rotation=[float(np.cos(box[6] / 2)), 0.0, 0.0, float(np.sin(box[6] / 2))],
                visibility=visibility_token(min(float(share[i]), 1.0)),
                num_lidar_pts=int(inside[i]),
            )
        )
    return records


def count_points(points: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """How many points `(N, 3 + C)` lie in each box `(M, 7)`: `(M,)` int64."""
    counts = np.zeros(len(boxes), np.int64)
    for i, box in enumerate(boxes):
        reach = 0.5 * np.hypot(box[3], box[4]) + 1e-6
        near = (points[:, 0] - box[0]) ** 2 + (points[:, 1] - box[1]) ** 2 <= reach**2
        counts[i] = box_geometry.points_in_boxes(points[near], boxes[i : i + 1]).sum()
    return counts


def _rays_towards(boxes: np.ndarray, origin: np.ndarray, elevations: np.ndarray) -> np.ndarray:
    """About how many rays from `origin (3,)` go towards each box `(M, 7)`, were it alone: those of its rectangle."""
    offset = boxes[:, :2] - origin[:2]
    distance = np.maximum(np.linalg.norm(offset, axis=1), 0.1)
    corners = box_geometry.bev_corners(boxes) - origin[:2]
    center = np.arctan2(offset[:, 1], offset[:, 0])
    turned = se2.wrap_angle(np.arctan2(corners[..., 1], corners[..., 0]) - center[:, None])
    low, high = (np.arctan((boxes[:, 2] + s * boxes[:, 5] / 2 - origin[2]) / distance) for s in (-1, 1))
    in_height = np.searchsorted(elevations, high) - np.searchsorted(elevations, low)
    return in_height * np.ptp(turned, axis=1) / (2 * np.pi)


def _attribute(category: str, parked: bool, speed: float) -> str:
    """nuScenes attribute of a road user; empty for things that have none."""
    moves = speed > _STANDING_SPEED
    if category.startswith("human.pedestrian"):
        return "pedestrian.moving" if moves else "pedestrian.standing"
    if category in ("vehicle.bicycle", "vehicle.motorcycle"):
        return "cycle.without_rider" if parked else "cycle.with_rider"
    if not category.startswith("vehicle"):
        return ""
    return "vehicle.parked" if parked else "vehicle.moving" if moves else "vehicle.stopped"
