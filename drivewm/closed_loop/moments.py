"""One moment: what choosers imagine of its candidates, which they take, and what each is worth when driven."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
from torch import Tensor

from drivewm.closed_loop.choosers import think_together
from drivewm.closed_loop.execution import expert_score, real_score
from drivewm.closed_loop.town import TownEnvironment
from drivewm.evaluation.functional.closed_loop import EpisodeScore
from drivewm.planning.cost import ImaginedScore
from drivewm.planning.imagining import ImaginingPlanner, Thought
from drivewm.planning.profile import as_plan
from drivewm.structures.trajectory import Trajectory

HEAD, RANDOM, BEST = "head", "random", "best"
"""Choosers that imagine nothing: the head's preferred, the mean over all candidates, the best in hindsight."""
TERMS = ("score", "extended_score", "nc", "dac", "tlc", "ep", "ttc", "comfort", "progress", "progress_m")
"""What is kept of a real score."""
IMAGINED_TERMS = tuple(f.name for f in fields(ImaginedScore) if f.name != "hit")


def judge_moment(environment: TownEnvironment, planners: dict[str, ImaginingPlanner]) -> dict:
    """What was imagined of each candidate, and what it is worth. The episode is left as it is.

    Returns:
        "expert": the expert's own next 4 s; its progress is the reference of all others.
        "preference": the head's, of the M proposals.
        "real": for each proposal, `TERMS` of what it is worth.
        "imagined": `{world: {"total" and IMAGINED_TERMS: [M values]}}`.
        "choosers": `{name: {"candidate", "imagined", "forwards", "search_forwards", "real"}}`: which proposal is taken
            (None for a plan that is none of them, and for the mean of all), its imagined score (None for who imagines
            nothing), plans scored for it with and without the ranking of the proposals, and what it is worth.
    """
    thoughts = think_together(planners, environment.observe())
    expert = expert_score(environment)
    proposals = next(iter(thoughts.values())).proposals
    number = proposals.logits.shape[1]

    def worth(plan: Trajectory) -> dict[str, float | None]:
        return _terms(real_score(environment, plan, max(expert.progress_m, 0.0)))

    real = [worth(as_plan(proposals.poses[:, k].float().cpu())) for k in range(number)]
    choosers = {
        HEAD: _taken(int(proposals.preference[0].argmax()), real),
        RANDOM: _choice(None, None, 0, 0, _mean_terms(real)),
        BEST: _taken(int(np.argmax([terms["score"] for terms in real])), real),
    }
    imagined = {}
    for name, thought in thoughts.items():
        imagined.setdefault(name.split("/")[0], _imagined(thought.scores))
        candidate = _which(thought)
        own = worth(_refined_plan(thought)) if candidate is None else real[candidate]
        forwards = thought.refined.forwards
        choosers[name] = _choice(candidate, float(thought.refined.score[0]), forwards, forwards - number, own)
    return {
        "expert": _terms(expert),
        "preference": _floats(proposals.preference[0]),
        "real": real,
        "imagined": imagined,
        "choosers": choosers,
    }


def _which(thought: Thought) -> int | None:
    """The proposal that was taken; None if the plan is another."""
    same = (thought.proposals.controls[0] == thought.refined.controls[0]).all(-1)
    return int(same.float().argmax()) if same.any() else None


def _refined_plan(thought: Thought) -> Trajectory:
    poses = thought.proposals.driver.poses(thought.refined.controls[:, None])[:, 0]
    return as_plan(poses.detach().float().cpu())


def _taken(candidate: int, real: list[dict]) -> dict:
    return _choice(candidate, None, 0, 0, real[candidate])


def _choice(candidate: int | None, imagined: float | None, forwards: int, search_forwards: int, real: dict) -> dict:
    return {
        "candidate": candidate,
        "imagined": imagined,
        "forwards": forwards,
        "search_forwards": search_forwards,
        "real": real,
    }


def _terms(score: EpisodeScore) -> dict[str, float | None]:
    return {term: getattr(score, term) for term in TERMS}


def _mean_terms(real: list[dict]) -> dict[str, float | None]:
    columns = {term: [terms[term] for terms in real] for term in TERMS}
    return {term: None if None in values else float(np.mean(values)) for term, values in columns.items()}


def _imagined(scores: ImaginedScore) -> dict[str, list[float]]:
    return {"total": _floats(scores.total[0])} | {name: _floats(getattr(scores, name)[0]) for name in IMAGINED_TERMS}


def _floats(values: Tensor) -> list[float]:
    return [float(v) for v in values.detach().float().cpu()]
