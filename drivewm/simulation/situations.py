"""Situations: each completes a draft of a scenario with those who take part, or rejects its route."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from drivewm.geometry import se2
from drivewm.simulation import kinds, paths
from drivewm.simulation.kinds import KINDS
from drivewm.simulation.scenario import WARM_UP_S, Actor, Driver, Scenario
from drivewm.simulation.signals import YELLOW_S
from drivewm.simulation.streets import LANE_WIDTH_M, Street
from drivewm.simulation.town import Town

_ACCELERATION = 1.5  # about that of the expert
_BUMPER_M = 2.6  # from the ego's centre
_ACT_S = (2.5, 4.5)
_CUT_IN_SPEEDS = (5.5, 7.0)
_WALK_SPEED, _WALK_ON_M, _BEHIND_M = 1.6, 1.3, 2.0
_SIDE_SPEED, _FRONTAL_SPEED = 8.0, 7.0
_VEER_M = 14.0
_QUIET_DENSITY = 0.4
_KEPT_S = 2.0


@dataclass(frozen=True)
class Draft:
    """A route in the making: what a family completes, or rejects.

    Attributes:
        rng: for whatever is to be chosen.
        who, where: kind of the other road user, and sort of the street in which it happens.
        base: a nominal scenario on the route, begun at low speed.
        line, along: its route `(P, 2)` and arc length `(P,)` [m].
        begin: station of the route at which each lane begins [m].
    """

    rng: np.random.Generator
    town: Town
    who: int
    where: str
    base: Scenario
    line: np.ndarray
    along: np.ndarray
    begin: np.ndarray

    def fits(self, lane: int) -> bool:
        """Is that a lane of a street of the wanted sort?"""
        street = self.town.lanes.street[lane]
        return street >= 0 and is_place(self.town.streets[street], self.where)

    def arrival_s(self, station_m: float) -> float:
        """About when the ego's bumper gets to a station of the route, if nothing is in its way [s]."""
        way = station_m - self.base.start_m - _BUMPER_M
        v0, v1 = self.base.initial_speed, self.base.desired_speed
        ramp_s = (v1 - v0) / _ACCELERATION
        ramp_m = (v0 + v1) / 2 * ramp_s
        if way < ramp_m:
            return -WARM_UP_S + (np.sqrt(v0**2 + 2 * _ACCELERATION * max(way, 0.0)) - v0) / _ACCELERATION
        return -WARM_UP_S + ramp_s + (way - ramp_m) / v1

    def pose(self, station_m: float, left_m: float = 0.0) -> np.ndarray:
        """`(3,)` at a station of the route, beside it."""
        return paths.PathTable([self.line]).pose(np.zeros(1, int), np.array([station_m]), left_m)[0]

    def station_at(self, time_s: float) -> float:
        """The station that the ego's bumper reaches at about that time [m]."""
        stations = np.arange(self.base.start_m, self.along[-1], 1.0)
        return float(stations[np.searchsorted([self.arrival_s(s) for s in stations], time_s)])


def is_place(street: Street, where: str) -> bool:
    """Is a street of a sort: a "street" or an "avenue", each straight or a "bend"?"""
    return ("avenue" in where) == (street.lanes > 1) and ("bend" in where) == street.curved


def cut_in(d: Draft) -> Scenario | None:
    """Someone in the lane beside moves over, close ahead."""
    lane = d.base.route[0]
    sides = [side for side in (0, 1) if d.town.lanes.beside[lane, side] >= 0]
    if not sides or d.town.lanes.table.length[lane] < 68.0:
        return None
    side = int(d.rng.choice(sides))
    start = d.base.start_m + _BUMPER_M + 9.0 + _length(d.who) / 2
    act, beside = ("right", "left")[side], int(d.town.lanes.beside[lane, side])
    driver = Driver(d.who, beside, start, keep_m=7.0, act=act, after_s=float(d.rng.uniform(*_ACT_S)))
    # Slowly, or the street would end before it happens.
    speed = float(d.rng.uniform(*_CUT_IN_SPEEDS))
    return replace(d.base, desired_speed=speed, initial_speed=0.5, drivers=(driver,), clear_lanes=(lane, beside))


def hard_brake(d: Draft) -> Scenario | None:
    """The vehicle ahead brakes to a standstill."""
    start = d.base.start_m + _BUMPER_M + 10.0 + _length(d.who) / 2
    after_s = float(d.rng.uniform(_ACT_S[0], 9.0))
    driver = Driver(d.who, d.base.route[0], start, keep_m=11.0, act="brake", after_s=after_s)
    return replace(d.base, drivers=(driver,), clear_lanes=d.base.route[:3])


def hidden_pedestrian(d: Draft) -> Scenario | None:
    """Somebody walks on to the road from behind a parked vehicle."""
    scenery = d.town.scenery
    for number in d.rng.permutation(np.flatnonzero(scenery.parked_kinds == d.who)):
        box = scenery.parked_boxes[number]
        nearest = int(np.argmin(np.hypot(*(d.line - box[:2]).T)))
        left_m = float(se2.relative(d.pose(d.along[nearest]), box[[0, 1, 6]])[1])
        meet_m = float(d.along[nearest] + box[3] / 2 + 1.0)
        if not 2.5 < abs(left_m) < 9.0 or not 4.0 < d.arrival_s(meet_m) < 9.0 or not _in_place(d, meet_m):
            continue
        side = np.sign(left_m)
        from_m = abs(left_m) + box[4] / 2 + _BEHIND_M
        line = [d.pose(meet_m, side * m)[:2] for m in (from_m, -_WALK_ON_M - LANE_WIDTH_M)]
        return replace(
            d.base,
            actors=(_actor(kinds.PEDESTRIAN, line, _WALK_SPEED, meet_m, from_m / _WALK_SPEED),),
            clear_lanes=_lanes_until(d, meet_m),
        )
    return None


def red_light(d: Draft) -> Scenario | None:
    """The light turns red just before the ego gets there, and someone waits to cross."""
    found = _junction(d, lambda connector: d.town.signals.phase[connector] >= 0)
    if found is None:
        return None
    k, connector, arrival_s = found
    crossing = _rivals(d, connector, lambda other: d.town.signals.phase[other] != d.town.signals.phase[connector])
    if not crossing:
        return None
    lane = d.town.lanes.predecessors[crossing[0]][0]
    driver = Driver(d.who, lane, float(d.town.lanes.table.length[lane] - 16.0))
    lights_s = _light_time(d, connector, float(d.town.signals.green_s[connector]), arrival_s - YELLOW_S)
    return replace(d.base, drivers=(driver,), clear_lanes=(*d.base.route[:k], lane), lights_s=lights_s)


def unprotected_left(d: Draft) -> Scenario | None:
    """The ego turns left across oncoming traffic."""
    lanes = d.town.lanes
    found = _junction(d, lambda connector: lanes.turn[connector] == 1)
    if found is None:
        return None
    k, connector, arrival_s = found
    oncoming = _rivals(d, connector, lambda other: lanes.turn[other] == 0 and _opposite(d, connector, other))
    if not oncoming:
        return None
    lane = lanes.predecessors[oncoming[0]][0]
    room, way = lanes.table.length[lane], d.base.desired_speed * (arrival_s + WARM_UP_S)
    nearest = float(np.clip(room - 0.8 * way, 10.0, room - 16.0))
    drivers = [Driver(d.who, lane, nearest)]
    if nearest > 36.0:
        drivers.append(Driver(kinds.CAR, lane, nearest - 22.0))
    lights_s = _light_time(d, connector, 3.0, arrival_s)
    return replace(d.base, drivers=tuple(drivers), clear_lanes=(*d.base.route[:k], lane), lights_s=lights_s)


def stationary(d: Draft) -> Scenario | None:
    """Someone stands in the ego's lane."""
    meet_m = d.station_at(float(d.rng.uniform(5.0, 9.0)))
    if not _in_place(d, meet_m) or not _straight_on(d, meet_m):
        return None
    middle = meet_m + _length(d.who) / 2
    line = [d.pose(middle)[:2], d.pose(middle + 0.2)[:2]]
    return _quiet(d, actors=(_actor(d.who, line, 0.0, meet_m, np.inf),), clear_lanes=_lanes_until(d, meet_m))


def frontal(d: Draft) -> Scenario | None:
    """Someone who comes towards the ego veers into its lane, and stops there."""
    meet_m, lead_s = d.station_at(float(d.rng.uniform(5.5, 9.0))), 3.5
    from_m = meet_m + _VEER_M + _FRONTAL_SPEED * lead_s
    if not (_in_place(d, meet_m - 10.0) and _in_place(d, from_m) and _straight_on(d, meet_m)):
        return None
    lane = d.base.route[int(np.searchsorted(d.begin, meet_m, side="right")) - 1]
    left_m = LANE_WIDTH_M * (d.town.lanes.index[lane] + 1)
    veer = np.linspace(0.0, 1.0, 8)
    stations = [from_m, *(meet_m + _VEER_M * (1 - veer)), meet_m - 8.0]
    beside = [left_m, *(left_m * (1 - veer**2 * (3 - 2 * veer))), 0.0]
    line = [d.pose(s, m)[:2] for s, m in zip(stations, beside, strict=True)]
    lead_s += _VEER_M / _FRONTAL_SPEED
    actors = (_actor(d.who, line, _FRONTAL_SPEED, meet_m, lead_s),)
    return _quiet(d, actors=actors, clear_lanes=_lanes_until(d, from_m))


def side(d: Draft) -> Scenario | None:
    """Someone drives into the junction from the side, without giving way."""
    lanes = d.town.lanes
    found = _junction(d, lambda connector: True)
    if found is None:
        return None
    k, connector, arrival_s = found
    if k > 1:  # who has to give way at another junction before comes late
        return None
    rivals = _rivals(d, connector, lambda other: lanes.turn[other] == 0 and not _opposite(d, connector, other))
    if not rivals:
        return None
    lane = lanes.predecessors[rivals[0]][0]
    line = np.concatenate([lanes.table.polyline(i) for i in (lane, rivals[0], lanes.successors[rivals[0]][0])])
    own = lanes.table.polyline(connector)
    gap = np.linalg.norm(line[:, None] - own[None], axis=-1)
    there, here = np.unravel_index(np.argmin(gap), gap.shape)
    along = paths.arc_length(line)
    begin = np.searchsorted(along, along[there] - min(4.0 * _SIDE_SPEED, along[there] - 6.0))
    end = np.searchsorted(along, along[there] + 30.0)
    meet_m = float(d.begin[k] + here * lanes.table.step[connector])
    if not _straight_on(d, meet_m, within_m=2.5):  # who comes from the side meets it a bit earlier or later
        return None
    lead_s = float(along[there] - along[begin]) / _SIDE_SPEED
    actors = (_actor(d.who, line[begin:end:4], _SIDE_SPEED, meet_m, lead_s),)
    lights_s = _light_time(d, connector, 3.0, arrival_s)
    clear = (*d.base.route[: k + 1], lane, rivals[0], lanes.successors[rivals[0]][0])
    return _quiet(d, actors=actors, clear_lanes=clear, lights_s=lights_s)


def _quiet(d: Draft, **changes) -> Scenario:
    """The base among little traffic, so that nothing keeps the ego from the encounter."""
    return replace(d.base, density=_QUIET_DENSITY, **changes)


def _straight_on(d: Draft, meet_m: float, within_m: float = 0.8) -> bool:
    """Does an ego that keeps its heading from `_KEPT_S` on come past that station of the route, not far beside it?"""
    begin_m = d.station_at(_KEPT_S)
    ahead_m = np.linspace(0.0, max(meet_m - begin_m, 0.0), 12)
    start = d.pose(begin_m)
    return all(abs(se2.relative(start, d.pose(begin_m + m))[1]) < within_m for m in ahead_m)


def _length(kind: int) -> float:
    return float(np.mean(KINDS[kind].size_m[0]))


def _actor(kind: int, line, speed: float, meet_m: float, lead_s: float) -> Actor:
    points = tuple((round(float(x), 3), round(float(y), 3)) for x, y in line)
    return Actor(kind, points, float(speed), float(meet_m), float(lead_s))


def _lanes_until(d: Draft, station_m: float) -> tuple[int, ...]:
    return d.base.route[: int(np.searchsorted(d.begin, station_m, side="right"))]


def _in_place(d: Draft, station_m: float) -> bool:
    """Is that station of the route in a lane of the wanted sort of street?"""
    k = int(np.searchsorted(d.begin, station_m, side="right")) - 1
    return 0 <= k < len(d.base.route) and d.fits(d.base.route[k])


def _junction(d: Draft, fits: Callable[[int], bool]) -> tuple[int, int, float] | None:
    """The first connector that fits, is reached in time and from the wanted street: place, number and arrival [s]."""
    for k, connector in enumerate(d.base.route):
        arrival_s = d.arrival_s(d.begin[k])
        if d.town.lanes.is_connector[connector] and 4.0 < arrival_s < 12.0:
            if d.fits(d.base.route[k - 1]) and fits(connector):
                return k, connector, arrival_s
    return None


def _rivals(d: Draft, connector: int, fits: Callable[[int], bool]) -> list[int]:
    """Connectors from other streets that cross one, and fit."""
    lanes = d.town.lanes
    own = lanes.street[lanes.predecessors[connector][0]]
    found = np.flatnonzero(lanes.conflicts[connector] >= 0)
    return [int(c) for c in found if lanes.street[lanes.predecessors[c][0]] != own and fits(c)]


def _opposite(d: Draft, connector: int, other: int) -> bool:
    """Does one enter the junction against the other?"""
    first = d.town.lanes.table.first
    heading = d.town.lanes.table.heading
    return abs(se2.wrap_angle(heading[first[connector]] - heading[first[other]])) > np.deg2rad(135.0)


def _light_time(d: Draft, connector: int, since_s: float, time_s: float) -> float:
    """`lights_s` with which, at `time_s`, a connector's light turned green `since_s` ago."""
    signals = d.town.signals
    if signals.phase[connector] < 0:
        return d.base.lights_s
    begin = signals.begin_s()[connector]
    return float(np.mod(begin + since_s - time_s, signals.cycle_s[connector]))
