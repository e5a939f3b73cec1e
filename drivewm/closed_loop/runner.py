"""Planners x scenarios, over worker processes, one record an episode; a killed run goes on where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from drivewm.closed_loop.environment import Environment
from drivewm.closed_loop.episodes import (
    REFERENCE,
    REFERENCE_SPEC,
    EpisodeScenario,
    PlannerSpec,
    Task,
    identity,
    run_task,
)
from drivewm.closed_loop.records import EpisodeLog
from drivewm.evaluation.functional.closed_loop import EpisodeScore
from drivewm.host import open_processes


def run(
    specs: Sequence[PlannerSpec],
    scenarios: Sequence[EpisodeScenario],
    environment: Callable[[EpisodeScenario, PlannerSpec], Environment],
    out: str | Path,
    workers: int = 1,
    batch: int = 8,
    setting: str = "",
    human: bool = False,
    progress: Callable[[int], None] | None = None,
) -> list[dict]:
    """Drive every planner in every scenario, the environments' own driver first: its progress is the reference.

    Args:
        specs: of the planners.
        scenarios: no two with the same name and variant.
        environment: makes the episode of a scenario for a planner. Must be picklable if there are several workers.
        out: folder; `episodes.jsonl` in it takes the records, and `rollouts/` what happened as .npz files.
        workers: processes; 1 drives in this one.
        batch: episodes that a worker drives in lockstep. Does not change the records.
        human: is the reference driver a person? Then what it gets wrong is not held against a planner (NAVSIM v2).
        setting: what else of the environment decides an episode, e.g. whether agents react, in words.
        progress: called with the number of episodes that were just finished.

    Returns:
        The records of these planners and scenarios, the reference driver's included.

    Raises:
        ValueError: on planners or scenarios that share a name, or records in `out` of other checkpoints or settings, or
            fewer than one worker.
    """
    out = Path(out)
    specs = [REFERENCE_SPEC, *(spec for spec in specs if spec.name != REFERENCE)]
    _check_unique("planners", [spec.name for spec in specs])
    _check_unique("scenarios", [f"{scenario.name}, variant {scenario.variant}" for scenario in scenarios])
    log = EpisodeLog(out / "episodes.jsonl")

    def tasks(spec: PlannerSpec) -> list[Task]:
        missing = [s for s in scenarios if not log.finished(spec.name, s.name, s.variant, identity(spec, s, setting))]
        size = max(1, min(batch, -(-len(missing) // max(workers, 1))))
        chunks = [tuple(missing[start : start + size]) for start in range(0, len(missing), size)]
        references = [tuple(None if spec.build is None else _reference(log, s) for s in chunk) for chunk in chunks]
        rest = environment, setting, out / "rollouts", human
        return [Task(spec, *pair, *rest) for pair in zip(chunks, references, strict=True)]

    with open_processes(workers) as spread:
        for stage in (specs[:1], specs[1:]):
            for records in spread(run_task, [task for spec in stage for task in tasks(spec)]):
                for record in records:
                    log.append(record)
                if progress is not None:
                    progress(len(records))
    return [log.records[spec.name, scenario.name, scenario.variant] for spec in specs for scenario in scenarios]


def _reference(log: EpisodeLog, scenario: EpisodeScenario) -> EpisodeScore:
    return EpisodeScore.from_dict(log.records[REFERENCE, scenario.name, scenario.variant]["score"])


def _check_unique(what: str, names: list[str]) -> None:
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise ValueError(f"{what} must have different names, but {double} come up more than once")
