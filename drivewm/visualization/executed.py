"""What really comes of a plan: a twin of the town goes on while it is carried out."""

from __future__ import annotations

import numpy as np

from drivewm.closed_loop.recorder import RolloutRecorder
from drivewm.closed_loop.town import AGENT_RADIUS_M, TownEnvironment
from drivewm.evaluation.functional.aggregate import PDMS
from drivewm.evaluation.functional.closed_loop import made_progress_m, score_episode
from drivewm.geometry import se2
from drivewm.planning.protocol import PLAN_STEPS
from drivewm.simulation.simulator import DT_S, TownSimulator
from drivewm.structures import Rollout, Trajectory

TERMS = ("nc", "dac", "tlc", "ep", "ttc", "comfort")
"""Those that the imagined score has too."""


def execute(environment: TownEnvironment, plan: Trajectory) -> Rollout:
    """The coming 4 s if the plan (B = 1, ego frame now) is tracked to its end, now being the first step.

    Others react. The episode itself stays where it is.
    """
    twin = environment.simulator.fork()
    begin = twin.ego.pose
    poses = np.concatenate([begin[None], se2.compose(begin, plan.poses[0].double().numpy())])
    reference = environment.tracker.reference(poses, plan.dt_s)
    recorder = RolloutRecorder(DT_S, twin.vehicle, environment.road_map, twin.route_points(), twin.light_states()[0])
    _record(recorder, twin)
    for step in range(round(PLAN_STEPS * plan.dt_s / DT_S)):
        twin.step(environment.tracker.control(twin.ego, reference, step * DT_S))
        _record(recorder, twin)
    return recorder.rollout()


def true_terms(executed: Rollout, reference: Rollout) -> dict[str, float]:
    """The terms of the executed plan, and under "total" its score; each in [0, 1].

    Progress is against `reference`, what the expert makes in the same time. It is not multiplied by the others, as the
    imagined one is not; `total` is NAVSIM's aggregate of the terms, times the red light.
    """
    score = score_episode(executed, max(made_progress_m(reference), 0.0))
    terms = {name: getattr(score, name) for name in TERMS} | {"ep": score.progress}
    known = {name: 1.0 if value is None else float(value) for name, value in terms.items()}
    return known | {"total": known["tlc"] * PDMS.score(known)}


def boxes_at(executed: Rollout, time_s: float) -> np.ndarray:
    """The others `(M, 7)` at a time after the first step, in the ego frame of that first step."""
    step = round(time_s / executed.dt_s)
    boxes = executed.agents.boxes[step, executed.agents.valid[step]].copy()
    boxes[:, [0, 1, 6]] = se2.compose(se2.inverse(executed.poses[0]), boxes[:, [0, 1, 6]])
    return boxes


def _record(recorder: RolloutRecorder, simulator: TownSimulator) -> None:
    recorder.add(simulator.ego, simulator.boxes(AGENT_RADIUS_M), simulator.light_states()[1])
