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
        index: `(L,)` int64 number of the lane in its direction, 0 next to the oncoming traffic; -1 for connectors.
        beside: `(L, 2)` int64 the lanes of the same direction on its left and on its right, -1 where there is none.
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
    index: np.ndarray
    beside: np.ndarray
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
    """The lanes of all streets, and connectors from each into the other streets of its junction."""
    polylines, street_of, forward, index, junction, origin = [], [], [], [], [], []
    for number, street in enumerate(streets):
        for ahead, sign in ((True, -1.0), (False, 1.0)):
            for lane in range(street.lanes):
                line = street.parallel(sign * (lane + 0.5) * LANE_WIDTH_M)
                polylines.append(paths.resample(line if ahead else line[::-1]))
                street_of.append(number)
                forward.append(ahead)
                index.append(lane)
                junction.append(street.nodes[1] if ahead else street.nodes[0])
                origin.append(street.nodes[0] if ahead else street.nodes[1])
    lanes = len(polylines)
    place = {key: i for i, key in enumerate(zip(street_of, forward, index, strict=True))}
    beside = [[place.get((*key[:2], key[2] + step), -1) for step in (-1, 1)] for key in place]
    links, turn = [], [0] * lanes
    for node in range(junctions):
        incoming = _by_street(street_of, [i for i in range(lanes) if junction[i] == node])
        outgoing = _by_street(street_of, [i for i in range(lanes) if origin[i] == node])
        for a, b, sign in _links(polylines, incoming, outgoing):
            enter, leave = _end_heading(polylines[a], -1), _end_heading(polylines[b], 0)
            polylines.append(paths.bezier(polylines[a][-1], enter, polylines[b][0], leave))
            links.append((a, b))
            turn.append(sign)
            junction.append(node)
    successors: list[list[int]] = [[] for _ in range(lanes)] + [[b] for _, b in links]
    for number, (a, _) in enumerate(links):
        successors[a].append(lanes + number)
    predecessors: list[list[int]] = [[] for _ in polylines]
    for i, following in enumerate(successors):
        for j in following:
            predecessors[j].append(i)
    table = paths.PathTable(polylines)
    is_connector = np.arange(len(polylines)) >= lanes
    none = [-1] * len(links)
    return LaneNet(
        table=table,
        successors=tuple(tuple(s) for s in successors),
        predecessors=tuple(tuple(p) for p in predecessors),
        junction=np.array(junction, np.int64),
        is_connector=is_connector,
        street=np.array(street_of + none, np.int64),
        forward=np.array(forward + [True] * len(links), bool),
        index=np.array(index + none, np.int64),
        beside=np.array(beside + [[-1, -1]] * len(links), np.int64).reshape(-1, 2),
        turn=np.array(turn, np.int64),
        conflicts=_conflicts(table, is_connector, junction, successors, predecessors, _CONFLICT_M),
        wide_conflicts=_conflicts(table, is_connector, junction, successors, predecessors, _WIDE_CONFLICT_M),
        speed=_curve_speed(table),
    )


def _by_street(street_of, lanes):
    """Lanes of one junction by their street, each street's from the middle of the road outwards."""
    groups: dict[int, list[int]] = {}
    for lane in lanes:
        groups.setdefault(street_of[lane], []).append(lane)
    return groups


def _links(polylines, incoming, outgoing):
    """Pairs of lanes that a connector joins at one junction, and how it turns: 1 left, -1 right, 0 straight on.

    Left turns lead from innermost to innermost lane, right turns from outermost to outermost; straight on every lane
    keeps its place counted from the outside. Lanes that nothing leads out of or into then get the nearest there is.
    """
    turns = {}
    for street, lanes in incoming.items():
        for onward, exits in outgoing.items():
            if onward != street:
                change = se2.wrap_angle(_end_heading(polylines[exits[0]], 0) - _end_heading(polylines[lanes[0]], -1))
                turns[street, onward] = int(np.sign(change)) if abs(change) > _TURN_RAD else 0
    found = []
    for (street, onward), turn in turns.items():
        lanes, exits = incoming[street], outgoing[onward]
        if turn == 1:
            pairs = [(lanes[0], exits[0])]
        elif turn == -1:
            pairs = [(lanes[-1], exits[-1])]
        else:
            pairs = list(zip(lanes[::-1], exits[::-1], strict=False))
        found += [(a, b, turn) for a, b in pairs]
    for (street, onward), turn in sorted(turns.items(), key=lambda item: abs(item[1])):
        lanes, exits = incoming[street], outgoing[onward]
        for k, lane in enumerate(lanes):
            if all(a != lane for a, _, _ in found):
                found.append((lane, exits[min(k, len(exits) - 1)], turn))
        for k, lane in enumerate(exits):
            if all(b != lane for _, b, _ in found):
                found.append((lanes[min(k, len(lanes) - 1)], lane, turn))
    return found


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
