"""Rollouts as .npz files: plain arrays, for pictures and for scoring again later."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from drivewm.host import replacing
from drivewm.structures.road_map import Lane, RoadMap
from drivewm.structures.rollout import AgentTracks, LightStates, Rollout

_SCALARS = ("dt_s", "length_m", "width_m", "rear_axle_to_center_m", "plan_dt_s")
_ARRAYS = ("poses", "speed", "acceleration", "route", "warm_up", "plans", "plan_step")
_AROUND_M = 80.0
_AGENTS = ("boxes", "velocity", "label", "track", "valid")


def save_rollout(path: str | Path, rollout: Rollout) -> None:
    """Write a rollout, whole or not at all. Of the map's lanes, those around the driven path are kept."""
    arrays = {name: getattr(rollout, name) for name in (*_SCALARS, *_ARRAYS)}
    arrays |= {f"agents_{name}": getattr(rollout.agents, name) for name in _AGENTS}
    if rollout.lights is not None:
        arrays |= {"light_lane": rollout.lights.lane, "light_red": rollout.lights.red}
    if rollout.road_map is not None:
        arrays |= _map_arrays(rollout.road_map, rollout.poses[:, :2])
    with replacing(path) as temporary:
        np.savez_compressed(temporary, **arrays)


def _map_arrays(road_map: RoadMap, path: np.ndarray) -> dict[str, np.ndarray]:
    low, high = path.min(0) - _AROUND_M, path.max(0) + _AROUND_M
    lanes = [
        lane for lane in road_map.lanes.values() if ((lane.centerline >= low) & (lane.centerline <= high)).all(1).any()
    ]
    return {
        "map_drivable": np.packbits(road_map.drivable),
        "map_shape": np.array(road_map.drivable.shape),
        "map_origin_m": np.array(road_map.origin_m),
        "map_resolution_m": np.array(road_map.resolution_m),
        "lane_id": np.array([lane.lane_id for lane in lanes], np.int64),
        "lane_width_m": np.array([lane.width_m for lane in lanes], np.float64),
        "lane_intersection": np.array([-1 if n.intersection is None else n.intersection for n in lanes], np.int64),
        "lane_points": np.concatenate([lane.centerline for lane in lanes] or [np.zeros((0, 2))]),
        "lane_point_count": np.array([len(lane.centerline) for lane in lanes], np.int64),
        "lane_successor": np.array([s for lane in lanes for s in lane.successors], np.int64),
        "lane_successor_count": np.array([len(lane.successors) for lane in lanes], np.int64),
    }


def load_rollout(path: str | Path) -> Rollout:
    """Read what `save_rollout` wrote.

    Raises:
        ValueError: if a field is missing.
    """
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    try:
        lights = LightStates(arrays["light_lane"], arrays["light_red"]) if "light_lane" in arrays else None
        return Rollout(
            agents=AgentTracks(**{name: arrays[f"agents_{name}"] for name in _AGENTS}),
            road_map=_road_map(arrays) if "map_shape" in arrays else None,
            lights=lights,
            **{name: float(arrays[name]) for name in _SCALARS},
            **{name: arrays[name] for name in _ARRAYS},
        )
    except KeyError as error:
        raise ValueError(f"{path}: no field {error}, expected what save_rollout writes") from None


def _road_map(arrays: dict[str, np.ndarray]) -> RoadMap:
    points = np.split(arrays["lane_points"], np.cumsum(arrays["lane_point_count"])[:-1])
    successors = np.split(arrays["lane_successor"], np.cumsum(arrays["lane_successor_count"])[:-1])
    lanes = {
        int(number): Lane(int(number), line, float(width), tuple(after.tolist()), None if at < 0 else int(at))
        for number, line, width, after, at in zip(
            arrays["lane_id"], points, arrays["lane_width_m"], successors, arrays["lane_intersection"], strict=False
        )
    }
    shape = tuple(arrays["map_shape"].tolist())
    drivable = np.unpackbits(arrays["map_drivable"], count=int(np.prod(shape))).reshape(shape).astype(bool)
    origin_m = (float(arrays["map_origin_m"][0]), float(arrays["map_origin_m"][1]))
    return RoadMap(lanes, drivable, origin_m, float(arrays["map_resolution_m"]))
