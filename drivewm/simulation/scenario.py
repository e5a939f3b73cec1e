"""Scenarios: where the ego starts, where it is to go, and the seed of everything else."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from drivewm.simulation import paths
from drivewm.simulation.town import Town

STRAIGHT_RAD = float(np.deg2rad(10.0))
_SPEEDS = (6.0, 12.0)
# Beyond what can be driven in the time: the route must be seen ahead, and the warm-up takes some.
_SPARE_M = 140.0
_ATTEMPTS = 120
WARM_UP_S = 4.0
"""The expert drives so long before an episode begins, so that traffic has settled."""
ACTS = ("", "brake", "left", "right")
_SHARES = {"straight": 0.4, "turn": 0.35, "curve": 0.25}


@dataclass(frozen=True)
class Driver:
    """A vehicle in traffic that a scenario needs. It keeps ahead of the ego until it acts, once.

    Attributes:
        kind: index into `KINDS`.
        lane, station_m: where its centre starts.
        keep_m: how far ahead of the ego's front bumper its rear keeps until then [m]; None: it drives as others do.
        act: "brake" to a standstill and wait, "left" or "right" to move over, or "" for none.
        after_s: it does not act before this time.
    """

    kind: int
    lane: int
    station_m: float
    keep_m: float | None = None
    act: str = ""
    after_s: float = 0.0

    def __post_init__(self) -> None:
        if self.act not in ACTS:
            raise ValueError(f"Driver.act is {self.act!r}, expected one of {ACTS}")


@dataclass(frozen=True)
class Actor:
    """Somebody who follows a line whatever others do, and waits at its start for the ego.

    Attributes:
        kind: index into `KINDS`.
        line: `(x, y)` points [m, global]; it stops at the last one.
        speed: on the way [m/s].
        meet_m: station of the route at which the two would meet [m].
        lead_s: it sets off when the ego's front bumper is this long from there, at its present speed [s].
    """

    kind: int
    line: tuple[tuple[float, float], ...]
    speed: float
    meet_m: float
    lead_s: float

    def __post_init__(self) -> None:
        if len(self.line) < 2 or not self.speed >= 0:
            raise ValueError(f"an Actor needs 2 points and a speed >= 0, got {len(self.line)} and {self.speed}")


@dataclass(frozen=True)
class Scenario:
    """An episode that has not happened yet; with its town it is fully reproducible.

    Attributes:
        name: unique in its set.
        town: location of the town that it belongs to.
        town_seed: seed of that town.
        route: lanes to follow, the first one being where the ego starts.
        start_m: where in the first lane the ego's centre starts [m].
        desired_speed, initial_speed: of the expert [m/s].
        seed: of traffic and people.
        straight: does the heading of what can be driven of the route stay within 10 degrees?
        duration_s: length of the episode.
        density: vehicles and people relative to the usual number.
        lights_s: where the lights are in their cycles when the episode begins [s].
        family: what kind of situation it is, one of `FAMILIES`.
        drivers, actors: who is there because of it.
        clear_lanes: lanes without any other vehicles at the beginning.
        description: in words.
        variant: number of this variant of the scenario (`vary`).
    """

    name: str
    town: str
    town_seed: int
    route: tuple[int, ...]
    start_m: float
    desired_speed: float
    initial_speed: float
    seed: int
    straight: bool
    duration_s: float
    density: float = 1.0
    lights_s: float = 0.0
    family: str = "nominal"
    drivers: tuple[Driver, ...] = ()
    actors: tuple[Actor, ...] = ()
    clear_lanes: tuple[int, ...] = ()
    description: str = ""
    variant: int = 0

    def __post_init__(self) -> None:
        if not self.route:
            raise ValueError(f"scenario {self.name}: the route has no lanes")
        if not self.duration_s > 0 or not self.density >= 0:
            raise ValueError(
                f"scenario {self.name}: duration_s must be positive and density >= 0, "
                f"got {self.duration_s} and {self.density}"
            )


def make_scenarios(town: Town, count: int, seed: int, duration_s: float = 20.0) -> list[Scenario]:
    """`count` scenarios of a town: two fifths straight on, the others with turns at junctions or bends of streets."""
    if count < 0 or seed < 0:
        raise ValueError(f"count and seed of scenarios must be >= 0, got {count} and {seed}")
    rng = np.random.default_rng([seed, town.seed, zlib.crc32(town.location.encode())])
    names = list(_SHARES)
    scenarios = []
    for number in range(count):
        wish = names[rng.choice(len(names), p=list(_SHARES.values()))]
        # The town may not have such a route for that speed: after some attempts any will do.
        for attempt in range(_ATTEMPTS):
            speed = float(rng.uniform(*_SPEEDS))
            route, start = random_route(rng, town, wish, _SPEEDS[1] * (duration_s + WARM_UP_S) + _SPARE_M)
            found = describe(town, route, start, speed * (duration_s + WARM_UP_S))
            if found == wish or attempt == _ATTEMPTS - 1:
                break
        scenarios.append(
            Scenario(
                name=f"{town.location}-{seed}-{number:04d}",
                town=town.location,
                town_seed=town.seed,
                route=route,
                start_m=start,
                desired_speed=speed,
                initial_speed=speed * float(rng.uniform(0.3, 1.0)),
                seed=int(rng.integers(2**31)),
                straight=found == "straight",
                duration_s=float(duration_s),
                lights_s=float(rng.uniform(0.0, 100.0)),
                description="straight on" if found == "straight" else f"with {found}s",
            )
        )
    return scenarios


def random_route(rng: np.random.Generator, town: Town, wish: str, length_m: float) -> tuple[tuple[int, ...], float]:
    """Lanes from a random place on, at least `length_m` long, and the station in the first where the ego starts [m].

    At junctions it takes what leads straight on, if the `wish` is "straight", or else any way.
    """
    lanes = town.lanes
    starts = np.flatnonzero(~lanes.is_connector & (lanes.table.length > 35.0))
    lane = int(starts[rng.integers(len(starts))])
    start = float(rng.uniform(5.0, 0.7 * lanes.table.length[lane]))
    return extend_route(rng, town, lane, length_m + start, wish == "straight"), start


def extend_route(rng: np.random.Generator, town: Town, lane: int, length_m: float, straight: bool) -> tuple[int, ...]:
    """Lanes from `lane` on, at least `length_m` long: the straightest at every junction, or any."""
    lanes, route, total = town.lanes, [lane], town.lanes.table.length[lane]
    while total < length_m:
        options = lanes.successors[route[-1]]
        if straight and len(options) > 1:
            lane = min(options, key=lambda o: abs(np.ptp(paths.headings(lanes.table.polyline(o)))))
        else:
            lane = options[rng.integers(len(options))]
        route.append(int(lane))
        total += lanes.table.length[lane]
    return tuple(route)


def describe(town: Town, route: tuple[int, ...], start: float, distance_m: float) -> str:
    """straight, turn or curve, by what can be driven of a route."""
    line = town.lanes.route_polyline(route)
    along = paths.arc_length(line)
    heading = paths.headings(line)
    driven = (along >= start) & (along <= start + distance_m)
    if np.abs(heading[driven] - heading[driven][0]).max() < STRAIGHT_RAD:
        return "straight"
    lengths = np.concatenate([[0.0], np.cumsum(town.lanes.table.length[list(route)])])
    reached = [r for r, begin in zip(route, lengths, strict=False) if start < begin < start + 0.55 * distance_m]
    return "turn" if any(town.lanes.turn[r] for r in reached) else "curve"
