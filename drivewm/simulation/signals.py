"""Traffic lights: which way each signalled junction is open, as a function of time alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from drivewm.simulation.bodies import LAMPS, Bodies
from drivewm.simulation.lanes import LaneNet
from drivewm.simulation.streets import LEFT, RIGHT, Street, departures, place
from drivewm.simulation.walkways import AT_JUNCTION_M, WalkNet
from drivewm.structures.labels import OCC3D

GREEN, YELLOW, RED = 0, 1, 2
YELLOW_S, ALL_RED_S = 3.0, 1.5
_GREEN_S = (8.0, 13.0)
_SHARE = 0.5  # of the junctions of three streets or more
_WALK_SPEED = 1.2
# Streets that leave a junction in nearly opposite directions are green together.
_OPPOSITE = np.deg2rad(45.0)
_SPARE_S = 2.0
LIGHT_HEIGHT_M, LIGHT_SIZE_M = 2.95, (0.3, 0.35, 0.95)
_BEFORE_END_M = 2.0
_LAMP_ABOVE_M = (-0.3, 0.0, 0.3)
_MANMADE = OCC3D.index("manmade")


@dataclass(frozen=True)
class Signals:
    """All lights of a town. A junction's phases follow each other in a cycle: green, yellow, all red.

    Attributes:
        phase: `(L,)` int64 the phase in which a connector's light is green, -1 where it has none.
        green_s, cycle_s, offset_s: `(L,)` of the connector's junction: time of one green and of all phases, and when
            the first begins [s].
        crossing_lane: `(C,)` int64 a connector whose traffic comes over the crossing on its way into a signalled
            junction; -1 for crossings without a signal.
        crossing_s: `(C,)` time in which people cross [s].
        heads: `(H, 3)` where lights stand: x, y and the direction of those who see them.
        head_connector: `(H,)` int64 a connector for which each of them is.
    """

    phase: np.ndarray
    green_s: np.ndarray
    cycle_s: np.ndarray
    offset_s: np.ndarray
    crossing_lane: np.ndarray
    crossing_s: np.ndarray
    heads: np.ndarray
    head_connector: np.ndarray

    def lanes(self, net: LaneNet) -> np.ndarray:
        """Lanes `(N,)` that lead to a light, in order."""
        lit = np.flatnonzero(self.phase >= 0)
        return np.unique([net.predecessors[connector][0] for connector in lit]).astype(np.int64)

    def states(self, time_s: float) -> np.ndarray:
        """`(L,)` GREEN, YELLOW or RED for each connector; GREEN where there is no light."""
        since = self._since_green(time_s)
        lit = np.where(since < self.green_s, GREEN, np.where(since < self.green_s + YELLOW_S, YELLOW, RED))
        return np.where(self.phase >= 0, lit, GREEN)

    def may_walk(self, time_s: float) -> np.ndarray:
        """`(C,)` bool: is there time to cross before the traffic gets green? True at crossings without a signal."""
        lane = np.maximum(self.crossing_lane, 0)
        since = self._since_green(time_s)[lane]
        red = since >= self.green_s[lane] + YELLOW_S
        return (self.crossing_lane < 0) | (red & (self.cycle_s[lane] - since > self.crossing_s))

    def _since_green(self, time_s):
        """Time since each connector's light last turned green `(L,)` [s]."""
        return np.mod(time_s - self.begin_s(), self.cycle_s)

    def begin_s(self) -> np.ndarray:
        """`(L,)` a time at which each connector's light turns green [s]."""
        return self.offset_s + self.phase * (self.green_s + YELLOW_S + ALL_RED_S)


def lit_lamps(signals: Signals, states: np.ndarray) -> Bodies:
    """The lamps that are lit when the connectors' lights have `states (L,)`: a ball on each head, global frame."""
    front, shown, balls = LIGHT_SIZE_M[0] / 2, states[signals.head_connector], []
    for (x, y, yaw), state in zip(signals.heads, shown, strict=True):
        height = LIGHT_HEIGHT_M + _LAMP_ABOVE_M[state]
        balls.append(((x - front * np.cos(yaw), y - front * np.sin(yaw), height, 0.11, 0.11), _MANMADE))
    return replace(Bodies.of(ellipsoids=balls), ellipsoid_track=np.array(LAMPS, np.int64)[shown])


def plan_signals(
    rng: np.random.Generator, nodes: np.ndarray, streets: list[Street], lanes: LaneNet, walks: WalkNet
) -> Signals:
    """Lights at about half of the junctions at which three streets or more meet."""
    count = len(lanes)
    phase, green, cycle, offset = np.full(count, -1), np.ones(count), np.ones(count), np.zeros(count)
    crossing_s = 2 * walks.crossing_half_m / _WALK_SPEED
    entries = {lane: _entry_crossings(lanes, walks, lane) for lane in np.flatnonzero(~lanes.is_connector)}
    pairs, centerlines = [s.nodes for s in streets], [s.centerline for s in streets]
    for node in range(len(nodes)):
        arms = departures(nodes, pairs, centerlines, node)
        signalled, green_s, share = rng.random() < _SHARE, rng.uniform(*_GREEN_S), rng.random()
        if len(arms) < 3 or not signalled:
            continue
        # The shortest red of two phases is one green and the times between: long enough to walk over the road.
        longest = max(
            (crossing_s[c] for i, cs in entries.items() if lanes.junction[i] == node for c in cs), default=0.0
        )
        green_s = max(green_s, longest + _SPARE_S - YELLOW_S - 2 * ALL_RED_S)
        groups = _groups(arms)
        cycle_s = len(groups) * (green_s + YELLOW_S + ALL_RED_S)
        for lane in np.flatnonzero(lanes.is_connector & (lanes.junction == node)):
            street = lanes.street[lanes.predecessors[lane][0]]
            phase[lane] = next(k for k, group in enumerate(groups) if street in group)
            green[lane], cycle[lane], offset[lane] = green_s, cycle_s, share * cycle_s
    crossing_lane = np.full(len(crossing_s), -1)
    for lane, crossings in entries.items():
        following = lanes.successors[lane][0]
        if phase[following] >= 0:
            crossing_lane[crossings] = following
    # One light for all lanes side by side, beside the outermost.
    outer = [lane for lane in entries if phase[lanes.successors[lane][0]] >= 0 and lanes.beside[lane, 1] < 0]
    heads = [_light_pose(streets[lanes.street[lane]], bool(lanes.forward[lane])) for lane in outer]
    head_connector = np.array([lanes.successors[lane][0] for lane in outer], np.int64)
    return Signals(
        phase, green, cycle, offset, crossing_lane, crossing_s, np.array(heads).reshape(-1, 3), head_connector
    )


def _light_pose(street: Street, forward: bool) -> np.ndarray:
    """Where the light for those who drive along a street, or against it, stands: `(3,)` x, y, driving direction."""
    side, end = (RIGHT, 1) if forward else (LEFT, 0)
    station = street.trim_m[end] + _BEFORE_END_M
    pose = place(street, side, street.length_m - station if forward else station, street.kerb_m(side) + 0.35)
    return pose + [0.0, 0.0, 0.0 if forward else np.pi]


def _entry_crossings(lanes: LaneNet, walks: WalkNet, lane: int) -> list[int]:
    """Crossings where a lane leads into its junction."""
    length = lanes.table.length[lane]
    return [c for station, c, _ in walks.lane_crossings[lane] if length - station < AT_JUNCTION_M]


def _groups(arms: list[tuple[float, int, int]]) -> list[set[int]]:
    """Streets of a junction that get green together: pairs of opposite ones, and what is left over."""
    left, groups = list(arms), []
    while left:
        angle, street, _ = left.pop(0)
        bend = [abs((other[0] - angle) % (2 * np.pi) - np.pi) for other in left]
        group = {street}
        if bend and min(bend) < _OPPOSITE:
            group.add(left.pop(int(np.argmin(bend)))[1])
        groups.append(group)
    return groups
