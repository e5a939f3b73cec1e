"""Collects an episode's physics steps into a `Rollout`."""

from __future__ import annotations

import numpy as np

from drivewm.dynamics.bicycle import BicycleState, VehicleParameters
from drivewm.simulation.simulator import AgentBoxes
from drivewm.structures.planning import AgentTracks, Rollout
from drivewm.structures.road_map import RoadMap


class RolloutRecorder:
    """One `add` a physics step; agents may come and go between steps."""

    def __init__(self, dt_s: float, vehicle: VehicleParameters, road_map: RoadMap, route: np.ndarray):
        self.dt_s, self.vehicle, self.road_map, self.route = dt_s, vehicle, road_map, route
        self._egos: list[BicycleState] = []
        self._agents: list[AgentBoxes] = []

    def add(self, ego: BicycleState, agents: AgentBoxes) -> None:
        """What is the case now."""
        self._egos.append(ego)
        self._agents.append(agents)

    def rollout(self) -> Rollout:
        """All steps so far."""
        return Rollout(
            dt_s=self.dt_s,
            poses=np.array([ego.pose for ego in self._egos]).reshape(-1, 3),
            speed=np.array([ego.speed for ego in self._egos]),
            acceleration=np.array([ego.acceleration for ego in self._egos]),
            length_m=self.vehicle.length_m,
            width_m=self.vehicle.width_m,
            rear_axle_to_center_m=self.vehicle.rear_axle_to_center_m,
            agents=self._tracks(),
            road_map=self.road_map,
            route=self.route,
        )

    def _tracks(self) -> AgentTracks:
        steps = len(self._agents)
        seen = np.concatenate([agents.track for agents in self._agents] or [np.zeros(0, np.int64)])
        tracks, first = np.unique(seen, return_index=True)
        labels = np.concatenate([agents.label for agents in self._agents] or [np.zeros(0, np.int64)])[first]
        boxes, velocity = np.zeros((steps, len(tracks), 7)), np.zeros((steps, len(tracks), 2))
        valid = np.zeros((steps, len(tracks)), bool)
        for step, agents in enumerate(self._agents):
            slots = np.searchsorted(tracks, agents.track)
            boxes[step, slots], velocity[step, slots], valid[step, slots] = agents.boxes, agents.velocity, True
        return AgentTracks(boxes, velocity, labels.astype(np.int64), tracks.astype(np.int64), valid)
