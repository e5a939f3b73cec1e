"""What a planner sees, and what a closed-loop episode leaves behind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from drivewm.structures.clip import History
from drivewm.structures.road_map import RoadMap
from drivewm.structures.route import Route


@dataclass
class EgoState:
    """The ego's motion at t0, each `(B,)` float32, in its own frame.

    Attributes:
        speed: forward speed [m/s].
        acceleration: forward acceleration [m/s^2].
        yaw_rate: turn to the left [rad/s].
    """

    speed: Tensor
    acceleration: Tensor
    yaw_rate: Tensor

    @classmethod
    def from_history(cls, history: History) -> EgoState:
        """By finite differences of the last observed poses; acceleration is 0 where only two were observed."""
        speed, yaw_rate, acceleration = history.motion()
        return cls(speed, acceleration, yaw_rate)


@dataclass
class PlanningInput:
    """All that a planner may look at. Privileged planners get an oracle at construction instead and are marked.

    Attributes:
        history: the observed frames, t0 last.
        ego_state: the motion at t0.
        road_map: the map in the global frame (`history.T_global_ego` leads there), or None; for B > 1 one per sample.
        route: the route in the ego frame at t0, or None.
    """

    history: History
    ego_state: EgoState
    road_map: tuple[RoadMap | None, ...]
    route: Route | None


@dataclass(frozen=True)
class AgentTracks:
    """All agents over the T steps of an episode; N agents, absent ones not valid.

    Attributes:
        boxes: `(T, N, 7)` float64 centre x, y, z, length, width, height [m], yaw [rad], global frame.
        velocity: `(T, N, 2)` [m/s], global frame.
        label: `(N,)` int64 classes of `OCC3D`.
        track: `(N,)` int64 identities.
        valid: `(T, N)` bool.
    """

    boxes: np.ndarray
    velocity: np.ndarray
    label: np.ndarray
    track: np.ndarray
    valid: np.ndarray

    def __post_init__(self) -> None:
        steps, count = self.valid.shape
        expected = {"boxes": (steps, count, 7), "velocity": (steps, count, 2), "label": (count,), "track": (count,)}
        for field, shape in expected.items():
            if getattr(self, field).shape != shape:
                raise ValueError(
                    f"AgentTracks.{field} must have shape {shape} (as valid says), got {getattr(self, field).shape}"
                )


@dataclass(frozen=True)
class Rollout:
    """A driven closed-loop episode at physics steps, warm-up left out.

    Attributes:
        dt_s: time between steps [s].
        poses: `(T, 3)` float64 global x, y [m], yaw [rad] of the ego's rear axle.
        speed, acceleration: `(T,)` along the ego's x axis [m/s], [m/s^2].
        length_m, width_m: the ego's footprint; `rear_axle_to_center_m` shifts its centre ahead of the pose.
        agents: everything else that moves or is parked.
        road_map: where one may drive.
        route: `(P, 2)` [m] global polyline that was to be followed.
    """

    dt_s: float
    poses: np.ndarray
    speed: np.ndarray
    acceleration: np.ndarray
    length_m: float
    width_m: float
    rear_axle_to_center_m: float
    agents: AgentTracks
    road_map: RoadMap
    route: np.ndarray

    def ego_boxes(self) -> np.ndarray:
        """`(T, 7)` footprint boxes of the ego (height 1.5 m), global frame."""
        x, y, yaw = self.poses.T
        x, y = x + self.rear_axle_to_center_m * np.cos(yaw), y + self.rear_axle_to_center_m * np.sin(yaw)
        size = [np.full_like(x, v) for v in (self.length_m, self.width_m, 1.5)]
        return np.stack([x, y, np.full_like(x, 0.75), *size, yaw], axis=-1)
