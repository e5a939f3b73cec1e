"""What a closed-loop episode leaves behind: the ego's motion and plans, the others, the lights, the map."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from drivewm.structures.road_map import RoadMap


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
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ValueError(
                    f"AgentTracks.{name} must have shape {shape} (as valid says), got {getattr(self, name).shape}"
                )


@dataclass(frozen=True)
class LightStates:
    """Traffic lights over the T steps of an episode.

    Attributes:
        lane: `(S,)` int64 connectors that have a light, as in `RoadMap.lanes`.
        red: `(T, S)` bool; yellow is not red.
    """

    lane: np.ndarray
    red: np.ndarray

    def __post_init__(self) -> None:
        if self.lane.ndim != 1 or self.red.ndim != 2 or self.red.shape[1] != len(self.lane):
            raise ValueError(f"LightStates needs lane (S,), red (T, S), got {self.lane.shape} and {self.red.shape}")


@dataclass(frozen=True)
class Rollout:
    """A driven closed-loop episode at physics steps, warm-up left out.

    Attributes:
        dt_s: time between steps [s].
        poses: `(T, 3)` float64 global x, y [m], yaw [rad] of the ego's rear axle.
        speed, acceleration: `(T,)` along the ego's x axis [m/s], [m/s^2].
        length_m, width_m: the ego's footprint; `rear_axle_to_center_m` shifts its centre ahead of the pose.
        agents: everything else that moves or is parked.
        road_map: where one may drive; None where no map is known.
        route: `(P, 2)` [m] global polyline that was to be followed.
        lights: of the map's connectors; None where they are not known.
        warm_up: `(W, 5)` the ego's x, y [m], yaw [rad], speed [m/s] and acceleration [m/s^2] at the steps before.
        plans: `(K, F + 1, 3)` global poses of each plan, begun by where the ego was then, `plan_dt_s` [s] apart; none
            where the environment's own driver drove.
        plan_step: `(K,)` int64 the step at which each was made.
    """

    dt_s: float
    poses: np.ndarray
    speed: np.ndarray
    acceleration: np.ndarray
    length_m: float
    width_m: float
    rear_axle_to_center_m: float
    agents: AgentTracks
    road_map: RoadMap | None
    route: np.ndarray
    lights: LightStates | None = None
    warm_up: np.ndarray = field(default_factory=lambda: np.zeros((0, 5)))
    plans: np.ndarray = field(default_factory=lambda: np.zeros((0, 9, 3)))
    plan_step: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    plan_dt_s: float = 0.5

    def ego_boxes(self) -> np.ndarray:
        """`(T, 7)` footprint boxes of the ego (height 1.5 m), global frame."""
        x, y, yaw = self.poses.T
        x, y = x + self.rear_axle_to_center_m * np.cos(yaw), y + self.rear_axle_to_center_m * np.sin(yaw)
        size = [np.full_like(x, v) for v in (self.length_m, self.width_m, 1.5)]
        return np.stack([x, y, np.full_like(x, 0.75), *size, yaw], axis=-1)
