"""Which town episodes to drive: towns of their own, so that no road of the training data comes up."""

from __future__ import annotations

from drivewm.closed_loop.town import WARM_UP_S
from drivewm.simulation import Scenario, Town, make_scenarios

EPISODES_PER_TOWN = 8


def held_out_scenarios(count: int, seed: int, scored_s: float = 20.0) -> list[Scenario]:
    """`count` episodes of `scored_s` seconds behind the warm-up, at locations that no data set uses.

    The first n of a longer list are the list of n, up to the towns' share.
    """
    if count < 1:
        raise ValueError(f"count is {count}, expected at least 1 scenario")
    scenarios: list[Scenario] = []
    for number in range(-(-count // EPISODES_PER_TOWN)):
        town = Town.generate(seed, f"held-out-{number}")
        own = min(EPISODES_PER_TOWN, count - len(scenarios))
        scenarios += make_scenarios(town, EPISODES_PER_TOWN, seed, duration_s=WARM_UP_S + scored_s)[:own]
    return scenarios
