"""Episodes: which planner drives which scenarios, and the record that each leaves."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from drivewm.closed_loop.environment import Environment
from drivewm.closed_loop.lockstep import Failure, drive
from drivewm.closed_loop.rollout_files import save_rollout
from drivewm.evaluation.functional.closed_loop import EpisodeScore, made_progress_m, score_episode
from drivewm.geometry.voxel_grid import VoxelGrid
from drivewm.planning.protocol import Planner
from drivewm.structures.rollout import Rollout

REFERENCE = "expert"
"""Table name of the environments' own driver. It knows the true state: privileged."""


class EpisodeScenario(Protocol):
    """What any kind of scenario tells the runner.

    Attributes:
        name, variant: unique together; scenarios that share a name count as one cluster.
        straight: is its route?
        family: what it is about.
    """

    name: str
    variant: int
    straight: bool
    family: str


@dataclass(frozen=True)
class PlannerSpec:
    """How a worker process gets a planner, and what the planner needs to see.

    Attributes:
        name: in tables and records.
        build: makes the planner; None for the environments' own driver. Must be picklable for worker processes.
        privileged: `build` takes the `Oracle` of an episode.
        deadline_s: a plan that takes longer than this is a failure [s].
        identity: whatever else decides its plans, e.g. a digest of its checkpoint; records under another one are not
            taken over.
        grid: of the occupancy in its history; None renders none.
        num_history: observed keyframes.
        lidar: whether a LiDAR sweep is in each of them.
    """

    name: str
    build: Callable[..., Planner] | None
    privileged: bool = False
    deadline_s: float = math.inf
    identity: str = ""
    grid: VoxelGrid | None = None
    num_history: int = 5
    lidar: bool = False

    def __post_init__(self):
        if self.num_history < 2:
            raise ValueError(f"num_history is {self.num_history}, expected at least 2: motion needs two frames")
        if (self.build is None) != (self.name == REFERENCE):
            raise ValueError(f"a planner named {self.name!r} needs a build function; {REFERENCE!r} has none")


REFERENCE_SPEC = PlannerSpec(REFERENCE, build=None, num_history=2)


@dataclass(frozen=True)
class Task:
    """Episodes that one worker drives in lockstep.

    Attributes:
        spec: of the planner.
        scenarios: to drive.
        references: the reference driver's score in each; None while it is that driver's turn.
        human: is the reference a person? Then what it gets wrong is not held against a planner.
        environment: makes the episode of a scenario for a planner.
        setting: what else decides an episode.
        rollouts: folder for the rollouts' arrays.
    """

    spec: PlannerSpec
    scenarios: tuple[EpisodeScenario, ...]
    references: tuple[EpisodeScore | None, ...]
    environment: Callable[[EpisodeScenario, PlannerSpec], Environment]
    setting: str
    rollouts: Path
    human: bool = False


def run_task(task: Task) -> list[dict]:
    """Drive a task's episodes: one plain record each."""
    environments = [task.environment(scenario, task.spec) for scenario in task.scenarios]
    if task.spec.build is None:
        for environment in environments:
            while not environment.done:
                environment.step_reference()
        outcomes: Sequence[Failure | None] = [None] * len(environments)
    else:
        outcomes = _drive(task.spec, environments)
    records = []
    for scenario, environment, outcome, reference in zip(
        task.scenarios, environments, outcomes, task.references, strict=True
    ):
        record = {
            "planner": task.spec.name,
            "scenario": scenario.name,
            "variant": scenario.variant,
            "straight": bool(scenario.straight),
            "family": scenario.family,
            "privileged": task.spec.build is None or task.spec.privileged,
            "setting": task.setting,
            "identity": identity(task.spec, scenario, task.setting),
            "status": "ok" if outcome is None else "failed",
            "reason": None if outcome is None else outcome.reason,
            "notes": environment.notes(),
            "score": None,
            "reference_progress_m": None if reference is None else reference.progress_m,
        }
        rollout = environment.rollout()
        save_rollout(task.rollouts / f"{episode_name(record)}.npz", rollout)
        if outcome is None:
            record["score"] = _score(rollout, reference, task.human).to_dict()
        records.append(record)
    return records


def _drive(spec: PlannerSpec, environments: Sequence[Environment]) -> list[Failure | None]:
    """Privileged planners drive one by one, since each has its own oracle."""
    if not spec.privileged:
        return drive(spec.build(), environments, spec.deadline_s)
    return [drive(spec.build(one.oracle()), [one], spec.deadline_s)[0] for one in environments]


def episode_name(record: dict) -> str:
    """How the files of an episode are called."""
    return f"{record['planner']}__{record['scenario']}__{record['variant']}"


def identity(spec: PlannerSpec, scenario: EpisodeScenario, setting: str) -> str:
    """A digest of all that decides an episode besides the code."""
    seen = (spec.grid, spec.num_history, spec.lidar)
    text = repr((spec.name, spec.identity, *seen, spec.deadline_s, scenario, setting))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _score(rollout: Rollout, reference: EpisodeScore | None, human: bool) -> EpisodeScore:
    """The reference driver itself, whose score is not yet known, is measured against its own progress."""
    reference_m = made_progress_m(rollout) if reference is None else reference.progress_m
    return score_episode(rollout, max(reference_m, 0.0), reference if human else None)
