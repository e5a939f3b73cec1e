"""Is the imagined choice the right one? At moments of an episode, every candidate is driven for real.

At a moment the model proposes once. Each chooser takes one of the proposals, or searches for a better plan; then all
proposals and all plans that were found are executed, each in its own twin of the town. So every choice is compared with
what else could have been chosen, under one and the same score.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from drivewm.closed_loop.choosers import Chooser, build_planners
from drivewm.closed_loop.environment import REPLAN_S
from drivewm.closed_loop.episodes import REFERENCE, REFERENCE_SPEC, PlannerSpec, identity
from drivewm.closed_loop.moments import judge_moment
from drivewm.closed_loop.records import EpisodeLog
from drivewm.closed_loop.town import TownEnvironment, town_environment
from drivewm.host import in_processes
from drivewm.simulation import Scenario

LOG = "moments.jsonl"


@dataclass(frozen=True)
class MomentsTask:
    """The moments of one scenario.

    Attributes:
        spec: of a planner that has a `DrivingModel` as `model`; says what is observed.
        choosers: to compare.
        scenario: whose moments are judged.
        moments: how many, one drawn from each of so many equal parts of the episode.
        seed: of the moments and of what choosers draw.
        driver: who drives from moment to moment.
        setting: what else decides the record.
    """

    spec: PlannerSpec
    choosers: tuple[Chooser, ...]
    scenario: Scenario
    moments: int
    seed: int
    driver: PlannerSpec
    setting: str


def measure_regret(
    spec: PlannerSpec,
    scenarios: Sequence[Scenario],
    out: str | Path,
    choosers: Sequence[Chooser],
    moments: int = 4,
    seed: int = 0,
    driver: PlannerSpec = REFERENCE_SPEC,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
) -> list[dict]:
    """Judge moments of every scenario; a killed run goes on where it stopped.

    Args:
        spec: of a planner with a `DrivingModel`; the model and what it observes count, not how the planner chooses.
        scenarios: of the town, no two with the same name and variant.
        out: folder; `moments.jsonl` in it takes one record a scenario.
        choosers: to compare.
        moments: of each scenario.
        seed: of everything that is drawn.
        driver: drives from moment to moment; sees what the model observes. The town's expert by default.
        workers: processes.
        progress: called with the number of scenarios that were just finished.

    Returns:
        The records of these scenarios, see `judge_scenario`.

    Raises:
        ValueError: scenarios or choosers share a name, an episode has fewer keyframes than moments, or `out` holds
            records of other checkpoints or settings.
    """
    names = [f"{s.name}, variant {s.variant}" for s in scenarios]
    for kind, given in (("scenarios", names), ("choosers", [chooser.name for chooser in choosers])):
        if len(set(given)) != len(given) or not given:
            raise ValueError(f"{kind} must be there and have different names, got {given}")
    setting = (
        f"regret at {moments} moments, seed {seed}, driven by {driver.name} {driver.identity}, "
        f"choosers {', '.join(chooser.name for chooser in choosers)}"
    )
    log = EpisodeLog(Path(out) / LOG)
    tasks = [
        MomentsTask(spec, tuple(choosers), scenario, moments, seed, driver, setting)
        for scenario in scenarios
        if not log.finished(spec.name, scenario.name, scenario.variant, identity(spec, scenario, setting))
    ]
    for record in in_processes(judge_scenario, tasks, workers):
        log.append(record)
        if progress is not None:
            progress(1)
    return [log.records[spec.name, scenario.name, scenario.variant] for scenario in scenarios]


def judge_scenario(task: MomentsTask) -> dict:
    """Drive an episode and judge its moments: a plain record, whose "moments" are those of `judge_moment`."""
    environment = town_environment(task.scenario, task.spec)
    planners = build_planners(task.choosers, task.spec.build().model, task.seed)
    drive_on = _driver(environment, task.driver)
    numbers, moments = moment_numbers(environment, task.moments, task.seed), []
    for number in range(numbers[-1] + 1):
        if number in numbers:
            moments.append({"time_s": number * REPLAN_S} | judge_moment(environment, planners))
        drive_on()
    return {
        "planner": task.spec.name,
        "scenario": task.scenario.name,
        "variant": task.scenario.variant,
        "family": task.scenario.family,
        "setting": task.setting,
        "identity": identity(task.spec, task.scenario, task.setting),
        "status": "ok",
        "moments": moments,
    }


def moment_numbers(environment: TownEnvironment, count: int, seed: int) -> list[int]:
    """Which keyframes after the warm-up are judged: one drawn from each of `count` equal parts of the scored time."""
    scenario = environment.scenario
    keyframes = round((scenario.duration_s - environment.simulator.time_s) / REPLAN_S)
    if not 1 <= count <= keyframes:
        raise ValueError(f"expected 1 to {keyframes} moments, as scenario {scenario.name} has keyframes, got {count}")
    rng = np.random.default_rng([seed, scenario.variant, zlib.crc32(scenario.name.encode())])
    edges = np.linspace(0, keyframes, count + 1).round().astype(int)
    return [int(rng.integers(low, high)) for low, high in zip(edges[:-1], edges[1:], strict=True)]


def _driver(environment: TownEnvironment, spec: PlannerSpec) -> Callable[[], None]:
    """Drives on to the next keyframe."""
    if spec.name == REFERENCE:
        return environment.step_reference
    shown = environment.spec
    if spec.lidar or (spec.grid is not None and (spec.grid, spec.num_history) != (shown.grid, shown.num_history)):
        raise ValueError(f"driver {spec.name} needs to see {spec}, but is shown what the model sees: {shown}")
    planner = spec.build(environment.oracle()) if spec.privileged else spec.build()
    return lambda: environment.step(planner.plan(environment.observe()))
