"""How real do simulated agents drive? Likelihood of what was recorded under several simulations of it (WOSAC 2025).

Histograms of each feature over the simulated rollouts, one for each agent, say how likely the recorded values are
(Montali et al., The Waymo Open Sim Agents Challenge, NeurIPS 2023; bins and weights of 2025). Scores do not compare
with the challenge's own: other recordings, other agents scored, and the ends of rollouts are treated as said below.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from drivewm.evaluation.functional.agent_features import AgentFeatures


class Term(NamedTuple):
    """A feature's bins and its weight; two bins with `low` None are yes and no over the whole rollout."""

    weight: float
    low: float | None = None
    high: float | None = None
    bins: int = 2
    pseudocount: float = 0.1


_YES_NO = 0.001  # pseudocount
TERMS = {
    "speed": Term(0.05, 0.0, 25.0, 10),
    "acceleration": Term(0.05, -12.0, 12.0, 11),
    "angular_speed": Term(0.05, -0.628, 0.628, 11),
    "angular_acceleration": Term(0.05, -3.14, 3.14, 11),
    "object_distance": Term(0.10, -5.0, 40.0, 10),
    "time_to_collision": Term(0.10, 0.0, 5.0, 10),
    "road_edge": Term(0.05, -20.0, 40.0, 10),
    "collision": Term(0.25, pseudocount=_YES_NO),
    "off_road": Term(0.25, pseudocount=_YES_NO),
    "red_light": Term(0.05, pseudocount=_YES_NO),
}
"""The challenge's configuration of 2025; the weights add up to 1."""
NAME = "realism"


@dataclass(frozen=True)
class SimAgentScore:
    """Of one scene.

    Attributes:
        name: `realism` with all ten terms; others are appended as `_without_...`, since scores over other terms do not
            compare.
        value: weighted mean of the likelihoods, in (0, 1).
        likelihood: of each term, NaN where it is left out.
        rate: share of agents and rollouts with a `collision`, `off_road`, `red_light`; NaN where left out.
        absent: share of the recorded agents and steps that are missing in the rollouts. Nothing is lost by them in
            the other figures, so a simulator that drops agents shows here.
    """

    name: str
    value: float
    likelihood: dict[str, float]
    rate: dict[str, float]
    absent: float


def score_sim_agents(
    log: AgentFeatures, rollouts: Sequence[AgentFeatures], ends_in_last_bin: bool = False
) -> SimAgentScore:
    """Likelihood of what was recorded under K simulations of it.

    A term is left out where its features are missing (no map, no lights) or nowhere defined in the recording (no
    vehicle among those scored); the weights of the others are then made to add up to 1 and the score is renamed.

    Args:
        log: what was recorded.
        rollouts: K simulations of the same agents and steps.
        ends_in_last_bin: simulated values that are not defined, such as speeds at the last step, are counted in the
            last bin, as the challenge's own code does, instead of left out.

    Raises:
        ValueError: no rollouts, or other agents, steps or features than recorded.
    """
    if not rollouts:
        raise ValueError("rollouts are empty, expected at least one simulation")
    for number, rollout in enumerate(rollouts):
        if not np.array_equal(rollout.track, log.track) or rollout.valid.shape != log.valid.shape:
            raise ValueError(
                f"rollout {number} has {rollout.valid.shape} steps and agents {rollout.track.tolist()}, "
                f"expected {log.valid.shape} and {log.track.tolist()}"
            )
    likelihood, rate = {}, {}
    present = log.valid.any(0)
    for name, term in TERMS.items():
        recorded, simulated = getattr(log, name), [getattr(rollout, name) for rollout in rollouts]
        if any((values is None) != (recorded is None) for values in simulated):
            raise ValueError(f"{name} must be there in the recording and all rollouts, or in none")
        if term.low is None:
            rate[name] = np.nan
        if recorded is None:
            likelihood[name] = np.nan
        elif term.low is None:
            ever = np.stack([(values & log.valid).any(0)[present] for values in simulated])
            likelihood[name] = yes_no_likelihood((recorded & log.valid).any(0)[present], ever, term.pseudocount)
            rate[name] = float(ever.mean()) if ever.size else np.nan
        else:
            known = np.where(log.valid, recorded, np.nan)
            likelihood[name] = histogram_likelihood(known, np.stack(simulated), term, ends_in_last_bin)
    left_out = [name for name, value in likelihood.items() if np.isnan(value)]
    weight = sum(term.weight for name, term in TERMS.items() if name not in left_out)
    value = sum(TERMS[name].weight * v for name, v in likelihood.items() if name not in left_out)
    name = NAME if not left_out else f"{NAME}_without_{'_'.join(left_out)}"
    absent = np.mean([~rollout.valid[log.valid] for rollout in rollouts]) if log.valid.any() else np.nan
    return SimAgentScore(name, float(value / weight) if weight else np.nan, likelihood, rate, float(absent))


def histogram_likelihood(
    recorded: np.ndarray, simulated: np.ndarray, term: Term, ends_in_last_bin: bool = False
) -> float:
    """exp of the mean log probability of recorded values under each agent's own histogram of simulated ones.

    Args:
        recorded: `(T, S)`, NaN is left out; values beyond the bins are in the first and last.
        simulated: `(K, T, S)`, all rollouts and steps of an agent in one histogram.
        term: bins and pseudocount.
        ends_in_last_bin: see `score_sim_agents`.

    Returns:
        In (0, 1); NaN if nothing was recorded.
    """
    agents = recorded.shape[1]
    simulated = np.moveaxis(simulated, -1, 0).reshape(agents, -1)
    counts = np.full((agents, term.bins), term.pseudocount)
    for agent, values in enumerate(simulated):
        unknown = np.isnan(values)
        counts[agent] += np.bincount(_bin(values[~unknown], term), minlength=term.bins)
        counts[agent, -1] += unknown.sum() * ends_in_last_bin
    log_probability = np.log(counts / counts.sum(1, keepdims=True))
    step, agent = np.nonzero(~np.isnan(recorded))
    if not len(step):
        return float("nan")
    return float(np.exp(log_probability[agent, _bin(recorded[step, agent], term)].mean()))


def yes_no_likelihood(recorded: np.ndarray, simulated: np.ndarray, pseudocount: float = _YES_NO) -> float:
    """The same for one yes or no of each agent: `recorded (S,)` bool under `simulated (K, S)` bool."""
    if not len(recorded):
        return float("nan")
    agreeing = (simulated == recorded).sum(0)
    return float(np.exp(np.log((agreeing + pseudocount) / (len(simulated) + 2 * pseudocount)).mean()))


def _bin(values: np.ndarray, term: Term) -> np.ndarray:
    edges = np.linspace(term.low, term.high, term.bins + 1)
    return np.clip(np.searchsorted(edges, values, side="right") - 1, 0, term.bins - 1)
