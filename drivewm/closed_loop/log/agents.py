"""Recorded road users: played back, or following their own recorded paths behind whoever is ahead."""

from __future__ import annotations

import numpy as np

from drivewm.closed_loop.log.recorded_path import RecordedPath, offset_from
from drivewm.dynamics.idm import IDMParameters, idm_acceleration
from drivewm.geometry import se2
from drivewm.geometry.boxes import bev_corners, polygons_overlap
from drivewm.simulation import AgentBoxes
from drivewm.structures.labels import OCC3D
from drivewm.structures.rollout import AgentTracks

MOTOR_VEHICLES = tuple(OCC3D.index(n) for n in ("bus", "car", "construction_vehicle", "motorcycle", "truck"))
"""Who may react. Bicycles are played back, as in nuPlan, and so are trailers: they do not drive by themselves."""
_MOVES_M = 2.0
_SIGHT_M = 60.0
_PASSED_M = 0.5
_EGO = -1


class LogAgents:
    """The road users of a recording at its steps, beside an ego that need not do what was recorded.

    Without `idm` all are played back. With it, motor vehicles that move by more than 2 m in the recording follow the
    line that they drove, by the Intelligent Driver Model (nuPlan's reactive agents follow lanes instead; the
    constants of `NUPLAN_IDM` are theirs). The leader is whoever is in the strip of the own width ahead, the ego
    included. The speed that a driver wishes for is the highest one recorded within 10 m of where it is (at least
    2 m/s), so it slows down in bends as in the recording and gets going again where it once stood; lights are not
    known. A vehicle appears when it was recorded first, or later, once its place is free, no faster than it can
    brake. It is gone when it was recorded last, or reaches the end of its path before; if it stood there in the
    recording, it waits there. All others are played back, and do not see the ego.

    Args:
        tracks: the recording in steps of `dt_s` [s], global frame. Where velocities are NaN, differences of the
            positions take their place.
        category: nuScenes category name of each of the N tracks.
        idm: of those that react (its `desired_speed` is not used), or None to play all back.
        speed_factor: `(N,)` by which each driver's wished speed is multiplied; None is 1.
    """

    def __init__(
        self,
        tracks: AgentTracks,
        category: tuple[str, ...],
        dt_s: float,
        idm: IDMParameters | None = None,
        speed_factor: np.ndarray | None = None,
    ) -> None:
        steps, count = tracks.valid.shape
        if len(category) != count:
            raise ValueError(f"category has {len(category)} names, expected one for each of {count} tracks")
        if not dt_s > 0:
            raise ValueError(f"dt_s must be positive, got {dt_s}")
        if steps == 0:
            raise ValueError("tracks have no steps, expected at least one")
        factor = np.ones(count) if speed_factor is None else np.asarray(speed_factor, np.float64)
        if factor.shape != (count,) or not (factor > 0).all():
            raise ValueError(f"speed_factor must be {count} positive numbers, got {speed_factor}")
        self.tracks, self.category, self.dt_s, self.idm, self._factor = tracks, tuple(category), dt_s, idm, factor
        self._recorded_velocity = _velocity(tracks, dt_s)
        moves = extent(tracks) > _MOVES_M
        self._parked = ~moves & np.isin(tracks.label, MOTOR_VEHICLES)
        reacts = moves & np.isin(tracks.label, MOTOR_VEHICLES) & (idm is not None)
        speed = np.hypot(*np.moveaxis(self._recorded_velocity, -1, 0))
        self._paths = {
            int(i): RecordedPath(tracks.boxes[:, i], speed[:, i], tracks.valid[:, i]) for i in np.flatnonzero(reacts)
        }
        self._recorded_speed, self._replayed = speed, ~reacts
        self.reset(0)

    def reset(self, step: int) -> None:
        """Put everybody where recorded at a step; ValueError if there is no such step."""
        if not 0 <= step < len(self.tracks.valid):
            raise ValueError(f"step must lie in 0..{len(self.tracks.valid) - 1} (the recording's), got {step}")
        self._step = step
        self._drivers: dict[int, _Driver] = {}
        self._waiting = [i for i, path in self._paths.items() if path.first > step]
        for i, path in self._paths.items():
            if path.first <= step <= path.last:
                self._drivers[i] = self._driver(i, step)

    def step(self, ego_box: np.ndarray, ego_speed: float) -> None:
        """Advance by `dt_s`.

        Args:
            ego_box: `(7,)` where the ego is now, before the step, global frame.
            ego_speed: along its heading [m/s].
        """
        ego_box = np.asarray(ego_box, np.float64)
        if ego_box.shape != (7,):
            raise ValueError(f"ego_box must have shape (7,), got {ego_box.shape}")
        slot, boxes, velocity = self._everybody(ego_box, ego_speed)
        wishes = {i: self._acceleration(i, driver, slot, boxes, velocity) for i, driver in self._drivers.items()}
        self._step += 1
        for i, acceleration in wishes.items():
            self._drivers[i].advance(acceleration, self.dt_s)
        self._drivers = {i: driver for i, driver in self._drivers.items() if not self._has_left(i, driver)}
        self._let_in(ego_box, ego_speed)

    def boxes(self) -> AgentBoxes:
        """Those present now, in the order of the tracks."""
        slot, boxes, velocity = self._present()
        return AgentBoxes(
            boxes,
            velocity,
            self.tracks.label[slot],
            self.tracks.track[slot],
            tuple(self.category[i] for i in slot),
            self._parked[slot],
        )

    def _present(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Slots `(M,)` of those present, their boxes `(M, 7)` and velocities `(M, 2)`."""
        tracks, here = self.tracks, np.zeros(len(self.category), bool)
        if self._step < len(tracks.valid):
            here |= tracks.valid[self._step] & self._replayed
        here[list(self._drivers)] = True
        slot = np.flatnonzero(here)
        row = min(self._step, len(tracks.valid) - 1)
        boxes, velocity = tracks.boxes[row, slot].copy(), self._recorded_velocity[row, slot].copy()
        for number, i in enumerate(slot):
            if i in self._drivers:
                boxes[number], velocity[number] = self._drivers[i].box(), self._drivers[i].velocity()
        return slot, boxes, velocity

    def _everybody(self, ego_box: np.ndarray, ego_speed: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        slot, boxes, velocity = self._present()
        ego_velocity = ego_speed * np.array([np.cos(ego_box[6]), np.sin(ego_box[6])])
        return np.append(slot, _EGO), np.vstack([boxes, ego_box]), np.vstack([velocity, ego_velocity])

    def _driver(self, i: int, step: int) -> _Driver:
        path = self._paths[i]
        nearest = int(np.abs(np.flatnonzero(self.tracks.valid[:, i]) - step).argmin())
        seen = np.flatnonzero(self.tracks.valid[:, i])[nearest]
        return _Driver(path, step, self.tracks.boxes[seen, i, 3:6], float(self._recorded_speed[seen, i]))

    def _acceleration(self, i, driver, slot, boxes, velocity) -> float:
        wish = self._factor[i] * driver.path.desired_speed(driver.station)
        gap, lead_speed = driver.leaders(boxes[slot != i], velocity[slot != i])
        if driver.path.stands_at_end:
            gap = np.append(gap, driver.path.length_m - driver.station + self.idm.min_gap)
            lead_speed = np.append(lead_speed, 0.0)
        gap, lead_speed = np.append(gap, np.inf), np.append(lead_speed, 0.0)  # the free road
        return float(idm_acceleration(driver.speed, gap, lead_speed, self.idm, wish).min())

    def _has_left(self, i: int, driver: _Driver) -> bool:
        path = self._paths[i]
        return self._step > path.last or (not path.stands_at_end and driver.station > path.length_m + _PASSED_M)

    def _let_in(self, ego_box: np.ndarray, ego_speed: float) -> None:
        self._waiting = [i for i in self._waiting if self._step <= self._paths[i].last]
        for i in [i for i in self._waiting if self._step >= self._paths[i].first]:
            driver = self._driver(i, self._paths[i].first)
            _, boxes, velocity = self._everybody(ego_box, ego_speed)
            if polygons_overlap(bev_corners(driver.box()), bev_corners(boxes)).any():
                continue
            gap, lead_speed = driver.leaders(boxes, velocity)
            room = 2 * self.idm.deceleration * np.maximum(gap - self.idm.min_gap, 0.0)
            driver.speed = float(np.min(np.sqrt(np.maximum(lead_speed, 0.0) ** 2 + room), initial=driver.speed))
            self._drivers[i] = driver
            self._waiting.remove(i)


class _Driver:
    """A vehicle on its recorded path: from where it was recorded at a step it goes on by arc length."""

    def __init__(self, path: RecordedPath, step: int, size: np.ndarray, speed: float) -> None:
        self.path, self.size, self.speed = path, size, speed
        self.station = self._begin = path.station_at(step)
        # The line cuts off what the recording jitters: the difference fades instead of making the box jump.
        self._offset = offset_from(path.pose(self.station), path.recorded(step))

    def advance(self, acceleration: float, dt_s: float) -> None:
        speed = max(self.speed + acceleration * dt_s, 0.0)
        self.station += 0.5 * (self.speed + speed) * dt_s
        self.speed = speed

    def box(self) -> np.ndarray:
        x, y, z, yaw = self.path.pose(self.station, self._offset, self.station - self._begin)
        return np.array([x, y, z, *self.size, se2.wrap_angle(yaw)])

    def velocity(self) -> np.ndarray:
        return self.speed * self.path.tangent(np.array(self.station))

    def leaders(self, boxes: np.ndarray, velocity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gap [m] to each of `boxes (M, 7)` that is in the way, and its speed along the path there [m/s]."""
        low, high, half = self.station - 10.0, self.station + _SIGHT_M, self.size[1] / 2
        own = self.path.pose(self.station)
        near = np.hypot(boxes[:, 0] - own[0], boxes[:, 1] - own[1]) < _SIGHT_M
        boxes, velocity = boxes[near], velocity[near]
        along, left = self.path.project(boxes[:, :2], low, high)
        # By the circle around each box first: most are far from the strip.
        near = (along > self.station) & (np.abs(left) < half + np.hypot(boxes[:, 3], boxes[:, 4]) / 2)
        boxes, velocity = boxes[near], velocity[near]
        if not len(boxes):
            return np.zeros(0), np.zeros(0)
        points = _outline(boxes).reshape(-1, 2)
        along, left = (v.reshape(len(boxes), -1) for v in self.path.project(points, low, high))
        beside = np.isfinite(left)
        leads = (np.where(beside, left, np.inf).min(1) < half) & (np.where(beside, left, -np.inf).max(1) > -half)
        nearest = np.where(beside, along, np.inf).min(1)[leads]
        gap = nearest - self.station - self.size[0] / 2
        return gap, (velocity[leads] * self.path.tangent(nearest)).sum(-1)


def _outline(boxes: np.ndarray) -> np.ndarray:
    """Corners and middles of the sides `(M, 8, 2)` of boxes `(M, 7)`."""
    corners = bev_corners(boxes)
    return np.concatenate([corners, (corners + np.roll(corners, -1, axis=1)) / 2], axis=1)


def extent(tracks: AgentTracks) -> np.ndarray:
    """How far each track gets away from where it was first `(N,)` [m]."""
    if tracks.valid.size == 0:
        return np.zeros(tracks.valid.shape[1])
    first = tracks.boxes[tracks.valid.argmax(0), np.arange(tracks.valid.shape[1]), :2]
    away = np.hypot(*np.moveaxis(tracks.boxes[..., :2] - first, -1, 0))
    return np.where(tracks.valid, away, 0.0).max(0)


def _velocity(tracks: AgentTracks, dt_s: float) -> np.ndarray:
    """`(T, N, 2)` [m/s]: the recorded one; where it is NaN, from the positions before and after, or else 0."""
    velocity = tracks.velocity.copy()
    for i in np.flatnonzero((tracks.valid & np.isnan(velocity).any(-1)).any(0)):
        steps = np.flatnonzero(tracks.valid[:, i])
        difference = np.zeros((len(steps), 2))
        if len(steps) > 1:
            difference = np.gradient(tracks.boxes[steps, i, :2], steps * dt_s, axis=0)
        unknown = np.isnan(velocity[steps, i]).any(-1)
        velocity[steps[unknown], i] = difference[unknown]
    return velocity
