"""Lanes between junctions and connectors through them, as one table with who follows and who conflicts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.geometry import se2
from drivewm.simulation import paths
from drivewm.simulation.streets import LANE_WIDTH_M, Street

# Centrelines that come closer than this cannot be driven at the same time: two cars and a hand's breadth [m].
_CONFLICT_M = 2.9
_WIDE_CONFLICT_M = 5.2
_BEND_RAD = np.deg2rad(20.0)
_JOINED_M = 3.0
_LATERAL_ACCELERATION = 1.8
SPEED_LIMIT = 13.0
_TURN_RAD = np.deg2rad(30.0)


@dataclass(frozen=True)
class LaneNet:
    """All lanes and connectors.

    Attributes:
        table: their centrelines.
        successors, predecessors: by lane.
        junction: `(L,)` int64 the junction that a connector crosses, or that a lane leads to.
        is_connector: `(L,)` bool.
        street: `(L,)` int64 the street of a lane, -1 for connectors.
        forward: `(L,)` bool, does the lane run along its street's centreline (or against it)?
        turn: `(L,)` int64 of connectors: 1 left, -1 right, 0 straight.
        conflicts: `(L, L)` [m]: the station of connector a behind which it no longer comes close to connector b, which
            starts in another lane; -1 where they never do.
        wide_conflicts: the same where one of the two vehicles is long and swings out.
        speed: `(P,)` speed [m/s] that curvature allows at each point of the table.
    """

    table: paths.PathTable
    successors: tuple[tuple[int, ...], ...]
    predecessors: tuple[tuple[int, ...], ...]
    junction: np.ndarray
    is_connector: np.ndarray
    street: np.ndarray
    forward: np.ndarray
    turn: np.ndarray
    conflicts: np.ndarray
    wide_conflicts: np.ndarray
    speed: np.ndarray

    def __len__(self) -> int:
        return len(self.table)

    def route_polyline(self, lanes: tuple[int, ...]) -> np.ndarray:
        """Centreline `(N, 2)` of consecutive lanes."""
        return np.concatenate([self.table.polyline(lane)[int(i > 0) :] for i, lane in enumerate(lanes)])


def build_lanes(streets: list[Street], junctions: int) -> LaneNet:
    """Two lanes a street, and connectors from each lane into each other street of its junction."""
    polylines, street_of, forward, junction = [], [], [], []
    for index, street in enumerate(streets):
        right = street.parallel(-LANE_WIDTH_M / 2)
        left = street.parallel(LANE_WIDTH_M / 2)[::-1]
        for line, ahead in ((right, True), (left, False)):
            polylines.append(paths.resample(line))
            street_of.append(index)
            forward.append(ahead)
            junction.append(street.nodes[1] if ahead else street.nodes[0])
    lanes = len(polylines)
    origin = [streets[street_of[i]].nodes[0 if forward[i] else 1] for i in range(lanes)]
    successors: list[list[int]] = [[] for _ in range(lanes)]
    turn = [0] * lanes
    for node in range(junctions):
        incoming = [i for i in range(lanes) if junction[i] == node]
        outgoing = [i for i in range(lanes) if origin[i] == node]
        for a in incoming:
            for b in outgoing:
                if street_of[a] == street_of[b]:
                    continue
                enter, leave = (_end_heading(polylines[i], end) for i, end in ((a, -1), (b, 0)))
                successors[a].append(len(polylines))
                successors.append([b])
                polylines.append(paths.bezier(polylines[a][-1], enter, polylines[b][0], leave))
                street_of.append(-1)
                forward.append(True)
                junction.append(node)
                change = se2.wrap_angle(leave - enter)
                turn.append(int(np.sign(change)) if abs(change) > _TURN_RAD else 0)
    predecessors: list[list[int]] = [[] for _ in polylines]
    for i, following in enumerate(successors):
        for j in following:
            predecessors[j].append(i)
    table = paths.PathTable(polylines)
    is_connector = np.arange(len(polylines)) >= lanes
    return LaneNet(
        table=table,
        successors=tuple(tuple(s) for s in successors),
        predecessors=tuple(tuple(p) for p in predecessors),
        junction=np.array(junction, np.int64),
        is_connector=is_connector,
        street=np.array(street_of, np.int64),
        forward=np.array(forward, bool),
        turn=np.array(turn, np.int64),
        conflicts=_conflicts(table, is_connector, junction, successors, predecessors, _CONFLICT_M),
        wide_conflicts=_conflicts(table, is_connector, junction, successors, predecessors, _WIDE_CONFLICT_M),
        speed=_curve_speed(table),
    )


def _end_heading(line, end):
    heading = paths.headings(line)
    return float(heading[end])


def _conflicts(table, is_connector, junction, successors, predecessors, limit_m):
    bends = np.array([np.ptp(headings) for headings in np.split(table.heading, table.first[1:-1])]) > _BEND_RAD
    until = np.full((len(table), len(table)), -1.0)
    for a in np.flatnonzero(is_connector):
        for b in np.flatnonzero(is_connector[:a]):
            if junction[a] == junction[b] and predecessors[a] != predecessors[b]:
                gap = table.polyline(a)[:, None] - table.polyline(b)[None]
                # Straight on, neighbouring lanes never touch, however wide the vehicles.
                close = (gap**2).sum(-1) < (limit_m if bends[a] or bends[b] else _CONFLICT_M) ** 2
                for one, other, near in ((a, b, close.any(1)), (b, a, close.any(0))):
                    if near.any():
                        until[one, other] = np.flatnonzero(near)[-1] * table.step[one]
                        if successors[a] == successors[b]:
                            # Where two join, the second may follow once the first is on the common part.
                            until[one, other] = np.flatnonzero(near)[0] * table.step[one] + _JOINED_M
    return until


def _curve_speed(table):
    """Speed at which the lateral acceleration stays comfortable, by the curvature over 4 m."""
    speed = np.full(len(table.points), SPEED_LIMIT)
    for i in range(len(table)):
        part = slice(table.first[i], table.first[i + 1])
        heading = table.heading[part]
        window = min(9, len(heading))
        curvature = np.convolve(np.abs(np.gradient(heading)), np.ones(window) / window, mode="same") / table.step[i]
        speed[part] = np.minimum(SPEED_LIMIT, np.sqrt(_LATERAL_ACCELERATION / np.maximum(curvature, 1e-4)))
    return speed
