"""How real do agents drive: several simulators of the same recorded scenes, scored scene by scene."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from drivewm.closed_loop.realism.rollouts import EGO_TRACK, LoggedScene, TownScene, follow_paths, keep_velocity
from drivewm.dynamics.idm import NUPLAN_IDM, IDMParameters
from drivewm.evaluation.functional.bootstrap import clustered_mean_interval, paired_difference_interval
from drivewm.evaluation.functional.sim_agents import TERMS, score_sim_agents
from drivewm.evaluation.tables import interval_cell
from drivewm.simulation import Scenario, Town
from drivewm.structures.rollout import AgentTracks

CEILING, TOWN, CONSTANT = "recording itself (ceiling)", "town", "constant velocity"
CAUSAL = ("town, others only", "town, others only, ego repeats its log")
"""The causal test: do the others drive as well when the ego does what they know nothing of?"""
_IDM = {"IDM on recorded paths, 6 m/s^2": IDMParameters(), "IDM on recorded paths, 2 m/s^2": NUPLAN_IDM}


def scenario_records(scenario: Scenario, rollouts: int, seed: int) -> list[dict]:
    """`town_records` of a scenario, its town generated and its recording driven first."""
    return town_records(TownScene(Town.generate(scenario.town_seed, scenario.town), scenario), rollouts, seed)


def town_records(recorded: TownScene, rollouts: int, seed: int) -> list[dict]:
    """One record for each simulator of a town's scene, see `scene_records`, and the causal test's two."""
    scene, seeds = recorded.scene, _seeds(recorded.scene, seed, rollouts)
    free = [recorded.rollout(number) for number in seeds]
    records = scene_records(scene, rollouts, seed)
    records.insert(1, _record(TOWN, scene, free))
    others = replace(scene, subjects=scene.subjects[scene.subjects != EGO_TRACK])
    if len(others.subjects):
        forced = [recorded.rollout(number, ego_replays=True) for number in seeds]
        records += [_record(name, others, sims) for name, sims in zip(CAUSAL, (free, forced), strict=True)]
    return records


def scene_records(scene: LoggedScene, rollouts: int, seed: int) -> list[dict]:
    """One record for each simulator that works on any recorded scene.

    Args:
        scene: what happened.
        rollouts: K, of each simulator; all draw the same disturbances.
        seed: of these.

    Returns:
        Plain records: `simulator`, `scene`, `agents` scored, `score` (its name), `value`, `official_ends` (the same
        with undefined ends in the last bin), `likelihood` and `rate` by term, `absent`; None where left out.
    """
    seeds = _seeds(scene, seed, rollouts)
    records = [_record(CEILING, scene, [scene.tracks] * rollouts)]
    for name, idm in _IDM.items():
        records.append(_record(name, scene, [follow_paths(scene, idm, np.random.default_rng(s)) for s in seeds]))
    records.append(_record(CONSTANT, scene, [keep_velocity(scene, np.random.default_rng(s)) for s in seeds]))
    return records


def _seeds(scene: LoggedScene, seed: int, rollouts: int) -> list[int]:
    return np.random.default_rng([seed, zlib.crc32(scene.name.encode())]).integers(2**31, size=rollouts).tolist()


def _record(simulator: str, scene: LoggedScene, rollouts: Sequence[AgentTracks]) -> dict:
    log, simulated = scene.features(scene.tracks), [scene.features(tracks) for tracks in rollouts]
    score = score_sim_agents(log, simulated)
    return dict(
        simulator=simulator,
        scene=scene.name,
        agents=len(scene.subjects),
        score=score.name,
        value=score.value,
        official_ends=score_sim_agents(log, simulated, ends_in_last_bin=True).value,
        likelihood={name: _known(value) for name, value in score.likelihood.items()},
        rate={name: _known(value) for name, value in score.rate.items()},
        absent=score.absent,
    )


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value


def summary_rows(records: Sequence[dict], seed: int = 0) -> tuple[list[str], list[list[object]]]:
    """Headers and rows, one a simulator: means over scenes, with 95 % intervals where there are several scenes.

    Raises:
        ValueError: the scenes were scored by different terms, so that their scores do not compare.
    """
    names = {record["score"] for record in records}
    if len(names) != 1:
        raise ValueError(f"scenes must be scored alike to be averaged, got {sorted(names)}")
    terms = [name for name in TERMS if any(record["likelihood"][name] is not None for record in records)]
    rates = [name for name in records[0]["rate"] if name in terms]
    headers = ["simulator", "scenes", names.pop(), "official ends", *(n.replace("_", " ") for n in terms)]
    headers += [f"{name.replace('_', ' ')} %" for name in rates] + ["absent %"]
    rows = []
    for simulator in dict.fromkeys(record["simulator"] for record in records):
        own = [record for record in records if record["simulator"] == simulator]
        row: list[object] = [simulator, len(own), _interval(own, seed), _mean(r["official_ends"] for r in own)]
        row += [_mean(r["likelihood"][name] for r in own) for name in terms]
        row += [f"{100 * _mean(r['rate'][name] for r in own):.1f}" for name in rates]
        rows.append([*row, f"{100 * _mean(r['absent'] for r in own):.1f}"])
    return headers, rows


def causal_difference(records: Sequence[dict], seed: int = 0) -> str:
    """How much the others lose if the ego repeats its log, with its 95 % interval."""
    free, forced = ({r["scene"]: r["value"] for r in records if r["simulator"] == name} for name in CAUSAL)
    scenes = list(free)
    difference = paired_difference_interval(
        np.array([free[s] for s in scenes]),
        np.array([forced[s] for s in scenes]),
        scenes,
        np.random.default_rng(seed),
    )
    return interval_cell(difference, digits=4)


def _interval(records: Sequence[dict], seed: int) -> str:
    scenes = [record["scene"] for record in records]
    found = clustered_mean_interval([r["value"] for r in records], scenes, np.random.default_rng(seed))
    return interval_cell(found, digits=3) if len(set(scenes)) > 2 else f"{found.value:.3f}"


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
