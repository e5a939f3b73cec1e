"""RoadLights: which stop lines of a town a light closes; it depends on the time alone, not on who drives."""

from __future__ import annotations

import math

import numpy as np

from drivewm.dynamics.bicycle import VehicleParameters
from drivewm.simulation.signals import GREEN, RED
from drivewm.simulation.stops import PASSED_M, stop_lines
from drivewm.simulation.town import Town


class RoadLights:
    """The lights of a town and where vehicles stop at them.

    Args:
        town: whose lights.
        vehicle: whose bumper passes the stop lines.
    """

    def __init__(self, town: Town, vehicle: VehicleParameters) -> None:
        self._signals, self._successors = town.signals, town.lanes.successors
        self._lane = lane = town.signals.lanes(town.lanes)
        self._stop = town.lanes.table.pose(lane, town.lanes.table.length[lane] - stop_lines(town)[lane])
        self._front_m = vehicle.rear_axle_to_center_m + vehicle.length_m / 2

    def closed(self, pose: np.ndarray, time_s: float) -> np.ndarray:
        """Stop lines `(N, 2)` [m, global] that a light closes at a time of the lights, and that a vehicle whose rear
        axle is at `pose (3,)` has not passed: yellow counts."""
        states = self._signals.states(time_s)
        stop = self._stop[np.array([states[self._successors[lane][0]] != GREEN for lane in self._lane], bool)]
        bumper = pose[:2] + self._front_m * np.array([math.cos(pose[2]), math.sin(pose[2])])
        ahead = ((stop[:, :2] - bumper) * np.stack([np.cos(stop[:, 2]), np.sin(stop[:, 2])], axis=-1)).sum(-1)
        return stop[ahead > PASSED_M, :2]

    def states(self, time_s: float) -> tuple[np.ndarray, np.ndarray]:
        """Connectors with a light `(S,)`, and whether it is red at a time of the lights: bool `(S,)`."""
        lane = np.flatnonzero(self._signals.phase >= 0)
        return lane, self._signals.states(time_s)[lane] == RED
