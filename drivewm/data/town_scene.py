"""One scene of the town: drive it, sense it, write it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from drivewm.data.can_bus import CanBus
from drivewm.data.nuscenes_schema import visibility_token
from drivewm.data.nuscenes_writer import NuScenesWriter
from drivewm.data.records import BoxRecord, FrameRecord, SceneRecord, pose_fields
from drivewm.data.town_plan import KEYFRAME_HZ, PHYSICS_HZ, ScenePlan, TownOptions
from drivewm.geometry import boxes as box_geometry
from drivewm.geometry import se2, se3
from drivewm.simulation import AgentBoxes, LidarSweep, Town, TownSimulator, make_scenarios

ANNOTATION_RADIUS_M = 60.0
_SCENE_SPACING_US = 100_000_000  # scenes begin at different times: the devkit sorts them by it
_ROUTE_BEHIND_M, _ROUTE_AHEAD_M = 10.0, 90.0
_STANDING_SPEED = 0.2
# An object that nothing hides returns about this share of the rays that enter its bounding rectangle.
_FILL = 0.6


@lru_cache(maxsize=4)
def town_at(seed: int, location: str) -> Town:
    """The town of a data set with that seed at one of its locations."""
    return Town.generate(seed, location)


def write_scene(writer: NuScenesWriter, options: TownOptions, plan: ScenePlan) -> None:
    """Drives the expert through a scene and writes its sweeps, labels, CAN bus and record."""
    town = town_at(options.seed, plan.location)
    scenario = make_scenarios(town, plan.count, options.seed, options.duration_s)[plan.index]
    rng = np.random.default_rng([options.seed, plan.number])
    simulator = TownSimulator(town)
    simulator.reset(scenario)
    bus = CanBus(simulator, plan.number * _SCENE_SPACING_US)
    bus.listen()
    begin_m, frames, elevations = simulator.progress_m, [], None
    for number in range(options.keyframes):
        for _ in range(PHYSICS_HZ // KEYFRAME_HZ if number else 0):
            simulator.step(simulator.expert_control())
            bus.listen()
        sweep = simulator.lidar(rng)
        stamp = simulator.timestamp_us + plan.number * _SCENE_SPACING_US
        labels = simulator.occupancy(options.grid), simulator.mask_lidar(sweep, options.grid)
        lidar_file = writer.write_frame(plan.name, number, stamp, sweep.points, *labels)
        agents = simulator.boxes(ANNOTATION_RADIUS_M)
        elevations = np.sort(np.arcsin(sweep.ray_directions[:, 2])) if elevations is None else elevations
        boxes = _annotate(agents, sweep, elevations, simulator.T_global_ego())
        frames.append(FrameRecord(stamp, *pose_fields(simulator.T_global_ego()), lidar_file, boxes))
    writer.write_can_bus(plan.name, bus.messages())
    ahead = np.arange(begin_m - _ROUTE_BEHIND_M, simulator.progress_m + _ROUTE_AHEAD_M, 0.5)
    writer.finish_scene(
        SceneRecord(
            name=plan.name,
            location=plan.location,
            split=plan.split,
            description=f"Procedural town, {'straight on' if scenario.straight else 'with bends or turns'}",
            lidar_translation=pose_fields(sweep.T_ego_lidar)[0],
            lidar_rotation=pose_fields(sweep.T_ego_lidar)[1],
            frames=frames,
            route=_at_stations(simulator.route_points(), ahead).round(3).tolist(),
        )
    )


def _at_stations(polyline: np.ndarray, stations: np.ndarray) -> np.ndarray:
    """Points `(N, 2)` at arc lengths of a polyline, those beyond its ends left out."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(polyline, axis=0), axis=1))])
    stations = stations[(stations >= 0) & (stations <= along[-1])]
    return np.stack([np.interp(stations, along, polyline[:, axis]) for axis in range(2)], axis=-1)


def _annotate(
    agents: AgentBoxes, sweep: LidarSweep, elevations: np.ndarray, T_global_ego: np.ndarray
) -> list[BoxRecord]:
    """Boxes of all road users around the ego; `elevations (R,)` [rad] of the sweep's rays, sorted."""
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
