"""What a planner is: one method, from a `PlanningInput` to eight poses, half a second apart."""

from __future__ import annotations

from typing import Protocol

from drivewm.structures.planning import PlanningInput
from drivewm.structures.trajectory import Trajectory

PLAN_STEPS = 8
PLAN_DT_S = 0.5
STEPS_S = tuple(PLAN_DT_S * (step + 1) for step in range(PLAN_STEPS))
"""Times of a plan's poses after t0 [s]."""


class Planner(Protocol):
    """Anything that plans. It sees a batch of observations and must not change them.

    Attributes:
        name: how tables call it. A class that also has `privileged = True` is given an `Oracle` as its first argument.
    """

    name: str

    def plan(self, inputs: PlanningInput) -> Trajectory:
        """The poses `(B, PLAN_STEPS, 3)` of the rear axle in the ego frame at t0, `PLAN_DT_S` apart."""
        ...


def check_plan(trajectory: Trajectory, batch: int) -> None:
    """Raises a ValueError unless `trajectory` is a complete plan for `batch` observations.

    Too few poses, another time step or a pose that is not valid or not finite would otherwise be tracked as
    if they had been meant.
    """
    if not isinstance(trajectory, Trajectory):
        raise ValueError(f"the plan is a {type(trajectory).__name__}, expected a Trajectory")
    expected = (batch, PLAN_STEPS, 3)
    if tuple(trajectory.poses.shape) != expected:
        raise ValueError(f"the plan has poses of shape {tuple(trajectory.poses.shape)}, expected {expected}")
    if trajectory.dt_s != PLAN_DT_S:
        raise ValueError(f"the plan's poses are {trajectory.dt_s} s apart, expected {PLAN_DT_S} s")
    if not trajectory.valid.all():
        raise ValueError(f"the plan has {int((~trajectory.valid).sum())} poses that are not valid, expected none")
    if not trajectory.poses.isfinite().all():
        raise ValueError("the plan holds NaN or infinity, expected finite poses")
