"""What a planner is shown: the keyframes that an episode has come through, as the readers of recordings give them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from drivewm.geometry import se2
from drivewm.geometry.voxel_grid import VoxelGrid
from drivewm.simulation import AgentBoxes, LidarSweep
from drivewm.structures.boxes import BoxTracks
from drivewm.structures.clip import History
from drivewm.structures.route import Route


@dataclass(frozen=True)
class Keyframe:
    """What was observed at one moment.

    Attributes:
        timestamp_us: [microseconds].
        T_global_ego: `(4, 4)`.
        agents: road users, global frame.
        occupancy: `(X, Y, Z)` uint8 in the ego frame, if a grid is wanted.
        sweep: of the LiDAR, if it is wanted.
    """

    timestamp_us: int
    T_global_ego: np.ndarray
    agents: AgentBoxes
    occupancy: np.ndarray | None = None
    sweep: LidarSweep | None = None


def to_history(frames: Sequence[Keyframe], grid: VoxelGrid | None, route: Route, scene: str) -> History:
    """The keyframes as a `History` with B = 1, the last one being t0."""
    return History(
        timestamp_us=torch.tensor([[frame.timestamp_us for frame in frames]]),
        T_global_ego=torch.from_numpy(np.stack([frame.T_global_ego for frame in frames]))[None],
        scene=(scene,),
        sample_token=(f"{scene}-{frames[-1].timestamp_us}",),
        grid=grid,
        occupancy=None if grid is None else torch.from_numpy(np.stack([f.occupancy for f in frames]))[None],
        boxes=_box_tracks(frames),
        route=route,
        command=route.command(),
        **_lidar(frames),
    )


def _box_tracks(frames: Sequence[Keyframe]) -> BoxTracks:
    """Boxes of each frame in its own ego frame, B = 1; one slot a track."""
    tracks = np.unique(np.concatenate([frame.agents.track for frame in frames]))
    result = BoxTracks.empty(1, len(frames), len(tracks))
    result.track[:] = torch.from_numpy(tracks)
    for number, frame in enumerate(frames):
        agents, ego = frame.agents, se2.from_matrix(frame.T_global_ego)
        slot = torch.from_numpy(np.searchsorted(tracks, agents.track))
        pose = se2.relative(ego, agents.boxes[:, [0, 1, 6]])
        cos, sin = math.cos(ego[2]), math.sin(ego[2])
        velocity = agents.velocity @ np.array([[cos, -sin], [sin, cos]])
        center = np.column_stack([pose[:, :2], agents.boxes[:, 2] - frame.T_global_ego[2, 3]])
        for field, value in (
            (result.center, center),
            (result.size, agents.boxes[:, 3:6]),
            (result.yaw, pose[:, 2]),
            (result.velocity, velocity),
            (result.label, agents.label),
        ):
            field[0, number, slot] = torch.from_numpy(np.ascontiguousarray(value)).to(field.dtype)
        result.valid[0, number, slot] = True
    return result


def _lidar(frames: Sequence[Keyframe]) -> dict[str, torch.Tensor]:
    """Points in each frame's own ego frame, padded, and every ray that was sent; nothing without sweeps."""
    sweeps = [frame.sweep for frame in frames]
    if any(sweep is None for sweep in sweeps):
        return {}
    most = max(len(sweep.points) for sweep in sweeps)
    points = np.zeros((1, len(sweeps), most, 4), np.float32)
    valid = np.zeros((1, len(sweeps), most), bool)
    for number, sweep in enumerate(sweeps):
        points[0, number, : len(sweep.points)] = sweep.points_ego()[:, :4]
        valid[0, number, : len(sweep.points)] = True
    arrays = {
        "points": points,
        "points_valid": valid,
        "points_time_s": np.zeros(valid.shape, np.float32),
        "T_ego_lidar": np.stack([sweep.T_ego_lidar for sweep in sweeps])[None].astype(np.float32),
        "ray_directions": np.stack([sweep.ray_directions for sweep in sweeps])[None],
        "ray_hit": np.stack([sweep.ray_hit for sweep in sweeps])[None],
    }
    return {name: torch.from_numpy(array) for name, array in arrays.items()}
