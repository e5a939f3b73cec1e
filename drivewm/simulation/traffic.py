"""Vehicles that follow lanes: what each sees ahead, how it accelerates, where it goes next."""

from __future__ import annotations

import numpy as np

from drivewm.dynamics.idm import IDMParameters, idm_acceleration
from drivewm.geometry import se2
from drivewm.simulation import _traffic_kernels as kernels
from drivewm.simulation import chance
from drivewm.simulation.rights import Approach, RightOfWay
from drivewm.simulation.town import Town
from drivewm.simulation.walkers import Walkers

EGO = 0
PATH_LANES = 7
REACH_M = 55.0
TRAFFIC_IDM = IDMParameters(min_gap=2.0, headway=1.1, acceleration=2.0, deceleration=2.0, max_braking=7.0)
EXPERT_IDM = IDMParameters(min_gap=2.5, headway=1.3, acceleration=1.8, deceleration=1.8, max_braking=7.0)
_CROSSING_STOP_M = 2.3
_CURVE_BRAKING = 1.3
_STOP_SHARE, _STOP_SHARE_ON_ROUTE, _STOP_SPAN_S = 0.1, 0.35, 20.0
_ASK_M = 6.0


class Traffic:
    """All vehicles, the ego in row 0; arrays `(N,)` or `(N, ...)`.

    The ego's row is moved by its own dynamics (`place_ego`); its acceleration is what the expert would do.

    Attributes:
        paths: `(N, PATH_LANES)` lanes: the last one, the current one, the next ones.
        station: of the vehicle's centre in the current lane [m].
        speed, acceleration: [m/s], [m/s^2].
        size: `(N, 3)` length, width, height [m].
        kind: index into `KINDS`.
        shift: how far to the left of the centreline it keeps [m].
        desired: desired speed [m/s].
        poses: `(N, 3)` of the vehicle's centre, global frame.
    """

    def __init__(
        self, town: Town, seed: int, route: tuple[int, ...], lane, station, speed, desired, size, kind, shift, loyal
    ):
        self.town, self.seed, self.route = town, seed, route
        self.station, self.speed, self.desired = station.copy(), speed.copy(), desired.copy()
        self.size, self.kind, self.shift = size.copy(), kind.copy(), shift.copy()
        self.acceleration = np.zeros(len(lane))
        self.poses = np.zeros((len(lane), 3))
        self.rights = RightOfWay(town.lanes)
        self._choices = np.zeros(len(lane), np.int64)
        self._loyal = loyal.copy()
        self._follow = {a: b for a, b in zip(route, route[1:], strict=False)}
        self.paths = np.full((len(lane), PATH_LANES), -1, np.int64)
        for i in range(len(lane)):
            self.paths[i, 0], self.paths[i, 1] = town.lanes.predecessors[lane[i]][0], lane[i]
            for k in range(2, PATH_LANES):
                self.paths[i, k] = self._choose(i, self.paths[i, k - 1])
        numbers = np.arange(len(lane))
        self._stop_at_s = chance.uniform(seed, 11, numbers) * _STOP_SPAN_S
        # Vehicles on the ego's route stop more often: for its leaders, that is what makes driving a matter of looking.
        share = np.where(np.isin(lane, route[:6]), _STOP_SHARE_ON_ROUTE, _STOP_SHARE)
        self._stop_for_s = np.where(
            chance.uniform(seed, 12, numbers) < share, 1.5 + 3.0 * chance.uniform(seed, 13, numbers), 0.0
        )
        self._stop_braking = 1.5 + 3.0 * chance.uniform(seed, 14, numbers)
        lanes = town.lanes
        self._lane_crossings = [
            (lane, station, crossing, -1 if lanes.forward[lane] else 1)
            for lane in range(len(lanes))
            for station, crossing in town.walks.lane_crossings[lane]
        ]
        # Vehicles without the right of way stop here, before the crossing if the junction's entry has one.
        self._stop_line_m = np.full(len(lanes), 1.0)
        for lane, station, _, _ in self._lane_crossings:
            to_end = lanes.table.length[lane] - station
            if to_end < 8.0:
                self._stop_line_m[lane] = to_end + _CROSSING_STOP_M

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
        kernels.vehicle_poses(self.paths, self.station, self.size, self.shift, *self._lane_arrays(), poses)
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

    def perceive(self, walkers: Walkers, time_s: float) -> None:
        """Find every vehicle's acceleration: for leaders, curves, junctions, crossings and whims."""
        count = len(self)
        obstacles = np.concatenate([self.boxes(), walkers.boxes()])
        velocity = np.concatenate([self.velocity(), walkers.velocity()])
        gap, lead_speed, allowed = np.empty(count), np.empty(count), np.empty(count)
        braking = np.full(count, _CURVE_BRAKING)
        kernels.look_ahead(
            self.paths,
            self.station,
            self.size,
            self.shift,
            braking,
            obstacles,
            velocity,
            *self._lane_arrays(),
            REACH_M,
            0.3,
            gap,
            lead_speed,
            allowed,
        )
        walking, waiting = walkers.crossing_traffic()
        stop_gap = np.minimum(self._crossing_gap(walking, waiting), self._junction_gap(walking))
        target = np.minimum(self.desired, allowed)
        self.acceleration = self._idm(TRAFFIC_IDM, gap, lead_speed, stop_gap, target)
        self.acceleration[EGO] = self._idm(EXPERT_IDM, gap, lead_speed, stop_gap, target)[EGO]
        stopping = (time_s > self._stop_at_s) & (time_s < self._stop_at_s + self._stop_for_s)
        stopping &= ~self.town.lanes.is_connector[self.paths[:, 1]] & (self.station > self.size[:, 0] / 2 + 6.0)
        stopping[EGO] = False
        self.acceleration = np.where(stopping, np.minimum(self.acceleration, -self._stop_braking), self.acceleration)

    def _idm(self, parameters, gap, lead_speed, stop_gap, target):
        behind = idm_acceleration(self.speed, gap, lead_speed, parameters, target)
        # A stop line is no bumper: one may come close to it.
        at_line = idm_acceleration(self.speed, stop_gap + parameters.min_gap - 0.3, 0.0, parameters, target)
        slow_down = np.where(self.speed > target, np.maximum(1.2 * (target - self.speed), -3.0), np.inf)
        return np.minimum(np.minimum(behind, at_line), slow_down)

    def step(self, dt_s: float) -> None:
        """Move all vehicles but the ego by `dt_s`."""
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

    def _to_station(self, lane: int, station: float) -> tuple[np.ndarray, np.ndarray]:
        """Vehicles (rows) with that lane ahead, and the way from their front bumper to a station of it [m]."""
        rows, columns = np.nonzero(self.paths[:, 1:5] == lane)
        length = self.town.lanes.table.length
        before = np.concatenate([np.zeros((len(self), 1)), np.cumsum(length[self.paths[:, 1:4]], axis=1)], axis=1)
        return rows, before[rows, columns] + station - self.station[rows] - self.size[rows, 0] / 2

    def _crossing_gap(self, walking, waiting):
        gap = np.full(len(self), np.inf)
        for lane, station, crossing, side in self._lane_crossings:
            busy = (crossing, side) in walking
            if not busy and (crossing, side) not in waiting:
                continue
            rows, to_middle = self._to_station(lane, station)
            to_line = to_middle - _CROSSING_STOP_M
            care = (to_line > -1.5) & (to_line < REACH_M)
            if not busy:
                care &= self.speed[rows] ** 2 < 2 * 2.2 * np.maximum(to_line, 0.0)
            np.minimum.at(gap, rows[care], np.maximum(to_line[care], 0.05))
        return gap

    def _junction_gap(self, walking):
        lanes = self.town.lanes
        room = np.full(len(lanes), np.inf)
        rear = self.station - self.size[:, 0] / 2 + 1.2 * self.speed
        np.minimum.at(room, self.paths[:, 1], rear)
        busy = np.zeros(len(lanes), bool)
        for lane, station, crossing, side in self._lane_crossings:
            busy[lane] |= station < 6.0 and (crossing, side) in walking
        approaches, lines = [], {}
        for i in range(len(self)):
            previous, current, following = self.paths[i, :3]
            if following < 0:
                continue
            half = self.size[i, 0] / 2
            if lanes.is_connector[current]:
                approaches.append(Approach(i, int(current), -self.station[i] - half, True, True, self.size[i, 0]))
            elif lanes.is_connector[previous] and self.station[i] < half:
                inside = -self.station[i] - half - lanes.table.length[previous]
                approaches.append(Approach(i, int(previous), inside, True, True, self.size[i, 0]))
            else:
                to_entry = lanes.table.length[current] - self.station[i] - half
                to_line = to_entry - self._stop_line_m[current]
                committed = to_line < -1.0 or self.speed[i] ** 2 > 2 * 4.5 * max(to_line, 0.0) + 0.3
                asks = to_line < _ASK_M + 1.0 * self.speed[i] + self.speed[i] ** 2 / (2 * 2.2)
                approaches.append(Approach(i, int(following), to_entry, bool(asks), bool(committed), self.size[i, 0]))
                lines[i] = (int(following), to_line)
        self.rights.update(approaches, room, busy)
        gap = np.full(len(self), np.inf)
        for i, (connector, to_line) in lines.items():
            if not self.rights.may_enter(i, connector) and to_line < REACH_M:
                gap[i] = max(to_line, 0.05)
        return gap
