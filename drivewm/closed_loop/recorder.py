"""Collects an episode's physics steps into a `Rollout`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drivewm.dynamics.bicycle import BicycleState, VehicleParameters
from drivewm.geometry import se2
from drivewm.planning.protocol import PLAN_DT_S, PLAN_STEPS
from drivewm.simulation.simulator import AgentBoxes
from drivewm.structures.road_map import RoadMap
from drivewm.structures.rollout import AgentTracks, LightStates, Rollout
from drivewm.structures.trajectory import Trajectory


class RolloutRecorder:
    """One `add` a physics step; agents may come and go between steps.

    Args:
        dt_s: time between steps [s].
        vehicle: the ego.
        road_map: where one may drive, if it is known.
        route: `(P, 2)` [m] global polyline.
        light_lane: `(S,)` connectors with lights; None if lights are not known.
    """

    def __init__(
        self,
        dt_s: float,
        vehicle: VehicleParameters,
        road_map: RoadMap | None,
        route: np.ndarray,
        light_lane: np.ndarray | None = None,
    ):
        self.dt_s, self.vehicle, self.road_map, self.route = dt_s, vehicle, road_map, route
        self.light_lane = light_lane
        self._warm_up: list[BicycleState] = []
        self._egos: list[BicycleState] = []
        self._agents: list[AgentBoxes] = []
        self._red: list[np.ndarray] = []
        self._plans: list[np.ndarray] = []
        self._plan_steps: list[int] = []

    def add_warm_up(self, ego: BicycleState) -> None:
        """The ego's motion before the first step."""
        self._warm_up.append(ego)

    def add(self, ego: BicycleState, agents: AgentBoxes, red: np.ndarray | None = None) -> None:
        """What is the case now; `red (S,)` bool says which lights are."""
        self._egos.append(ego)
        self._agents.append(agents)
        if self.light_lane is not None:
            self._red.append(red)

    def add_plan(self, start: np.ndarray, plan: Trajectory) -> np.ndarray:
        """A plan made now, at the pose `start (3,)`: as global poses `(F + 1, 3)`, the first being the present one."""
        poses = np.concatenate([start[None], se2.compose(start, plan.poses[0].double().numpy())])
        self._plans.append(poses)
        self._plan_steps.append(len(self._egos) - 1)
        return poses

    def before(self) -> RolloutRecorder:
        """A recorder of an episode that begins where this one is now: all that was driven is its warm-up."""
        other = RolloutRecorder(self.dt_s, self.vehicle, self.road_map, self.route, self.light_lane)
        other._warm_up = [*self._warm_up, *self._egos[:-1]]
        return other

    def rollout(self) -> Rollout:
        """All steps so far."""
        lights = None
        if self.light_lane is not None:
            lights = LightStates(
                self.light_lane, np.array(self._red, bool).reshape(len(self._egos), len(self.light_lane))
            )
        warm_up = np.array([[*ego.pose, ego.speed, ego.acceleration] for ego in self._warm_up]).reshape(-1, 5)
        return Rollout(
            dt_s=self.dt_s,
            poses=np.array([ego.pose for ego in self._egos]).reshape(-1, 3),
            speed=np.array([ego.speed for ego in self._egos]),
            acceleration=np.array([ego.acceleration for ego in self._egos]),
            length_m=self.vehicle.length_m,
            width_m=self.vehicle.width_m,
            rear_axle_to_center_m=self.vehicle.rear_axle_to_center_m,
            agents=agent_tracks(self._agents),
            road_map=self.road_map,
            route=self.route,
            lights=lights,
            warm_up=warm_up,
            plans=np.array(self._plans).reshape(-1, PLAN_STEPS + 1, 3),
            plan_step=np.array(self._plan_steps, np.int64),
            plan_dt_s=PLAN_DT_S,
        )


def agent_tracks(moments: Sequence[AgentBoxes]) -> AgentTracks:
    """Those present at each step as tracks, in the order of their identities."""
    seen = np.concatenate([agents.track for agents in moments] or [np.zeros(0, np.int64)])
    tracks, first = np.unique(seen, return_index=True)
    labels = np.concatenate([agents.label for agents in moments] or [np.zeros(0, np.int64)])[first]
    boxes, velocity = np.zeros((len(moments), len(tracks), 7)), np.zeros((len(moments), len(tracks), 2))
    valid = np.zeros((len(moments), len(tracks)), bool)
    for step, agents in enumerate(moments):
        slots = np.searchsorted(tracks, agents.track)
        boxes[step, slots], velocity[step, slots], valid[step, slots] = agents.boxes, agents.velocity, True
    return AgentTracks(boxes, velocity, labels.astype(np.int64), tracks.astype(np.int64), valid)
