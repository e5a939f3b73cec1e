"""People: they walk along sidewalks, wait at kerbs, and cross where vehicles can let them."""

from __future__ import annotations

import numpy as np

from drivewm.geometry import se2
from drivewm.geometry.boxes import points_in_boxes
from drivewm.simulation import chance
from drivewm.simulation.kinds import KINDS, PEDESTRIAN, draw_sizes
from drivewm.simulation.walkways import CROSSING, CROSSING_WIDTH_M, WalkNet

_CROSSING_HASTE = 1.25
_CROSSING_SHARE = 0.2
# Drivers stop for people who have been waiting this long [s].
_PATIENCE_S = 2.0
_STEP_M = 0.7
_COMFORTABLE_BRAKING = 2.2


class Walkers:
    """All people of an episode; arrays `(W,)`.

    Attributes:
        way, station: where they are.
        plan: the crossing way that they will take when they come to it, -1 if none.
        waiting_s: how long they have been waiting at the kerb [s], 0 if they walk.
    """

    def __init__(self, walks: WalkNet, seed: int, way: np.ndarray, station: np.ndarray, plan: np.ndarray) -> None:
        rng = np.random.default_rng([seed, 3])
        count = len(way)
        self.walks, self.seed = walks, seed
        self.way, self.station, self.plan = way.copy(), station.copy(), plan.copy()
        self.size = draw_sizes(rng, np.full(count, PEDESTRIAN))
        self.speed = rng.uniform(*KINDS[PEDESTRIAN].speed, count)
        self.shift = rng.uniform(-0.75, 0.75, count)
        self.waiting_s = np.zeros(count)
        self._halted = np.zeros(count, bool)
        self._choices = np.zeros(count, np.int64)
        self._next = np.full(count, -1, np.int64)

    def __len__(self) -> int:
        return len(self.way)

    def redraw(self, seed: int, spread: float) -> None:
        """From now on chance decides otherwise: ways, and speeds, whose logarithm varies by `spread`."""
        self.seed = seed
        self.speed *= np.exp(spread * np.random.default_rng([seed, 17]).normal(size=len(self)))

    @property
    def crossing(self) -> np.ndarray:
        """Who is on a crossing: bool `(W,)`."""
        return self.walks.kind[self.way] == CROSSING

    def boxes(self) -> np.ndarray:
        """Boxes `(W, 7)`, global frame."""
        pose = self.walks.table.pose(self.way, self.station, self.shift)
        middle = self.size[:, 2] / 2
        return np.column_stack([pose[:, :2], middle, self.size, se2.wrap_angle(pose[:, 2])])

    def velocity(self) -> np.ndarray:
        """Velocities `(W, 2)` [m/s]."""
        yaw = self.walks.table.pose(self.way, self.station)[:, 2]
        speed = self._pace() * ~(self._halted | (self.waiting_s > 0.0))
        return np.stack([speed * np.cos(yaw), speed * np.sin(yaw)], axis=-1)

    def _pace(self):
        return self.speed * np.where(self.crossing, _CROSSING_HASTE, 1.0)

    def step(self, dt_s: float, vehicles: np.ndarray, speed: np.ndarray, may_walk: np.ndarray) -> None:
        """Walk on for `dt_s`, among vehicles with boxes `(N, 7)` and speeds `(N,)` [m/s].

        `may_walk (C,)` bool is what the signals of the crossings show.
        """
        self._halted = (self.waiting_s > 0.0) | self._blocked(vehicles)
        self.station += np.where(self._halted, 0.0, self._pace() * dt_s)
        for i in np.flatnonzero(self.station >= self.walks.table.length[self.way]):
            if self._next[i] < 0:
                self._next[i] = self._choose(i)
            following = self._next[i]
            allowed = self.walks.kind[following] != CROSSING or (
                may_walk[self.walks.crossing[following]] and self._may_cross(following, vehicles, speed)
            )
            if not allowed:
                self.station[i] = self.walks.table.length[self.way[i]]
                self.waiting_s[i] += dt_s
                continue
            self.station[i] = max(self.station[i] - self.walks.table.length[self.way[i]], 0.0)
            self.way[i], self._next[i], self.waiting_s[i] = following, -1, 0.0

    def _blocked(self, vehicles):
        """Who on a crossing would walk into a vehicle with the next step?"""
        blocked = self.crossing.copy()
        on_road = np.flatnonzero(blocked)
        ahead = self.walks.table.pose(self.way[on_road], self.station[on_road] + _STEP_M, self.shift[on_road])
        boxes = vehicles.copy()
        boxes[:, 2] = 0.0
        points = np.column_stack([ahead[:, :2], np.zeros(len(on_road))])
        blocked[on_road] = points_in_boxes(points, boxes, 0.3).any(1)
        return blocked

    def _choose(self, i):
        options = self.walks.successors[self.way[i]]
        if not options:
            return int(self.way[i]) ^ 1
        if self.plan[i] in options:
            chosen, self.plan[i] = int(self.plan[i]), -1
            return chosen
        weight = np.array([_CROSSING_SHARE if self.walks.kind[o] == CROSSING else 1.0 for o in options])
        self._choices[i] += 1
        draw = chance.uniform(self.seed, 7, i, self._choices[i])
        return options[
            int(np.searchsorted(np.cumsum(weight / weight.sum()), draw, side="right").clip(0, len(options) - 1))
        ]

    def _may_cross(self, way, vehicles, speed):
        """Is every vehicle that comes towards the crossing able to stop, standing, or past it?"""
        pose = self.walks.crossing_pose[self.walks.crossing[way]]
        local = se2.transform_points(se2.inverse(vehicles[:, [0, 1, 6]]), pose[None, None, :2])[:, 0]
        to_edge = local[:, 0] - vehicles[:, 3] / 2 - CROSSING_WIDTH_M / 2
        on_street = np.abs(local[:, 1]) < self.walks.crossing_half_m[self.walks.crossing[way]] + 0.7
        coming = on_street & (local[:, 0] > -vehicles[:, 3] / 2 - CROSSING_WIDTH_M / 2)
        room = speed**2 / (2 * _COMFORTABLE_BRAKING) + 0.7 * speed + 0.6
        return not bool((coming & (to_edge < room)).any())

    def crossing_traffic(self) -> tuple[dict[int, list[tuple[float, float]]], set[int]]:
        """Who uses which crossing, and at which crossings people wait so long that drivers should stop if they can.

        For each person on a crossing: how far to the left of its centre, seen along the street [m], and the direction
        of their walk, 1 to the left and -1 to the right. `in_lane` tells whether that concerns a lane.
        """
        walking: dict[int, list[tuple[float, float]]] = {}
        for i in np.flatnonzero(self.crossing):
            crossing = int(self.walks.crossing[self.way[i]])
            across = self.walks.crossing_half_m[crossing] - self.station[i]
            even = self.way[i] % 2 == 0  # even ways lead from left to right
            walking.setdefault(crossing, []).append((across if even else -across, -1.0 if even else 1.0))
        waiting = np.flatnonzero(self.waiting_s > _PATIENCE_S)
        return walking, {int(self.walks.crossing[self._next[i]]) for i in waiting}


def in_lane(lane_left_m: float, people: list[tuple[float, float]]) -> bool:
    """Are some of these people on a crossing in that lane, or about to be? See `Walkers.crossing_traffic`."""
    return any(-1.7 < (lane_left_m - left) * direction < 7.0 for left, direction in people)
