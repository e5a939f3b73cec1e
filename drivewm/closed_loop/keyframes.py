"""What an environment keeps of each observed moment, and the boxes of several moments as planners get them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch

from drivewm.closed_loop.log_lidar import ResimulatedSweep
from drivewm.geometry import se3
from drivewm.geometry.se2 import wrap_angle
from drivewm.simulation import AgentBoxes
from drivewm.structures.boxes import BoxTracks


@dataclass(frozen=True)
class Keyframe:
    """One observed moment.

    Attributes:
        timestamp_us: when.
        T_global_ego: `(4, 4)`.
        agents: the others, global frame.
        occupancy: `(X, Y, Z)` uint8 in the ego frame, or None.
        visible: `(X, Y, Z)` bool, what of it was ever seen, or None for all.
        sweep: what the LiDAR measures, or None.
    """

    timestamp_us: int
    T_global_ego: np.ndarray
    agents: AgentBoxes
    occupancy: np.ndarray | None
    visible: np.ndarray | None = None
    sweep: ResimulatedSweep | None = None


def box_tracks(frames: Collection[Keyframe]) -> BoxTracks:
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


def lidar_fields(frames: Collection[Keyframe]) -> dict[str, torch.Tensor]:
    """The fields of a `History` that are about LiDAR, B = 1; intensities are not simulated: 0."""
    sweeps = [frame.sweep for frame in frames]
    points = [np.pad(sweep.points_ego(), [(0, 0), (0, 1)]) for sweep in sweeps]
    valid, points = _padded([np.ones(len(p), bool) for p in points]), _padded(points)
    return {
        "points": points.float(),
        "points_valid": valid,
        "points_time_s": torch.zeros(valid.shape),
        "T_ego_lidar": torch.from_numpy(np.stack([sweep.T_ego_lidar for sweep in sweeps]))[None].float(),
        "ray_directions": _padded([sweep.directions for sweep in sweeps]).float(),
        "ray_hit": _padded([sweep.hit for sweep in sweeps]),
    }


def _padded(arrays: list[np.ndarray]) -> torch.Tensor:
    """`(1, T, N, ...)`: arrays `(N_k, ...)` with zeros behind."""
    longest = max(map(len, arrays))
    result = np.zeros((1, len(arrays), longest, *arrays[0].shape[1:]), arrays[0].dtype)
    for number, array in enumerate(arrays):
        result[0, number, : len(array)] = array
    return torch.from_numpy(result)
