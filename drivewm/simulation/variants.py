"""Variants of a scenario: the same route in other traffic, or the same encounter a bit elsewhere.

The jitter of actors is in the manner of NeuroNCAP (Ljungbergh et al., 2024): along, across, the heading of who stands.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from drivewm.geometry import se2
from drivewm.simulation.scenario import Actor, Scenario

_ALONG_M, _ACROSS_M, _YAW_RAD, _TIME_S = 3.0, 0.75, 0.5, 0.5


def vary(scenario: Scenario, number: int) -> Scenario:
    """Variant `number` of a scenario, under the same name; 0 is the scenario itself.

    Where there are actors, they alone are elsewhere; else traffic and people are others.

    Raises:
        ValueError: the number is negative.
    """
    if number < 0:
        raise ValueError(f"a variant's number must be >= 0, got {number}")
    if number == 0:
        return scenario
    rng = np.random.default_rng([scenario.seed, number])
    if scenario.actors:
        return replace(scenario, variant=number, actors=tuple(_jitter(actor, rng) for actor in scenario.actors))
    return replace(scenario, variant=number, seed=int(rng.integers(2**31)))


def _jitter(actor: Actor, rng: np.random.Generator) -> Actor:
    """Who stands is moved and turned; who moves keeps beside its line and sets off sooner or later."""
    line = np.array(actor.line, np.float64)
    ahead = (line[-1] - line[0]) / np.linalg.norm(line[-1] - line[0])
    across = rng.uniform(-_ACROSS_M, _ACROSS_M) * np.array([-ahead[1], ahead[0]])
    lead_s = actor.lead_s
    if actor.speed == 0:
        turn = np.array([0.0, 0.0, rng.uniform(-_YAW_RAD, _YAW_RAD)])
        line = line[0] + se2.transform_points(turn, line - line[0]) + rng.uniform(-_ALONG_M, _ALONG_M) * ahead
    else:
        lead_s += rng.uniform(-_TIME_S, _TIME_S)
    return replace(actor, line=tuple((float(x), float(y)) for x, y in line + across), lead_s=float(lead_s))
