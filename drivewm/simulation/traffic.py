"""Vehicles that follow lanes: what each sees ahead, how it accelerates, where it goes next."""

from __future__ import annotations

import numpy as np

from drivewm.dynamics.idm import IDMParameters, idm_acceleration
from drivewm.geometry import se2
from drivewm.simulation import _traffic_kernels as kernels
from drivewm.simulation import chance
from drivewm.simulation.kinds import BICYCLE
from drivewm.simulation.lane_change import Drift, worth_changing
from drivewm.simulation.scenario import Driver
from drivewm.simulation.scripts import Actors, Script
from drivewm.simulation.stops import REACH_M, Stops
from drivewm.simulation.town import Town
from drivewm.simulation.walkers import Walkers

EGO = 0
PATH_LANES = 7
TRAFFIC_IDM = IDMParameters(min_gap=2.0, headway=1.1, acceleration=2.0, deceleration=2.0, max_braking=7.0)
EXPERT_IDM = IDMParameters(min_gap=2.5, headway=1.3, acceleration=1.8, deceleration=1.8, max_braking=7.0)
_CURVE_BRAKING = 1.3
_STOP_SHARE, _STOP_SHARE_ON_ROUTE, _STOP_SPAN_S = 0.1, 0.35, 20.0
SPEED_SPREAD = 0.1
"""Standard deviation of the logarithm of speeds when they are drawn again."""
# Lane changes: where in a lane they may begin, how often a driver thinks of one, how far drivers differ.
_AFTER_JUNCTION_M, _BEFORE_JUNCTION_M = 14.0, 38.0
_THINK_STEPS, _REST_STEPS = 5, 60
_SLOWEST_CHANGE = 3.0
_FORESIGHT_S = np.arange(0.5, 3.01, 0.5)


class Traffic:
    """All vehicles, the ego in row 0, the scenario's drivers in the next ones; arrays `(N,)` or `(N, ...)`.

    The ego's row is moved by its own dynamics (`place_ego`); its acceleration is what the expert would do.

    Attributes:
        paths: `(N, PATH_LANES)` lanes: the last one, the current one, the next ones.
        station: of the vehicle's centre in the current lane [m].
        speed, acceleration: [m/s], [m/s^2].
        size: `(N, 3)` length, width, height [m].
        kind: index into `KINDS`.
        shift: how far to the left of the centreline it keeps [m].
        drift: how far it still is from there after a change of lanes.
        desired: desired speed [m/s].
        poses: `(N, 3)` of the vehicle's centre, global frame.
    """

    def __init__(
        self,
        town: Town,
        seed: int,
        route: tuple[int, ...],
        drivers: tuple[Driver, ...],
        lane,
        station,
        speed,
        desired,
        size,
        kind,
        shift,
        loyal,
    ):
        self.town, self.seed, self.route = town, seed, route
        self.station, self.speed, self.desired = station.copy(), speed.copy(), desired.copy()
        self.size, self.kind, self.shift = size.copy(), kind.copy(), shift.copy()
        self.acceleration = np.zeros(len(lane))
        self.poses = np.zeros((len(lane), 3))
        self.stops, self.drift = Stops(town), Drift(len(lane))
        self._choices = np.zeros(len(lane), np.int64)
        self._loyal = loyal.copy()
        self._follow = {a: b for a, b in zip(route, route[1:], strict=False)}
        self.paths = np.full((len(lane), PATH_LANES), -1, np.int64)
        for i in range(len(lane)):
            self.paths[i, 0], self.paths[i, 1] = town.lanes.predecessors[lane[i]][0], lane[i]
            for k in range(2, PATH_LANES):
                self.paths[i, k] = self._choose(i, self.paths[i, k - 1])
        self._stop_at_s, self._stop_for_s, self._stop_braking = self._stop_whims(lane)
        numbers = np.arange(len(lane))
        self._reluctance = -0.1 + 0.7 * chance.uniform(seed, 15, numbers)
        self.script = Script(drivers)
        self._stop_for_s[EGO + 1 : len(drivers) + 1] = 0.0
        self._steps, self._rested_at = 0, np.zeros(len(lane), np.int64)

    def _stop_whims(self, lane: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """When each driver stops for no reason, for how long (mostly 0) and how hard it brakes; `lane` is where."""
        numbers = np.arange(len(lane))
        stop_at_s = chance.uniform(self.seed, 11, numbers) * _STOP_SPAN_S
        # Vehicles on the ego's route stop more often: for its leaders, that is what makes driving a matter of looking.
        share = np.where(np.isin(lane, self.route[:6]), _STOP_SHARE_ON_ROUTE, _STOP_SHARE)
        stop_for_s = np.where(
            chance.uniform(self.seed, 12, numbers) < share, 1.5 + 3.0 * chance.uniform(self.seed, 13, numbers), 0.0
        )
        return stop_at_s, stop_for_s, 1.5 + 3.0 * chance.uniform(self.seed, 14, numbers)

    def redraw(self, seed: int, time_s: float) -> None:
        """From now on chance decides otherwise: turns that are not near yet, stops not begun, desired speeds (10 %)."""
        self.seed, free = seed, np.arange(len(self)) > len(self.script.drivers)
        lane = self.paths[:, 1]
        far = self.town.lanes.table.length[lane] - self.station > _BEFORE_JUNCTION_M
        for i in np.flatnonzero(free & far & ~self.town.lanes.is_connector[lane]):
            for k in range(2, PATH_LANES):
                self.paths[i, k] = self._choose(i, self.paths[i, k - 1])
        stop_at_s, stop_for_s, braking = self._stop_whims(lane)
        free &= (time_s <= self._stop_at_s) | (time_s >= self._stop_at_s + self._stop_for_s)  # has not begun
        self._stop_at_s = np.where(free, stop_at_s, self._stop_at_s)
        self._stop_for_s = np.where(free, stop_for_s * (stop_at_s > time_s), self._stop_for_s)
        self._stop_braking = np.where(free, braking, self._stop_braking)
        self.desired *= np.exp(SPEED_SPREAD * np.random.default_rng([seed, 16]).normal(size=len(self)))

    def __len__(self) -> int:
        return len(self.station)

    def boxes(self) -> np.ndarray:
        """Boxes `(N, 7)`, global frame."""
        return np.column_stack([self.poses[:, :2], self.size[:, 2] / 2, self.size, se2.wrap_angle(self.poses[:, 2])])

    def velocity(self) -> np.ndarray:
        """Velocities `(N, 2)` [m/s]."""
        return self.speed[:, None] * np.stack([np.cos(self.poses[:, 2]), np.sin(self.poses[:, 2])], axis=-1)

    def update_poses(self) -> None:
        """Put all vehicles but the ego where their station is."""
        poses = np.empty_like(self.poses)
        left_m, yaw = self.shift + self.drift.offset_m, np.arctan2(self.drift.rate, np.maximum(self.speed, 2.0))
        kernels.vehicle_poses(self.paths, self.station, self.size, left_m, yaw, *self._lane_arrays(), poses)
        self.poses[EGO + 1 :] = poses[EGO + 1 :]

    def place_ego(self, center_pose: np.ndarray, speed: float, route_index: int, station: float) -> None:
        """Tell the traffic where the ego is: its centre's pose, and its place on its route."""
        self.poses[EGO], self.speed[EGO], self.station[EGO] = center_pose, speed, station
        lanes = [
            self.route[k] if 0 <= k < len(self.route) else -1
            for k in range(route_index - 1, route_index + PATH_LANES - 1)
        ]
        if lanes[0] < 0:
            lanes[0] = self.town.lanes.predecessors[lanes[1]][0]
        self.paths[EGO] = lanes

    def perceive(self, walkers: Walkers, actors: Actors, time_s: float, lights: np.ndarray) -> None:
        """Find every vehicle's acceleration: for leaders, curves, junctions, lights `(L,)`, crossings and whims."""
        obstacles = np.concatenate([self.boxes(), walkers.boxes(), actors.boxes()])
        velocity = np.concatenate([self.velocity(), walkers.velocity(), actors.velocity()])
        gap, lead_speed, allowed = self._look_ahead(len(self), obstacles, velocity)
        stop_gap = self.stops.gaps(self, walkers, lights)
        target = np.minimum(self.desired, allowed)
        self.acceleration = self._idm(TRAFFIC_IDM, gap, lead_speed, stop_gap, target)
        self.acceleration[EGO] = self._idm(EXPERT_IDM, gap, lead_speed, stop_gap, target)[EGO]
        if len(actors):
            self._foresee(actors, target)
        stopping = (time_s > self._stop_at_s) & (time_s < self._stop_at_s + self._stop_for_s)
        stopping &= ~self.town.lanes.is_connector[self.paths[:, 1]] & (self.station > self.size[:, 0] / 2 + 6.0)
        stopping[EGO] = False
        self.acceleration = np.where(stopping, np.minimum(self.acceleration, -self._stop_braking), self.acceleration)
        self.script.direct(self, time_s)

    def _look_ahead(self, count, obstacles, velocity):
        """Gap, speed of the leader and allowed speed of the first `count` vehicles, see the kernel."""
        gap, lead_speed, allowed = np.empty(count), np.empty(count), np.empty(count)
        rows = slice(0, count)
        kernels.look_ahead(
            self.paths[rows],
            self.station[rows],
            self.size[rows],
            self.shift[rows],
            self.drift.offset_m[rows],
            self.drift.remaining_m(self.speed)[rows],
            np.full(count, _CURVE_BRAKING),
            obstacles,
            velocity,
            *self._lane_arrays(),
            REACH_M,
            0.3,
            gap,
            lead_speed,
            allowed,
        )
        return gap, lead_speed, allowed

    def _foresee(self, actors: Actors, target: np.ndarray) -> None:
        """The expert knows where actors are about to be, and keeps clear of it."""
        later = [actors.boxes(ahead_s) for ahead_s in _FORESIGHT_S]
        obstacles = np.concatenate([self.boxes()[EGO : EGO + 1], *later])
        gap, lead_speed, _ = self._look_ahead(1, obstacles, np.zeros((len(obstacles), 2)))
        wish = idm_acceleration(self.speed[EGO], gap[EGO], lead_speed[EGO], EXPERT_IDM, target[EGO])
        self.acceleration[EGO] = min(self.acceleration[EGO], float(wish))

    def _idm(self, parameters, gap, lead_speed, stop_gap, target):
        behind = idm_acceleration(self.speed, gap, lead_speed, parameters, target)
        # A stop line is no bumper: one may come close to it.
        at_line = idm_acceleration(self.speed, stop_gap + parameters.min_gap - 0.3, 0.0, parameters, target)
        slow_down = np.where(self.speed > target, np.maximum(1.2 * (target - self.speed), -3.0), np.inf)
        return np.minimum(np.minimum(behind, at_line), slow_down)

    def step(self, dt_s: float) -> None:
        """Move all vehicles but the ego by `dt_s`."""
        self._change_lanes()
        self.drift.step(dt_s, self.speed)
        before = self.speed.copy()
        speed = np.maximum(before + self.acceleration * dt_s, 0.0)
        moved = 0.5 * (before + speed) * dt_s
        self.speed[EGO + 1 :] = speed[EGO + 1 :]
        self.station[EGO + 1 :] += moved[EGO + 1 :]
        length = self.town.lanes.table.length
        for i in np.flatnonzero(self.station > length[self.paths[:, 1]]):
            if i != EGO:
                self.station[i] -= length[self.paths[i, 1]]
                self.paths[i, :-1] = self.paths[i, 1:]
                self.paths[i, -1] = self._choose(i, self.paths[i, -2])
        self.update_poses()

    def _choose(self, i, lane):
        options = self.town.lanes.successors[lane]
        if self._loyal[i] and self._follow.get(int(lane)) is not None:
            return self._follow[int(lane)]
        self._choices[i] += 1
        return options[int(chance.uniform(self.seed, 5, i, self._choices[i]) * len(options))]

    def _lane_arrays(self):
        table = self.town.lanes.table
        return table.first, table.length, table.step, table.points, table.heading, self.town.lanes.speed

    def way_to(self, lane: int, station: float) -> tuple[np.ndarray, np.ndarray]:
        """Vehicles (rows) with that lane ahead, and the way from their front bumper to a station of it [m]."""
        rows, columns = np.nonzero(self.paths[:, 1:5] == lane)
        length = self.town.lanes.table.length
        before = np.concatenate([np.zeros((len(self), 1)), np.cumsum(length[self.paths[:, 1:4]], axis=1)], axis=1)
        return rows, before[rows, columns] + station - self.station[rows] - self.size[rows, 0] / 2

    def _change_lanes(self) -> None:
        """Let drivers move over where they get on better there and nobody is in the way."""
        self._steps += 1
        lanes, current = self.town.lanes, self.paths[:, 1]
        room = lanes.table.length[current] - self.station
        free = (lanes.beside[current] >= 0).any(1) & (self.station > _AFTER_JUNCTION_M) & (room > _BEFORE_JUNCTION_M)
        free &= (self.speed > _SLOWEST_CHANGE) & (self._steps >= self._rested_at) & (self.kind != BICYCLE)
        free &= (self._steps + np.arange(len(self))) % _THINK_STEPS == 0
        free[: EGO + 1 + len(self.script.drivers)] = False
        for i in np.flatnonzero(free & ~self.drift.active):
            for side, lane in enumerate(lanes.beside[current[i]]):
                if lane >= 0 and self._gains(i, lane):
                    self.move_over(i, side)
                    break

    def _gains(self, i: int, lane: int) -> bool:
        station, _ = self._beside(i, lane)
        # Those that are leaving the lane are still partly in it.
        leaving = self.drift.active & (self.paths[:, 1] == self.paths[i, 1])
        others = np.flatnonzero((self.paths[:, 1] == lane) | leaving)
        others = others[others != i]
        away, reach = self.station[others] - station, (self.size[others, 0] + self.size[i, 0]) / 2
        ahead, behind = (np.inf, 0.0), (np.inf, 0.0, 1.0)
        if (away >= 0).any():
            j = np.argmin(np.where(away >= 0, away - reach, np.inf))
            ahead = float(away[j] - reach[j]), float(self.speed[others[j]])
        if (away < 0).any():
            j = np.argmin(np.where(away < 0, -away - reach, np.inf))
            behind = float(-away[j] - reach[j]), float(self.speed[others[j]]), float(self.desired[others[j]])
        speed, desired = float(self.speed[i]), float(self.desired[i])
        return worth_changing(
            speed, float(self.acceleration[i]) + self._reluctance[i], desired, ahead, behind, TRAFFIC_IDM
        )

    def move_over(self, i: int, side: int) -> None:
        """Begin a lane change to the left (side 0) or right (1), where there is such a lane."""
        lane = int(self.town.lanes.beside[self.paths[i, 1], side])
        station, left_m = self._beside(i, lane)
        self.station[i], self._rested_at[i] = station, self._steps + _REST_STEPS
        self.paths[i, :2] = self.town.lanes.predecessors[lane][0], lane
        for k in range(2, PATH_LANES):
            self.paths[i, k] = self._choose(i, self.paths[i, k - 1])
        self.drift.begin(i, left_m - self.shift[i])

    def _beside(self, i: int, lane: int) -> tuple[float, float]:
        """Where a vehicle is, seen from the lane beside its own: station and distance to the left [m]."""
        line = self.town.lanes.table.polyline(lane)
        x, y = (line - self.poses[i, :2]).T
        nearest = int(np.argmin(x**2 + y**2))
        station = np.array([nearest * self.town.lanes.table.step[lane]])
        pose = self.town.lanes.table.pose(np.array([lane]), station)
        along, left = se2.transform_points(se2.inverse(pose[0]), self.poses[i : i + 1, :2])[0]
        return float(station[0] + along), float(left)
