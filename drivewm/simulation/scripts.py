"""Those who are there because the scenario needs them: drivers with one act, and actors on lines of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from drivewm.geometry import se2
from drivewm.simulation import paths
from drivewm.simulation.kinds import draw_sizes
from drivewm.simulation.scenario import Actor, Driver

if TYPE_CHECKING:
    from drivewm.simulation.traffic import Traffic

_PACE = 0.5  # by how much faster a driver goes for each metre that the ego has come too near [1/s]
_PACE_SPEEDS = (1.0, 14.0)
_BRAKING, _WAIT_S = 6.0, 4.0
_SLOWER = 0.65  # of its speed, after it has cut in
_ROOM_M = 25.0  # to the junction: no lane change begins later
_STOPPING = 4.0


class Script:
    """What the drivers of a scenario do; they are the vehicles after the ego, rows 1 to D."""

    def __init__(self, drivers: tuple[Driver, ...]) -> None:
        self.drivers = drivers
        self.acted_s = np.full(len(drivers), np.inf)

    def direct(self, traffic: Traffic, time_s: float) -> None:
        """Set desired speeds, and let those act whose time has come; after the traffic has looked around."""
        ego = traffic.poses[0]
        for number, driver in enumerate(self.drivers):
            row = number + 1
            ahead = float(se2.relative(ego, traffic.poses[row])[0] - (traffic.size[0, 0] + traffic.size[row, 0]) / 2)
            if np.isinf(self.acted_s[number]):
                if driver.keep_m is not None:
                    pace = traffic.speed[0] + _PACE * (driver.keep_m - ahead)
                    traffic.desired[row] = np.clip(pace, *_PACE_SPEEDS)
                if driver.act and time_s >= driver.after_s and self._may_act(traffic, row, driver, ahead):
                    self.acted_s[number] = time_s
                    traffic.desired[row] = max(_SLOWER * traffic.speed[row], 2.0)
                    if driver.act != "brake":
                        traffic.move_over(row, 0 if driver.act == "left" else 1)
            if driver.act == "brake" and self.acted_s[number] <= time_s < self.acted_s[number] + _WAIT_S:
                traffic.acceleration[row] = -_BRAKING

    @staticmethod
    def _may_act(traffic, row, driver, ahead):
        """Is it about where it is to be, and is there room?"""
        lanes, lane = traffic.town.lanes, traffic.paths[row, 1]
        if not 0.6 * driver.keep_m < ahead < 2.0 * driver.keep_m or lanes.is_connector[lane]:
            return False
        if driver.act == "brake":
            return True
        beside = lanes.beside[lane, 0 if driver.act == "left" else 1]
        return beside >= 0 and lanes.table.length[lane] - traffic.station[row] > _ROOM_M


class Actors:
    """The actors of a scenario; arrays `(A,)`.

    Attributes:
        kind: index into `KINDS`.
        station, speed: on their lines [m], [m/s].
        started: bool.
    """

    def __init__(self, actors: tuple[Actor, ...], seed: int) -> None:
        self.actors = actors
        self.kind = np.array([a.kind for a in actors], np.int64)
        self.size = draw_sizes(np.random.default_rng([seed, 4]), self.kind)
        self._lines = paths.PathTable([paths.resample(np.array(a.line, np.float64)) for a in actors])
        self.station, self.speed = np.zeros(len(actors)), np.zeros(len(actors))
        self.started = np.zeros(len(actors), bool)

    def __len__(self) -> int:
        return len(self.actors)

    def step(self, dt_s: float, ego_front_m: float, ego_speed: float) -> None:
        """Move for `dt_s`; the ego's front bumper is at that station of its route."""
        for number, actor in enumerate(self.actors):
            arrival_s = (actor.meet_m - ego_front_m) / max(ego_speed, 1.0)
            self.started[number] |= arrival_s <= actor.lead_s
            left_m = self._lines.length[number] - self.station[number]
            cruise = actor.speed if self.started[number] else 0.0
            self.speed[number] = min(cruise, np.sqrt(2.0 * _STOPPING * left_m), left_m / dt_s)
            self.station[number] += self.speed[number] * dt_s

    def boxes(self, ahead_s: float = 0.0) -> np.ndarray:
        """Boxes `(A, 7)`, global frame, now or some time ahead."""
        station = np.minimum(self.station + self.speed * ahead_s, self._lines.length)
        pose = self._lines.pose(np.arange(len(self)), station)
        return np.column_stack([pose[:, :2], self.size[:, 2] / 2, self.size, se2.wrap_angle(pose[:, 2])])

    def velocity(self) -> np.ndarray:
        """Velocities `(A, 2)` [m/s]."""
        yaw = self._lines.pose(np.arange(len(self)), self.station)[:, 2]
        return self.speed[:, None] * np.stack([np.cos(yaw), np.sin(yaw)], axis=-1)
