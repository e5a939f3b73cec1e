"""How terms become one score: NAVSIM's PDMS (Dauner et al., 2024) and EPDMS (Cao et al., 2025)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

Terms = Mapping[str, float | None]
"""Terms in [0, 1] by name; None where one does not exist."""


@dataclass(frozen=True)
class Formula:
    """A product of multipliers times a weighted mean. A score with a term left out has another name.

    Attributes:
        name: of the score that has all terms.
        multipliers: terms that are multiplied.
        weights: of the terms that are averaged.
    """

    name: str
    multipliers: tuple[str, ...]
    weights: Mapping[str, float]

    def multiplier(self, terms: Terms) -> float:
        """Product of the multipliers that exist."""
        return math.prod(terms[name] for name in self.multipliers if terms[name] is not None)

    def score(self, terms: Terms) -> float:
        """The score over the terms that exist, weights renormalised."""
        weights = {name: weight for name, weight in self.weights.items() if terms[name] is not None}
        mean = sum(weight * terms[name] for name, weight in weights.items()) / sum(weights.values())
        return self.multiplier(terms) * mean

    def score_name(self, terms: Terms) -> str:
        """What that score is called: `episode_epdms_without_tlc_ec` says that TLC and EC are missing."""
        missing = [name for name in (*self.multipliers, *self.weights) if terms[name] is None]
        return "_".join([self.name, *(["without", *missing] if missing else [])])


PDMS = Formula("episode_pdms", ("nc", "dac"), {"ep": 5, "ttc": 5, "comfort": 2})
EPDMS = Formula("episode_epdms", ("nc", "dac", "ddc", "tlc"), {"extended_ep": 5, "ttc": 5, "lk": 2, "hc": 2, "ec": 2})


def pdms(nc: float, dac: float, ep: float, ttc: float, comfort: float) -> float:
    """NAVSIM v1's aggregate: `NC * DAC * (5 EP + 5 TTC + 2 C) / 12`."""
    return PDMS.score({"nc": nc, "dac": dac, "ep": ep, "ttc": ttc, "comfort": comfort})


def second_stage_weights(distance_m: np.ndarray) -> np.ndarray:
    """Weights `(N,)` of NAVSIM v2's second-stage scenes, which sum to 1: `exp(-d^2 / 0.2)`, normalised.

    `distance_m (N,)`: from where the planner's first stage ended to where each scene starts [m].
    """
    squared = np.asarray(distance_m, np.float64) ** 2
    weights = np.exp(-(squared - squared.min()) / 0.2)
    return weights / weights.sum()
