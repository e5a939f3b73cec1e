"""Drive several episodes side by side, so that a learned planner plans for all of them in one batch."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch

from drivewm.closed_loop.environment import Environment
from drivewm.planning.protocol import Planner, check_plan
from drivewm.structures.clip import History, SceneClip
from drivewm.structures.planning import EgoState, PlanningInput
from drivewm.structures.trajectory import Trajectory


@dataclass(frozen=True)
class Failure:
    """A planner that did not deliver: what was raised, or what was wrong with its plan."""

    reason: str


def drive(planner: Planner, environments: Sequence[Environment], deadline_s: float = math.inf) -> list[Failure | None]:
    """Drive all episodes to their end with one planner; for each, None or why the planner failed in it.

    An episode in which the planner fails ends there; the others go on. A deadline is for one plan [s]: where there is
    one, plans are made one by one.
    """
    failures: list[Failure | None] = [None] * len(environments)
    active = [i for i, environment in enumerate(environments) if not environment.done]
    while active:
        observed = [environments[i].observe() for i in active]
        if math.isinf(deadline_s):
            plans = plan_together(planner, observed)
        else:
            plans = [_plan_in_time(planner, one, deadline_s) for one in observed]
        for i, plan in zip(active, plans, strict=True):
            if isinstance(plan, Failure):
                failures[i] = plan
        _step([(environments[i], plan) for i, plan in zip(active, plans, strict=True) if failures[i] is None])
        active = [i for i in active if failures[i] is None and not environments[i].done]
    return failures


def _step(planned: Sequence[tuple[Environment, Trajectory]]) -> None:
    """One by one, or with one call where all are of a kind that has `step_together`."""
    kinds = {type(environment) for environment, _ in planned}
    together = getattr(kinds.pop(), "step_together", None) if len(kinds) == 1 else None
    if together is not None:
        together(*zip(*planned, strict=True))
        return
    for environment, plan in planned:
        environment.step(plan)


def plan_together(planner: Planner, inputs: Sequence[PlanningInput]) -> list[Trajectory | Failure]:
    """One plan for each observation (B = 1 each), from one call; one by one where that call fails.

    Whatever a planner raises becomes a `Failure` of that episode: a foreign planner's error must neither be lost nor
    stop the other episodes.
    """
    try:
        plan = planner.plan(inputs[0] if len(inputs) == 1 else stack_inputs(inputs))
        check_plan(plan, len(inputs))
    except Exception as error:
        if len(inputs) > 1:
            return [alone for one in inputs for alone in plan_together(planner, [one])]
        return [Failure(f"{type(error).__name__}: {error}")]
    return [Trajectory(plan.poses[i : i + 1], plan.valid[i : i + 1], plan.dt_s) for i in range(len(inputs))]


def _plan_in_time(planner: Planner, inputs: PlanningInput, deadline_s: float) -> Trajectory | Failure:
    begin_s = time.perf_counter()
    (plan,) = plan_together(planner, [inputs])
    took_s = time.perf_counter() - begin_s
    if took_s > deadline_s and not isinstance(plan, Failure):
        return Failure(f"deadline: the plan took {took_s:.3f} s, expected at most {deadline_s:g} s")
    return plan


def stack_inputs(inputs: Sequence[PlanningInput]) -> PlanningInput:
    """Observations (B = 1 each) as one batch; boxes and points are padded to the largest number."""
    histories = [one.history for one in inputs]
    clips = [
        SceneClip(**{f.name: getattr(h, f.name) for f in fields(History)}, num_history=h.num_frames) for h in histories
    ]
    history = SceneClip.cat(clips).history()
    ego = EgoState(*(torch.cat([getattr(one.ego_state, f.name) for one in inputs]) for f in fields(EgoState)))
    return PlanningInput(history, ego, tuple(m for one in inputs for m in one.road_map), history.route)
