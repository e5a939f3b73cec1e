"""An executed plan in the terms and in the frame in which it was imagined."""

from __future__ import annotations

import numpy as np

from drivewm.evaluation.functional.aggregate import PDMS
from drivewm.evaluation.functional.closed_loop import score_episode
from drivewm.evaluation.functional.collisions import find_collisions
from drivewm.geometry import se2
from drivewm.structures import Rollout

TERMS = ("nc", "dac", "tlc", "ep", "ttc", "comfort")
"""Those that the imagined score has too."""


def true_terms(executed: Rollout, reference_m: float) -> dict[str, float]:
    """The terms of the executed plan, and under "total" its score; each in [0, 1].

    Progress is against `reference_m`, what the expert makes in the same time [m]. It is not multiplied by the others,
    as the imagined one is not; the total is NAVSIM's aggregate of the terms, times the red light. A term that does not
    exist is left out, and counts as 1.
    """
    score = score_episode(executed, reference_m)
    terms = {name: getattr(score, name) for name in TERMS} | {"ep": score.progress}
    known = {name: float(value) for name, value in terms.items() if value is not None}
    return known | {"total": known.get("tlc", 1.0) * PDMS.score(dict.fromkeys(TERMS, 1.0) | known)}


def boxes_at(executed: Rollout, time_s: float, struck: bool = False) -> np.ndarray:
    """The others `(M, 7)` at a time after the first step, in the ego frame of that first step.

    Args:
        struck: only those that the ego hits on its way.
    """
    step = round(time_s / executed.dt_s)
    shown = executed.agents.valid[step]
    if struck:
        shown = shown & np.isin(np.arange(len(shown)), [hit.agent for hit in find_collisions(executed)])
    boxes = executed.agents.boxes[step, shown].copy()
    boxes[:, [0, 1, 6]] = se2.compose(se2.inverse(executed.poses[0]), boxes[:, [0, 1, 6]])
    return boxes
