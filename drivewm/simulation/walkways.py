"""Walkways: sidewalks, the corners that join them, and the crossings over streets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.geometry import se2
from drivewm.simulation import paths
from drivewm.simulation.lanes import LaneNet
from drivewm.simulation.streets import LEFT, RIGHT, SIGN, Street, departures

CROSSING_WIDTH_M = 3.0
# A crossing at a junction lies this far outside of it.
_CROSSING_SETBACK_M = 2.6
AT_JUNCTION_M = 8.0
"""A crossing that is nearer to the end of a lane belongs to the entry of its junction."""
SIDEWALK, CORNER, CROSSING = 0, 1, 2


@dataclass(frozen=True)
class WalkNet:
    """Directed ways of pedestrians.

    Attributes:
        table: polylines, each way in both directions.
        successors: by way, without turning round.
        kind: `(W,)` SIDEWALK, CORNER or CROSSING.
        crossing: `(W,)` the crossing that a way leads over, -1 if none.
        street: `(W,)` the street along or over which a way leads, -1 at corners.
        crossing_pose: `(C, 3)` centre x, y [m] and the street's heading [rad] there.
        crossing_half_m: `(C,)` half its length, from sidewalk to sidewalk [m].
        lane_crossings: by lane in driving order: (station [m], crossing, how far to the left of the crossing's centre
            the lane passes, seen along the street [m]).
    """

    table: paths.PathTable
    successors: tuple[tuple[int, ...], ...]
    kind: np.ndarray
    crossing: np.ndarray
    street: np.ndarray
    crossing_pose: np.ndarray
    crossing_half_m: np.ndarray
    lane_crossings: tuple[tuple[tuple[float, int, float], ...], ...]


def build_walkways(rng: np.random.Generator, nodes: np.ndarray, streets: list[Street], lanes: LaneNet) -> WalkNet:
    """Sidewalks on both sides of every street; crossings near most junctions and in the middle of some streets."""
    ways: list[tuple[np.ndarray, object, object, int, int, int]] = []  # line, from, to, kind, crossing, street
    ends: dict[tuple[int, int, int], np.ndarray] = {}
    crossing_pose, crossing_half = [], []

    def add_crossing(street, a, b, from_key, to_key):
        heading = np.arctan2(*(b - a)[::-1]) + np.pi / 2  # a is on the left, b on the right
        crossing_pose.append([*(a + b) / 2, heading])
        crossing_half.append(np.linalg.norm(b - a) / 2)
        ways.append((paths.resample(np.stack([a, b])), from_key, to_key, CROSSING, len(crossing_pose) - 1, street))

    for index, street in enumerate(streets):
        lines = [street.parallel(SIGN[s] * street.walk_m(s), _CROSSING_SETBACK_M) for s in (LEFT, RIGHT)]
        middle = None
        if len(lines[0]) * paths.SPACING_M > 52 and rng.random() < 0.6:
            middle = rng.uniform(0.35, 0.65)
        for side, line in enumerate(lines):
            keys = [(index, side, 0), (index, side, 1)]
            ends[keys[0]], ends[keys[1]] = line[0], line[-1]
            if middle is None:
                ways.append((line, *keys, SIDEWALK, -1, index))
            else:
                cut = int(middle * len(line))
                ways.append((line[: cut + 1], keys[0], (index, side, "middle"), SIDEWALK, -1, index))
                ways.append((line[cut:], (index, side, "middle"), keys[1], SIDEWALK, -1, index))
        if middle is not None:
            left, right = (line[int(middle * len(line))] for line in lines)
            add_crossing(index, left, right, (index, LEFT, "middle"), (index, RIGHT, "middle"))
        for end in (0, 1):
            if rng.random() < 0.7:
                add_crossing(index, lines[LEFT][-end], lines[RIGHT][-end], (index, LEFT, end), (index, RIGHT, end))
    pairs, centerlines = [s.nodes for s in streets], [s.centerline for s in streets]
    for node in range(len(nodes)):
        around = departures(nodes, pairs, centerlines, node)
        for (_, a, a_end), (_, b, b_end) in zip(around, [*around[1:], around[0]], strict=True):
            # Looking away from the junction, the corner is on the left of street a and on the right of street b.
            a_key = (a, LEFT if a_end == 0 else RIGHT, a_end)
            b_key = (b, RIGHT if b_end == 0 else LEFT, b_end)
            enter = _outward(streets[a], a_end) + np.pi
            line = paths.bezier(ends[a_key], enter, ends[b_key], _outward(streets[b], b_end))
            ways.append((line, a_key, b_key, CORNER, -1, -1))
    return _assemble(ways, np.array(crossing_pose).reshape(-1, 3), np.array(crossing_half), lanes)


def _outward(street, end):
    """Heading of the street away from its junction, where its lanes begin."""
    line = street.parallel(0.0)
    return float(paths.headings(line if end == 0 else line[::-1])[0])


def _assemble(ways, crossing_pose, crossing_half, lanes):
    directed = []
    for line, a, b, *rest in ways:
        directed += [(line, a, b, *rest), (line[::-1], b, a, *rest)]
    by_start: dict[object, list[int]] = {}
    for i, way in enumerate(directed):
        by_start.setdefault(way[1], []).append(i)
    successors = tuple(tuple(j for j in by_start[way[2]] if j != i ^ 1) for i, way in enumerate(directed))
    streets = np.array([way[5] for way in directed], np.int64)
    crossing = np.array([way[4] for way in directed], np.int64)
    crossing_street = {int(c): int(s) for c, s in zip(crossing, streets, strict=True) if c >= 0}
    lane_crossings = []
    for lane in range(len(lanes)):
        found = []
        for c, street in crossing_street.items():
            if lanes.street[lane] == street:
                x, y = se2.transform_points(se2.inverse(crossing_pose[c]), lanes.table.polyline(lane)).T
                nearest = int(np.argmin(np.hypot(x, y)))
                if np.abs(x[nearest]) < CROSSING_WIDTH_M / 2:
                    found.append((float(nearest * lanes.table.step[lane]), c, float(y[nearest])))
        lane_crossings.append(tuple(sorted(found)))
    return WalkNet(
        table=paths.PathTable([way[0] for way in directed]),
        successors=successors,
        kind=np.array([way[3] for way in directed], np.int64),
        crossing=crossing,
        street=streets,
        crossing_pose=crossing_pose,
        crossing_half_m=crossing_half,
        lane_crossings=tuple(lane_crossings),
    )
