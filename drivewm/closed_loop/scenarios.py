"""Which town episodes to drive: towns of their own, so that no road of the training data comes up."""

from __future__ import annotations

from drivewm.closed_loop.town import WARM_UP_S
from drivewm.simulation import NoPlaceError, Scenario, Town, make_family, vary

EPISODES_PER_TOWN = 8
_MOST_TOWNS = 4  # for a situation that hardly any town has a place for: so many times those that should do


def held_out_scenarios(
    count: int, seed: int, scored_s: float = 20.0, family: str = "nominal", variants: int = 1
) -> list[Scenario]:
    """`count` scenarios of `scored_s` seconds behind the warm-up, at locations that no data set uses, each in so many
    variants, which share its name.

    The first n of a longer list are the list of n. Towns without a place for the family are passed over.

    Raises:
        ValueError: fewer than one scenario or variant, no such family, or hardly any town has a place for it.
    """
    if count < 1 or variants < 1:
        raise ValueError(f"expected at least 1 scenario and 1 variant, got {count} and {variants}")
    scenarios: list[Scenario] = []
    for number in range(_MOST_TOWNS * -(-count // EPISODES_PER_TOWN)):
        town = Town.generate(seed, f"held-out-{number}")
        own = min(EPISODES_PER_TOWN, count - len(scenarios))
        try:
            scenarios += make_family(town, family, own, seed, WARM_UP_S + scored_s)
        except NoPlaceError:
            continue
        if len(scenarios) == count:
            return [vary(scenario, number) for scenario in scenarios for number in range(variants)]
    raise ValueError(f"found only {len(scenarios)} scenarios of {family!r}, expected {count}")
