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
_SHARES = {"straight": 0.4, "turn": 0.35, "curve": 0.25}


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

    def __post_init__(self) -> None:
        if not self.route:
            raise ValueError(f"scenario {self.name}: the route has no lanes")
        if not self.duration_s > 0 or not self.density >= 0:
            raise ValueError(
                f"scenario {self.name}: duration_s must be positive and density >= 0, "
                f"got {self.duration_s} and {self.density}"
            )


def make_scenarios(
    town: Town, count: int, seed: int, duration_s: float = 20.0, warm_up_s: float = 4.0, density: float = 1.0
) -> list[Scenario]:
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
            route, start = _random_route(rng, town, wish, _SPEEDS[1] * (duration_s + warm_up_s) + _SPARE_M)
            found = _describe(town, route, start, speed * (duration_s + warm_up_s))
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
                density=float(density),
                lights_s=float(rng.uniform(0.0, 100.0)),
            )
        )
    return scenarios


def _random_route(rng, town, wish, length_m):
    lanes = town.lanes
    starts = np.flatnonzero(~lanes.is_connector & (lanes.table.length > 35.0))
    lane = int(starts[rng.integers(len(starts))])
    start = float(rng.uniform(5.0, 0.7 * lanes.table.length[lane]))
    route, total = [lane], lanes.table.length[lane] - start
    while total < length_m:
        options = lanes.successors[route[-1]]
        if wish == "straight" and len(options) > 1:
            lane = min(options, key=lambda o: abs(np.ptp(paths.headings(lanes.table.polyline(o)))))
        else:
            lane = options[rng.integers(len(options))]
        route.append(int(lane))
        total += lanes.table.length[lane]
    return tuple(route), start


def _describe(town, route, start, distance_m):
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
