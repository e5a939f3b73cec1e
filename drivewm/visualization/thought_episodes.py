"""An episode in the town with a planner that thinks aloud: what it considered at each step, and what really came."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

from drivewm.closed_loop.environment import REPLAN_S
from drivewm.closed_loop.episodes import PlannerSpec
from drivewm.closed_loop.execution import execute, expert_score
from drivewm.closed_loop.town import TownEnvironment
from drivewm.evaluation.functional.collisions import find_collisions
from drivewm.planning.imagining import Thought
from drivewm.planning.profile import as_plan
from drivewm.structures import Trajectory
from drivewm.structures.planning import PlanningInput
from drivewm.visualization.considered import SHOWN_S, Considered
from drivewm.visualization.executed import boxes_at, true_terms


class Thinker(Protocol):
    """A planner that tells what it considered."""

    name: str

    def think(self, inputs: PlanningInput) -> Thought: ...


def thinker(spec: PlannerSpec) -> Thinker:
    """The planner of a spec. ValueError if it does not tell what it considers."""
    planner = None if spec.build is None or spec.privileged else spec.build()
    if not hasattr(planner, "think"):
        raise ValueError(f"{spec.name} does not imagine; expected a planner such as configs/planners/rank_drives.py")
    return planner


def plan_of(thought: Thought) -> Trajectory:
    """The plan that was taken, on the CPU."""
    poses = thought.proposals.driver.poses(thought.refined.controls[:, None])[:, 0]
    return as_plan(poses.float().cpu())


def think_aloud(planner: Thinker, environment: TownEnvironment) -> Iterator[tuple[float, Considered, str]]:
    """Drive an episode to its end with a planner.

    Yields:
        at each step the time since the scored part began [s], what the planner considered, with what would really come
        of it, and in words what has happened to the ego so far ("" as long as nothing has).
    """
    step = 0
    while not environment.done:
        inputs = environment.observe()
        thought = planner.think(inputs)
        yield step * REPLAN_S, _with_truth(Considered.of(thought, inputs), thought, environment), _fate(environment)
        environment.step(plan_of(thought))
        step += 1


def _with_truth(considered: Considered, thought: Thought, environment: TownEnvironment) -> Considered:
    """What was considered, and what really comes of the chosen and of the preferred plan."""
    reference_m = max(expert_score(environment).progress_m, 0.0)
    executed = execute(environment, plan_of(thought))
    preferred = thought.proposals.preferred()
    other = execute(environment, as_plan(preferred.poses.float().cpu()))
    return replace(
        considered,
        chosen=replace(considered.chosen, true_terms=true_terms(executed, reference_m)),
        preferred=replace(considered.preferred, true_terms=true_terms(other, reference_m)),
        boxes=boxes_at(executed, 0.0),
        coming_boxes=[boxes_at(executed, time_s) for time_s in SHOWN_S],
        struck=[boxes_at(executed, time_s, struck=True) for time_s in (0.0, *SHOWN_S)],
    )


def _fate(environment: TownEnvironment) -> str:
    rollout = environment.rollout()
    hits = find_collisions(rollout)
    return f"collided at {hits[0].step * rollout.dt_s:.1f} s" if hits else ""
