"""What a planner drives in: observe, plan, step, until done."""

from __future__ import annotations

from typing import Protocol

from drivewm.structures.planning import Oracle, PlanningInput
from drivewm.structures.rollout import Rollout
from drivewm.structures.trajectory import Trajectory

REPLAN_S = 0.5
"""Time between two plans [s]; physics runs at 10 Hz in between."""


class Environment(Protocol):
    """One episode: created ready to be observed, its unscored warm-up driven.

    A class may also have a classmethod `step_together(environments, plans)`, which does what each one's `step` does:
    the dream has one, since its world model is faster with several episodes at once.

    Attributes:
        done: whether the episode is over.
    """

    done: bool

    def observe(self) -> PlanningInput:
        """What the planner may see now, with B = 1."""
        ...

    def step(self, plan: Trajectory) -> None:
        """Drive along a plan (B = 1, ego frame at the last `observe`) for `REPLAN_S`; the others react."""
        ...

    def step_reference(self) -> None:
        """Let the environment's own driver (privileged) drive for `REPLAN_S`; its progress is the reference."""
        ...

    def oracle(self) -> Oracle:
        """The truth of this episode, for privileged planners."""
        ...

    def rollout(self) -> Rollout:
        """What happened since the warm-up, at physics steps."""
        ...

    def notes(self) -> dict:
        """What else its record must say about the episode, as plain JSON values; empty where there is nothing."""
        ...
