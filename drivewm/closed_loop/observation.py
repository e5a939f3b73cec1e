"""What a planner is shown: the keyframes that an episode has come through, as the readers of recordings give them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from drivewm.dynamics.bicycle import BicycleState, VehicleParameters
from drivewm.geometry import se3
from drivewm.geometry.se2 import wrap_angle
from drivewm.geometry.voxel_grid import VoxelGrid
from drivewm.simulation import AgentBoxes
from drivewm.structures.boxes import BoxTracks
from drivewm.structures.clip import History
from drivewm.structures.planning import EgoState, PlanningInput
from drivewm.structures.road_map import RoadMap
from drivewm.structures.route import Route


@dataclass(frozen=True)
class ShownSweep:
    """What a LiDAR returns.

    Attributes:
        points: `(N, 4)` x, y, z [m] in the ego frame, intensity.
        directions: `(R, 3)` of all rays that were sent, unit vectors in the LiDAR frame.
        hit: `(R,)` bool, which of them came back.
        T_ego_lidar: `(4, 4)`.
    """

    points: np.ndarray
    directions: np.ndarray
    hit: np.ndarray
    T_ego_lidar: np.ndarray


@dataclass(frozen=True)
class Keyframe:
    """One observed moment.

    Attributes:
        timestamp_us: when [microseconds].
        T_global_ego: `(4, 4)`.
        agents: the others, global frame.
        occupancy: `(X, Y, Z)` uint8 in the ego frame, if a grid is wanted.
        visible: `(X, Y, Z)` bool, what of it was ever seen; None for all.
        sweep: of the LiDAR, if it is wanted.
    """

    timestamp_us: int
    T_global_ego: np.ndarray
    agents: AgentBoxes
    occupancy: np.ndarray | None = None
    visible: np.ndarray | None = None
    sweep: ShownSweep | None = None


def to_history(frames: Sequence[Keyframe], grid: VoxelGrid | None, route: Route, scene: str) -> History:
    """The keyframes as a `History` with B = 1, the last one being t0."""
    shown = {name: _stacked([getattr(frame, name) for frame in frames]) for name in ("occupancy", "visible")}
    return History(
        timestamp_us=torch.tensor([[frame.timestamp_us for frame in frames]]),
        T_global_ego=torch.from_numpy(np.stack([frame.T_global_ego for frame in frames]))[None],
        scene=(scene,),
        sample_token=(f"{scene}-{frames[-1].timestamp_us}",),
        grid=grid,
        boxes=_box_tracks(frames),
        route=route,
        command=route.command(),
        **shown,
        **_lidar([frame.sweep for frame in frames]),
    )


def to_frames(episodes: Sequence[Sequence[Keyframe]], grid: VoxelGrid) -> History:
    """The occupancy of B episodes with equally many keyframes, and nothing else: what a world model of it looks at."""
    return History(
        timestamp_us=torch.tensor([[frame.timestamp_us for frame in own] for own in episodes]),
        T_global_ego=torch.from_numpy(np.array([[frame.T_global_ego for frame in own] for own in episodes])),
        scene=("",) * len(episodes),
        sample_token=("",) * len(episodes),
        grid=grid,
        occupancy=torch.from_numpy(np.array([[frame.occupancy for frame in own] for own in episodes])),
    )


def to_input(
    history: History, ego: BicycleState, vehicle: VehicleParameters, road_map: RoadMap | None
) -> PlanningInput:
    """All that a planner is shown (B = 1): the history, and the ego's own motion as it is."""
    motion = (ego.speed, ego.acceleration, ego.yaw_rate(vehicle))
    return PlanningInput(history, EgoState(*(torch.tensor([v]) for v in motion)), (road_map,), history.route)


def _box_tracks(frames: Sequence[Keyframe]) -> BoxTracks:
    """Boxes of each frame in its own ego frame, B = 1; one slot a track."""
    tracks = np.unique(np.concatenate([frame.agents.track for frame in frames]))
    result = BoxTracks.empty(1, len(frames), len(tracks))
    result.track[:] = torch.from_numpy(tracks)
    for number, frame in enumerate(frames):
        agents, T_ego_global = frame.agents, se3.inverse(frame.T_global_ego)
        turn = -se3.to_se2(frame.T_global_ego)[2]
        cos, sin = np.cos(turn), np.sin(turn)
        slot = torch.from_numpy(np.searchsorted(tracks, agents.track))
        for field, value in (
            (result.center, se3.transform_points(T_ego_global, agents.boxes[:, :3])),
            (result.size, agents.boxes[:, 3:6]),
            (result.yaw, wrap_angle(agents.boxes[:, 6] + turn)),
            (result.velocity, agents.velocity @ np.array([[cos, sin], [-sin, cos]])),
            (result.label, agents.label),
        ):
            field[0, number, slot] = torch.from_numpy(np.ascontiguousarray(value)).to(field.dtype)
        result.valid[0, number, slot] = True
    return result


def _lidar(sweeps: list[ShownSweep | None]) -> dict[str, Tensor]:
    """The fields of a `History` that are about LiDAR; none without sweeps."""
    if any(sweep is None for sweep in sweeps):
        return {}
    valid = _padded([np.ones(len(sweep.points), bool) for sweep in sweeps])
    return {
        "points": _padded([sweep.points for sweep in sweeps]).float(),
        "points_valid": valid,
        "points_time_s": torch.zeros(valid.shape),
        "T_ego_lidar": _stacked([sweep.T_ego_lidar for sweep in sweeps]).float(),
        "ray_directions": _padded([sweep.directions for sweep in sweeps]).float(),
        "ray_hit": _padded([sweep.hit for sweep in sweeps]),
    }


def _stacked(arrays: list[np.ndarray | None]) -> Tensor | None:
    return None if arrays[0] is None else torch.from_numpy(np.stack(arrays))[None]


def _padded(arrays: list[np.ndarray]) -> Tensor:
    """`(1, T, N, ...)`: arrays `(N_k, ...)` with zeros behind."""
    result = np.zeros((1, len(arrays), max(map(len, arrays)), *arrays[0].shape[1:]), arrays[0].dtype)
    for number, array in enumerate(arrays):
        result[0, number, : len(array)] = array
    return torch.from_numpy(result)
