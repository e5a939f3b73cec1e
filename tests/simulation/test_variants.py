"""Variants of a scenario keep the situation and change the rest within bounds."""

from dataclasses import replace

import numpy as np
import pytest

from drivewm.simulation import TownSimulator, make_family, vary
from drivewm.simulation.town import Town


@pytest.fixture(scope="module")
def town():
    return Town.generate(0, "fam-5")


@pytest.mark.parametrize("family", ["stationary", "frontal", "side"])
def test_variants_share_everything_but_the_place_of_the_actors(town, family):
    scenario = make_family(town, family, 1, seed=2, duration_s=10.0)[0]
    assert vary(scenario, 0) is scenario
    variants = [vary(scenario, number) for number in range(1, 6)]
    assert variants == [vary(scenario, number) for number in range(1, 6)]
    assert [v.variant for v in variants] == [1, 2, 3, 4, 5]
    own = scenario.actors[0]
    for variant in variants:
        actor = variant.actors[0]
        assert replace(variant, variant=0, actors=scenario.actors) == scenario
        moved = np.linalg.norm(np.array(actor.line[0]) - own.line[0])
        length, before = (np.linalg.norm(np.diff(a.line, axis=0), axis=1).sum() for a in (actor, own))
        assert 0 < moved <= (np.hypot(3.0, 0.75) if own.speed == 0 else 0.75) + 1e-9
        assert length == pytest.approx(before)
        assert actor.lead_s == own.lead_s if own.speed == 0 else 0 < abs(actor.lead_s - own.lead_s) <= 0.5
    with pytest.raises(ValueError, match="number must be >= 0"):
        vary(scenario, -1)


def test_without_actors_traffic_is_another(town):
    scenario = make_family(town, "nominal", 1, seed=2, duration_s=10.0)[0]
    variants = [vary(scenario, number) for number in range(4)]
    assert len({v.seed for v in variants}) == 4
    assert all(replace(v, variant=0, seed=scenario.seed) == scenario for v in variants)


def test_a_fork_goes_its_own_way(town):
    scenario = make_family(town, "nominal", 1, seed=2, duration_s=10.0)[0]
    simulator = TownSimulator(town)
    simulator.reset(scenario)
    twin = simulator.fork()
    before = simulator.boxes().boxes
    for _ in range(20):
        twin.step(twin.expert_control())
    np.testing.assert_array_equal(simulator.boxes().boxes, before)
    assert np.abs(twin.boxes().boxes - before).max() > 1.0
    for _ in range(20):
        simulator.step(simulator.expert_control())
    np.testing.assert_array_equal(simulator.boxes().boxes, twin.boxes().boxes)
    assert simulator.ego == twin.ego
