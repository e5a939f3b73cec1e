"""Logs of Argoverse 2 as recorded scenes for simulated agents."""

from __future__ import annotations

import numpy as np

from drivewm.closed_loop.log.agents import extent
from drivewm.closed_loop.realism.rollouts import EGO_TRACK, FUTURE_S, HISTORY_S, LoggedScene, scored
from drivewm.data.argoverse import DT_S, ArgoverseLog
from drivewm.evaluation.functional.road_edge import RoadEdge
from drivewm.geometry import se3
from drivewm.structures.labels import OCC3D
from drivewm.structures.rollout import AgentTracks

# Argoverse's Ford Fusion; its poses are those of the rear axle, at the height of the ground.
_EGO_SIZE_M, _REAR_AXLE_TO_CENTER_M = (4.87, 1.85, 1.48), 1.40
_MOVES_M = 2.0


def argoverse_scenes(log: ArgoverseLog) -> list[LoggedScene]:
    """Windows that fit into the log, evenly spread: as many as cover it, so neighbours may overlap a little.

    Scored are motor vehicles that move by more than 2 m in the log: who parks and who waits cannot be told apart.

    Raises:
        ValueError: the log is shorter than one window.
    """
    tracks, category = _with_ego(log), (*log.category, "vehicle.car")
    steps, window = len(tracks.valid), round((HISTORY_S + FUTURE_S) / DT_S) + 1
    if steps < window:
        raise ValueError(f"log {log.name} has {steps} sweeps with boxes, expected at least {window}")
    moves, edge = extent(tracks) > _MOVES_M, RoadEdge(log.road_map)
    scenes = []
    for first in np.linspace(0, steps - window, -(-steps // window)).astype(int):
        later = AgentTracks(
            tracks.boxes[first:], tracks.velocity[first:], tracks.label, tracks.track, tracks.valid[first:]
        )
        scenes.append(LoggedScene(f"{log.name}-{first}", later, category, scored(later, moves), edge))
    return scenes


def _with_ego(log: ArgoverseLog) -> AgentTracks:
    pose, tracks = se3.to_se2(log.T_global_ego), log.tracks
    heading = np.stack([np.cos(pose[:, 2]), np.sin(pose[:, 2])], axis=-1)
    center = pose[:, :2] + _REAR_AXLE_TO_CENTER_M * heading
    size = np.broadcast_to(_EGO_SIZE_M, (len(pose), 3))
    height = log.T_global_ego[:, 2, 3] + _EGO_SIZE_M[2] / 2
    ego = np.concatenate([center, height[:, None], size, pose[:, 2:]], axis=-1)
    return AgentTracks(
        np.concatenate([tracks.boxes, ego[:, None]], axis=1),
        np.concatenate([tracks.velocity, np.gradient(center, DT_S, axis=0)[:, None]], axis=1),
        np.append(tracks.label, OCC3D.index("car")),
        np.append(tracks.track, EGO_TRACK),
        np.concatenate([tracks.valid, np.ones((len(pose), 1), bool)], axis=1),
    )
