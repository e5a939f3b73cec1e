"""What a plan is worth when it is driven: its whole 4 s in a twin of the episode, tracked open loop."""

from __future__ import annotations

from drivewm.closed_loop.town import AGENT_RADIUS_M, TownEnvironment
from drivewm.evaluation.functional.closed_loop import EpisodeScore, made_progress_m, score_episode
from drivewm.planning.protocol import PLAN_DT_S, PLAN_STEPS, check_plan
from drivewm.simulation.simulator import DT_S
from drivewm.structures.rollout import Rollout
from drivewm.structures.trajectory import Trajectory


def execute(environment: TownEnvironment, plan: Trajectory) -> Rollout:
    """What happens if a plan (B = 1, ego frame now) is tracked to its end, without another plan in between.

    The same tracker, vehicle and agents as in the closed loop: others react. The episode itself is left as it is.

    Raises:
        ValueError: it is no complete plan.
    """
    check_plan(plan, batch=1)
    twin, recorder = environment.simulator.fork(), environment.recorder.before()

    def record() -> None:
        recorder.add(twin.ego, twin.boxes(AGENT_RADIUS_M), twin.light_states()[1])

    record()
    reference = environment.tracker.reference(recorder.add_plan(twin.ego.pose, plan), plan.dt_s)
    for step in range(round(PLAN_STEPS * PLAN_DT_S / DT_S)):
        twin.step(environment.tracker.control(twin.ego, reference, step * DT_S))
        record()
    return recorder.rollout()


def real_score(environment: TownEnvironment, plan: Trajectory, reference_m: float) -> EpisodeScore:
    """The closed loop's score of those 4 s, against the expert's progress in them [m]."""
    return score_episode(execute(environment, plan), reference_m)


def expert_score(environment: TownEnvironment) -> EpisodeScore:
    """What the expert's own next 4 s are worth, against its own progress."""
    rollout = environment.oracle().future()
    return score_episode(rollout, max(made_progress_m(rollout), 0.0))
