"""Families of scenarios: situations by name, from parts of which some combinations are held out.

A situation has two parts: who else takes part, and where. Splits that learn see every part, but not every combination;
what is held out asks for putting known parts together.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from drivewm.simulation import kinds, paths, situations
from drivewm.simulation.kinds import KINDS
from drivewm.simulation.scenario import WARM_UP_S, Scenario, describe, extend_route, make_scenarios
from drivewm.simulation.situations import Draft, is_place
from drivewm.simulation.town import Town

PLACES = ("street", "bend", "avenue")
_VEHICLES = (kinds.CAR, kinds.TRUCK, kinds.BUS)
_ATTEMPTS = 400
_SPARE_M = 140.0
_START_M = (4.0, 9.0)
_SPEEDS, _STANDING_START = (7.5, 11.0), (0.5, 2.5)


class NoPlaceError(ValueError):
    """A town has no place for a situation."""


def make_family(town: Town, family: str, count: int, seed: int, duration_s: float = 20.0, held_out: bool = False):
    """`count` scenarios of a family in a town: a list of `Scenario`.

    Args:
        town: where.
        family: one of `FAMILIES`.
        count: how many.
        seed: of everything.
        duration_s: of an episode.
        held_out: combinations of parts that the family otherwise never shows, instead of all others. The nominal family
            has no parts.

    Raises:
        ValueError: there is no such family. NoPlaceError: the town has no place for it.
    """
    if family not in FAMILIES:
        raise ValueError(f"no family is called {family!r}; there are {', '.join(FAMILIES)}")
    if family == "nominal":
        return make_scenarios(town, count, seed, duration_s)
    if count < 0 or seed < 0:
        raise ValueError(f"count and seed of scenarios must be >= 0, got {count} and {seed}")
    rng = np.random.default_rng([seed, town.seed, zlib.crc32(f"{town.location}/{family}".encode()), int(held_out)])
    combinations = parts(family, held_out)
    found: list[Scenario] = []
    for _ in range(_ATTEMPTS * max(count, 1)):
        if len(found) == count:
            return found
        who, where = combinations[rng.integers(len(combinations))]
        draft = _draft(rng, town, who, where, duration_s)
        scenario = None if draft is None else FAMILIES[family](draft)
        if scenario is not None:
            name = f"{town.location}-{family}-{seed}-{'h' if held_out else 't'}{len(found):04d}"
            words = f"{family.replace('_', ' ')}: {KINDS[who].class_name}, {where}"
            found.append(replace(scenario, name=name, family=family, description=words))
    if len(found) < count:
        raise NoPlaceError(f"town {town.location!r}, seed {town.seed}, has no place for {family!r}")
    return found


def parts(family: str, held_out: bool) -> list[tuple[int, str]]:
    """Combinations (kind, place) of a family that are held out, or all others."""
    who = (kinds.CAR, kinds.TRUCK, kinds.TRAILER) if family == "hidden_pedestrian" else _VEHICLES
    places = {"cut_in": ("avenue", "avenue bend")}.get(family, PLACES)
    if family in ADVERSARIAL:  # in a bend, who keeps heading and speed leaves the road before it meets anybody
        places = ("street", "avenue")
    grid = [(i, j) for i in range(len(who)) for j in range(len(places))]
    return [(who[i], places[j]) for i, j in grid if ((i + j) % 3 == 2) == held_out]


def _draft(rng, town, who, where, duration_s) -> Draft | None:
    """A route that begins in a street of that sort; None if the town has none."""
    lanes = town.lanes
    options = [i for i in np.flatnonzero(~lanes.is_connector) if is_place(town.streets[lanes.street[i]], where)]
    options = [i for i in options if lanes.table.length[i] > 55.0]
    if not options:
        return None
    speed, straight = float(rng.uniform(*_SPEEDS)), bool(rng.random() < 0.5)
    length_m = speed * (duration_s + WARM_UP_S) + _SPARE_M
    route = extend_route(rng, town, int(rng.choice(options)), length_m, straight)
    start = float(rng.uniform(*_START_M))
    base = Scenario(
        name="draft",
        town=town.location,
        town_seed=town.seed,
        route=route,
        start_m=start,
        desired_speed=speed,
        initial_speed=float(rng.uniform(*_STANDING_START)),
        seed=int(rng.integers(2**31)),
        straight=describe(town, route, start, speed * (duration_s + WARM_UP_S)) == "straight",
        duration_s=float(duration_s),
        lights_s=float(rng.uniform(0.0, 100.0)),
    )
    line = lanes.route_polyline(route)
    begin = np.concatenate([[0.0], np.cumsum(lanes.table.length[list(route)])])
    return Draft(rng, town, who, where, base, line, paths.arc_length(line), begin)


FAMILIES: dict[str, Callable[[Draft], Scenario | None] | None] = {
    "nominal": None,
    "cut_in": situations.cut_in,
    "hard_brake": situations.hard_brake,
    "hidden_pedestrian": situations.hidden_pedestrian,
    "red_light": situations.red_light,
    "unprotected_left": situations.unprotected_left,
    "stationary": situations.stationary,
    "frontal": situations.frontal,
    "side": situations.side,
}
ADVERSARIAL = ("stationary", "frontal", "side")
"""Families that are made to be crashed in by who does not react."""
