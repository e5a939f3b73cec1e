"""The street graph: junctions on a jittered lattice and the streets, straight or curved, between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.simulation import paths

LANE_WIDTH_M = 3.5
_SHOULDER_M = 0.5
PARKING_WIDTH_M = 2.4
SIDEWALK_WIDTH_M = 2.6
BLOCK_M = 108.0
# Room around the junctions; nuScenes' basemap masks begin at global (0, 0), so all coordinates are positive.
MAP_MARGIN_M = 60.0
# Neighbouring streets of a junction are at least this far apart in direction.
_MIN_ANGLE = np.deg2rad(62.0)
_MIN_RADIUS_M = 24.0
# Rows and columns of the lattice along which the streets have two lanes each way.
_AVENUE_SHARE = 0.15
# From the edge of a road to where its kerb begins to turn into the next street.
_CORNER_M = 2.5
_WIDEST_CORNER = np.deg2rad(120.0)

LEFT, RIGHT = 0, 1
SIGN = (1.0, -1.0)


@dataclass(frozen=True)
class Street:
    """A street with one or two lanes each way.

    Attributes:
        nodes: junctions at its start and end.
        lanes: in each direction.
        centerline: `(N, 2)` [m] from junction centre to junction centre.
        trim_m: what its junctions take from its start and end [m].
        parking: is there a parking strip on the left and on the right?
        curved: does it bend?
    """

    nodes: tuple[int, int]
    lanes: int
    centerline: np.ndarray
    trim_m: tuple[float, float]
    parking: tuple[bool, bool]
    curved: bool

    @property
    def length_m(self) -> float:
        """From junction centre to junction centre."""
        return float(paths.arc_length(self.centerline)[-1])

    @property
    def half_m(self) -> float:
        """Distance from the centreline to the edge of the road [m]."""
        return _half_m(self.lanes)

    def kerb_m(self, side: int) -> float:
        """Distance from the centreline to the inner edge of the sidewalk on that side [m]."""
        return self.half_m + (PARKING_WIDTH_M if self.parking[side] else 0.0)

    def walk_m(self, side: int) -> float:
        """Distance from the centreline to the middle of the sidewalk [m]."""
        return self.kerb_m(side) + SIDEWALK_WIDTH_M / 2

    def border_m(self, side: int) -> float:
        """Distance from the centreline to the outer edge of the sidewalk [m]."""
        return self.kerb_m(side) + SIDEWALK_WIDTH_M

    def parallel(self, left_m: float, margin_m: float = 0.0) -> np.ndarray:
        """Parallel of the part between the junctions, shortened by `margin_m` at both ends."""
        inner = paths.trim(self.centerline, self.trim_m[0] + margin_m, self.trim_m[1] + margin_m)
        return paths.offset(paths.resample(inner), left_m)


def _half_m(lanes: int) -> float:
    return lanes * LANE_WIDTH_M + _SHOULDER_M


def place(street: Street, side: int, station: float, away_m: float) -> np.ndarray:
    """Pose (3,) on a side of the street, `away_m` from the centreline, heading along it."""
    table = paths.PathTable([street.centerline])
    return table.pose(np.array([0]), np.array([station]), SIGN[side] * away_m)[0]


def generate_streets(rng: np.random.Generator, extent_m: float) -> tuple[np.ndarray, list[Street]]:
    """Junction positions `(J, 2)` [m] and streets; every junction has at least two streets and all are connected."""
    side = max(int(round(extent_m / BLOCK_M)) + 1, 2)
    nodes, calm = _junctions(rng, side)
    pairs = _thin_out(rng, side)
    lines = _centerlines(rng, nodes, pairs, calm)
    lanes = _lane_counts(rng, pairs, side)
    streets = []
    for number, (pair, (line, curved)) in enumerate(zip(pairs, lines, strict=True)):
        trim_m = tuple(_trim(departures(nodes, pairs, [c for c, _ in lines], node), lanes, number) for node in pair)
        parking = (bool(rng.random() < 0.5), bool(rng.random() < 0.5))
        streets.append(Street(pair, lanes[number], line, trim_m, parking, curved))
    return nodes, streets


def _junctions(rng, side):
    """Lattice with uneven spacing, turned as a whole; in calm rows and columns junctions are (nearly) in line."""
    columns, rows = (np.concatenate([[0.0], np.cumsum(rng.uniform(92, 126, side - 1))]) for _ in range(2))
    calm_x, calm_y = rng.random(side) < 0.5, rng.random(side) < 0.5
    x = columns[:, None] + rng.uniform(-1, 1, (side, side)) * np.where(calm_x, 0.8, 11.0)[:, None]
    y = rows[None, :] + rng.uniform(-1, 1, (side, side)) * np.where(calm_y, 0.8, 11.0)[None, :]
    nodes = np.stack([x, y], axis=-1).reshape(-1, 2)
    turn = rng.uniform(0, np.pi / 2)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    calm = {(i, True): bool(calm_x[i]) for i in range(side)} | {(j, False): bool(calm_y[j]) for j in range(side)}
    nodes = nodes @ rotation.T
    return nodes - nodes.min(0) + MAP_MARGIN_M, calm


def _thin_out(rng, side):
    """Lattice edges, a fifth of them removed as long as the graph stays connected with degree >= 2."""
    pairs = [(i * side + j, (i + 1) * side + j) for i in range(side - 1) for j in range(side)]
    pairs += [(i * side + j, i * side + j + 1) for i in range(side) for j in range(side - 1)]
    target = len(pairs) - int(0.18 * len(pairs))
    for index in rng.permutation(len(pairs)).tolist():
        if len(pairs) <= target:
            break
        if index < len(pairs):
            rest = pairs[:index] + pairs[index + 1 :]
            if _connected(rest, side * side):
                pairs = rest
    return pairs


def _connected(pairs, count):
    degree = np.bincount(np.array(pairs).ravel(), minlength=count)
    if degree.min() < 2:
        return False
    reached, frontier = {0}, [0]
    while frontier:
        node = frontier.pop()
        for a, b in pairs:
            for here, there in ((a, b), (b, a)):
                if here == node and there not in reached:
                    reached.add(there)
                    frontier.append(there)
    return len(reached) == count


def _lane_counts(rng, pairs, side):
    """Lanes each way of every street: whole rows and columns of the lattice are avenues, one at least."""
    wide = rng.random((2, side)) < _AVENUE_SHARE
    wide.flat[rng.integers(wide.size)] = True
    # Streets along a column lead from one junction to the next number.
    return [2 if (wide[1, a // side] if b == a + 1 else wide[0, a % side]) else 1 for a, b in pairs]


def _centerlines(rng, nodes, pairs, calm):
    """One polyline a street. A bend is kept only where its junctions leave enough room between streets."""
    lines = [(_bend(nodes[a], nodes[b], 0.0, 0.0), False) for a, b in pairs]
    side = int(round(np.sqrt(len(nodes))))
    for index in rng.permutation(len(pairs)).tolist():
        a, b = pairs[index]
        along_columns = b == a + 1
        straight_street = calm[(a // side, True)] if along_columns else calm[(a % side, False)]
        wish = rng.uniform(9, 22) * (1 if rng.random() < 0.5 else -1)
        s_shaped = rng.random() < 0.35
        if straight_street or rng.random() < 0.1:
            continue
        for size in (1.0, 0.75, 0.5):
            line = _bend(nodes[a], nodes[b], size * wish, -size * wish if s_shaped else size * wish)
            trial = [*lines[:index], (line, True), *lines[index + 1 :]]
            curvature = np.abs(np.gradient(paths.headings(line)) / paths.SPACING_M)
            if curvature.max() < 1 / _MIN_RADIUS_M and min(_gap(nodes, pairs, trial, n) for n in (a, b)) > _MIN_ANGLE:
                lines = trial
                break
    return lines


def _bend(start, end, first_m, second_m):
    """Cubic Bezier whose inner control points lie `first_m` and `second_m` to the left of the chord."""
    chord = end - start
    left = np.array([-chord[1], chord[0]]) / np.linalg.norm(chord)
    control = np.array([start, start + chord / 3 + first_m * left, start + chord * 2 / 3 + second_m * left, end])
    t = np.linspace(0.0, 1.0, 401)[:, None]
    return paths.resample(np.hstack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3]) @ control)


def departures(nodes: np.ndarray, pairs, centerlines, node: int) -> list[tuple[float, int, int]]:
    """Streets at a junction, by direction: (direction [rad] about 14 m out, street, which of its ends)."""
    out = []
    for index, pair in enumerate(pairs):
        for end in (0, 1):
            if pair[end] == node:
                line = centerlines[index] if end == 0 else centerlines[index][::-1]
                reach = line[min(28, len(line) - 1)] - nodes[node]
                out.append((float(np.arctan2(reach[1], reach[0])), index, end))
    return sorted(out)


def _gap(nodes, pairs, lines, node):
    """Smallest angle between neighbouring streets of a junction [rad]."""
    angles = np.array([d[0] for d in departures(nodes, pairs, [line for line, _ in lines], node)])
    return float(np.diff(np.append(angles, angles[0] + 2 * np.pi)).min())


def _trim(arms: list[tuple[float, int, int]], lanes: list[int], street: int) -> float:
    """How far from its centre a junction reaches into a street [m]: to where the kerbs of its neighbours begin.

    The edges of two roads of half widths v and w meet, at an angle g, (w + v cos g) / sin g along the first one.
    """
    own = next(i for i, (_, index, _) in enumerate(arms) if index == street)
    reach = []
    for neighbour, sign in ((arms[(own + 1) % len(arms)], 1.0), (arms[own - 1], -1.0)):
        gap = min(sign * (neighbour[0] - arms[own][0]) % (2 * np.pi), _WIDEST_CORNER)
        half, other = (_half_m(lanes[i]) + _CORNER_M for i in (street, neighbour[1]))
        reach.append((other + half * np.cos(gap)) / np.sin(gap))
    return float(np.clip(max(reach) + 5.5, 8.0, 24.0))
