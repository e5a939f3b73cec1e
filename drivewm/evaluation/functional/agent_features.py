"""What agents do, by the features of the Waymo Open Sim Agents Challenge (WOSAC; Montali et al., NeurIPS 2023).

Definitions are those of the challenge of 2025; where they differ, it is said.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.evaluation.functional.road_edge import RoadEdge
from drivewm.geometry import se2
from drivewm.geometry.boxes import bev_corners, signed_distance
from drivewm.structures import OCC3D, AgentTracks, LightStates, RoadMap

VEHICLES = tuple(i for i in OCC3D.movable if i != OCC3D.index("pedestrian"))
MOST_TTC_S = 5.0
_ROUNDING = 0.7  # of boxes' corners: 0 leaves them sharp, 1 makes half circles of the short sides
_FOLLOWS_RAD, _FOLLOWS_AT_ITS_SIDE_RAD, _SMALL_OVERLAP_M = np.deg2rad(75.0), np.deg2rad(10.0), 0.5


@dataclass(frozen=True)
class AgentFeatures:
    """Features of S agents at T steps; NaN where they are not defined.

    Attributes:
        track: `(S,)` whose they are.
        valid: `(T, S)` bool, who is there.
        speed, acceleration, angular_speed, angular_acceleration: `(T, S)` [m, s, rad], by central differences.
        object_distance: `(T, S)` [m] to the nearest box, negative where they overlap.
        time_to_collision: `(T, S)` [s] with the vehicle ahead, at most 5 s; NaN for those that are no vehicles.
        road_edge: `(T, S)` [m] of the corner that is farthest out, negative on the road; None without a map.
        collision, off_road, red_light: `(T, S)` bool; None without a map or lights.
    """

    track: np.ndarray
    valid: np.ndarray
    speed: np.ndarray
    acceleration: np.ndarray
    angular_speed: np.ndarray
    angular_acceleration: np.ndarray
    object_distance: np.ndarray
    time_to_collision: np.ndarray
    road_edge: np.ndarray | None
    collision: np.ndarray
    off_road: np.ndarray | None
    red_light: np.ndarray | None


def agent_features(
    tracks: AgentTracks,
    subjects: np.ndarray,
    dt_s: float,
    history: int = 0,
    road_edge: RoadEdge | None = None,
    road_map: RoadMap | None = None,
    lights: LightStates | None = None,
) -> AgentFeatures:
    """Features of some agents among all.

    Args:
        tracks: everybody at steps `dt_s` [s] apart, the ego among them if it is to be seen or scored.
        subjects: `(S,)` identities of whom to look at; who is not in the tracks is nowhere valid.
        dt_s: time between steps [s].
        history: this many first steps only serve the differences at the next ones, and are cut off.
        road_edge: of the map, if there is one.
        road_map, lights: both or none: the connectors with lights, and when those are red, at the tracks' steps.

    Raises:
        ValueError: fewer steps than that history, identities that are not unique, or lights of other steps.
    """
    steps = len(tracks.valid)
    if not 0 <= history < steps:
        raise ValueError(f"history must lie in 0..{steps - 1} for tracks of {steps} steps, got {history}")
    if len(np.unique(tracks.track)) < len(tracks.track):
        raise ValueError(f"AgentTracks.track must name each agent once, got {tracks.track.tolist()}")
    if (road_map is None) != (lights is None):
        raise ValueError("road_map and lights must be given together: lights stand on connectors")
    if lights is not None and len(lights.red) != steps:
        raise ValueError(f"lights are of {len(lights.red)} steps, expected {steps} as the tracks")
    tracks, slot = _with_all(tracks, np.asarray(subjects))
    boxes, valid = tracks.boxes[:, slot], tracks.valid[:, slot]
    speed = _speed(tracks.boxes[..., :3], tracks.valid, dt_s)[:, slot]
    turn = _central(np.where(valid, boxes[..., 6], np.nan), angle=True) / dt_s
    distance = _object_distance(tracks, slot)
    edge = None
    if road_edge is not None:
        edge = np.where(valid, road_edge.distance(bev_corners(np.where(valid[..., None], boxes, 0.0))).max(-1), np.nan)
    found = dict(
        valid=valid,
        speed=speed,
        acceleration=_central(speed) / dt_s,
        angular_speed=turn,
        angular_acceleration=_central(turn) / dt_s,
        object_distance=distance,
        time_to_collision=_time_to_collision(tracks, slot, dt_s),
        road_edge=edge,
        collision=distance < 0,
        off_road=None if edge is None else edge > 0,
        red_light=None if lights is None else _runs_red(tracks, slot, road_map, lights),
    )
    cut = {name: None if value is None else value[history:] for name, value in found.items()}
    return AgentFeatures(track=np.asarray(subjects), **cut)


def _with_all(tracks: AgentTracks, subjects: np.ndarray) -> tuple[AgentTracks, np.ndarray]:
    """Tracks in which every subject has a slot, and which."""
    new = np.setdiff1d(subjects, tracks.track)
    if len(new):
        steps = len(tracks.valid)
        tracks = AgentTracks(
            np.concatenate([tracks.boxes, np.zeros((steps, len(new), 7))], axis=1),
            np.concatenate([tracks.velocity, np.zeros((steps, len(new), 2))], axis=1),
            np.concatenate([tracks.label, np.zeros(len(new), np.int64)]),
            np.concatenate([tracks.track, new]),
            np.concatenate([tracks.valid, np.zeros((steps, len(new)), bool)], axis=1),
        )
    order = np.argsort(tracks.track)
    return tracks, order[np.searchsorted(tracks.track[order], subjects)]


def _central(values: np.ndarray, angle: bool = False) -> np.ndarray:
    """Half the difference between next and last step `(T, ...)`; NaN at both ends, and where one of the three is."""
    result = np.full(values.shape, np.nan)
    change = values[2:] - values[:-2]
    result[1:-1] = np.where(np.isnan(values[1:-1]), np.nan, (se2.wrap_angle(change) if angle else change) / 2)
    return result


def _speed(positions: np.ndarray, valid: np.ndarray, dt_s: float) -> np.ndarray:
    return np.linalg.norm(_central(np.where(valid[..., None], positions, np.nan)), axis=-1) / dt_s


def _object_distance(tracks: AgentTracks, slot: np.ndarray) -> np.ndarray:
    """Signed distance `(T, S)` [m] to the nearest of all others, corners rounded; inf for who is alone."""
    boxes, valid = tracks.boxes, tracks.valid
    short = np.minimum(boxes[..., 3], boxes[..., 4])
    rounding = _ROUNDING * short / 2
    core = boxes.copy()
    core[..., 3:5] -= 2 * rounding[..., None]
    corners, outer = bev_corners(core), np.hypot(boxes[..., 3], boxes[..., 4]) / 2
    nearest = np.full((len(valid), len(slot)), np.inf)
    for step in range(len(valid)):
        xy = boxes[step, :, :2]
        apart = np.linalg.norm(xy[slot][:, None] - xy, axis=-1)
        pair = valid[step, slot][:, None] & valid[step] & (slot[:, None] != np.arange(len(xy)))
        # Only who may be the nearest by circles inside and around the boxes has to be looked at closely.
        most = np.where(pair, apart - (short[step, slot][:, None] + short[step]) / 2, np.inf).min(1, initial=np.inf)
        least = apart - outer[step, slot][:, None] - outer[step]
        row, other = np.nonzero(pair & (least <= most[:, None]))
        gap = signed_distance(corners[step, slot[row]], corners[step, other])
        np.minimum.at(nearest[step], row, gap - rounding[step, slot[row]] - rounding[step, other])
    return np.where(valid[:, slot], nearest, np.nan)


def _time_to_collision(tracks: AgentTracks, slot: np.ndarray, dt_s: float) -> np.ndarray:
    """Until the own front meets the rear of the vehicle ahead, at present speeds `(T, S)` [s]; none is 5 s."""
    boxes, speed = tracks.boxes, _speed(tracks.boxes[..., :2], tracks.valid, dt_s)
    result = np.full((len(boxes), len(slot)), np.nan)
    for step, (now, present) in enumerate(zip(boxes, tracks.valid, strict=True)):
        own = now[slot]
        local = se2.transform_points(se2.inverse(own[:, [0, 1, 6]]), now[None, :, :2])  # (S, N, 2)
        turn = np.abs(se2.wrap_angle(now[:, 6] - own[:, None, 6]))
        cos, sin = np.abs(np.cos(turn)), np.sin(turn)
        ahead = local[..., 0] - own[:, None, 3] / 2 - (now[:, 3] * cos + now[:, 4] * sin) / 2
        beside = np.abs(local[..., 1]) - own[:, None, 4] / 2 - (now[:, 3] * sin + now[:, 4] * cos) / 2
        follows = (ahead > 0) & (beside < 0) & (turn <= _FOLLOWS_RAD)
        follows &= (beside < -_SMALL_OVERLAP_M) | (turn <= _FOLLOWS_AT_ITS_SIDE_RAD)
        gap = np.where(follows & present, ahead, np.inf)
        leader = gap.argmin(1) if len(now) else np.zeros(0, np.int64)
        gap = gap[np.arange(len(slot)), leader]
        closing = speed[step, slot] - speed[step, leader]
        until = np.minimum(gap / np.where(closing > 0, closing, 1e-9), MOST_TTC_S)
        # Who follows nobody has no use for a speed; who does needs both.
        until = np.where(np.isinf(gap), MOST_TTC_S, np.where(np.isnan(closing), np.nan, until))
        result[step] = np.where(present[slot] & np.isin(tracks.label[slot], VEHICLES), until, np.nan)
    return result


def _runs_red(tracks: AgentTracks, slot: np.ndarray, road_map: RoadMap, lights: LightStates) -> np.ndarray:
    """Who crosses the beginning of a connector while its light is red: bool `(T, S)`; vehicles only.

    WOSAC asks for the stop point of the nearest lane; here it is the line over the connector's first point, as wide
    as the lane, crossed by the box's centre in driving direction.
    """
    vehicle = np.isin(tracks.label[slot], VEHICLES)
    there = tracks.valid[:, slot] & vehicle
    runs = np.zeros(there.shape, bool)
    for number, lane_id in enumerate(lights.lane):
        lane = road_map.lanes[int(lane_id)]
        start, step = lane.centerline[0], lane.centerline[1] - lane.centerline[0]
        pose = np.array([*start, np.arctan2(step[1], step[0])])
        along, left = np.moveaxis(se2.transform_points(se2.inverse(pose), tracks.boxes[:, slot, :2]), -1, 0)
        crosses = (along[:-1] < 0) & (along[1:] >= 0) & (np.abs(left[1:]) <= lane.width_m / 2)
        runs[1:] |= crosses & there[:-1] & there[1:] & lights.red[1:, number, None]
    return runs
