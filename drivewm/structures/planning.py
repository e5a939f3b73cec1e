"""What a planner sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from drivewm.structures.clip import History
from drivewm.structures.road_map import RoadMap
from drivewm.structures.rollout import Rollout
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
    """All that a planner may look at. A privileged one is given an `Oracle` besides, at construction.

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


class Oracle(Protocol):
    """The truth of one episode. Only privileged planners get one, at construction, and tables mark them."""

    def future(self) -> Rollout:
        """The coming 4 s at physics steps, now being the first, if the environment's own driver drives on from here.

        In a recorded drive that is what was recorded, wherever the ego is now.
        """
        ...
