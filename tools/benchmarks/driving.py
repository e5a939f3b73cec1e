"""The closed loop: how much faster than real time planners are driven in the town, and what a second process brings."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.measure import Row, within
from drivewm.closed_loop.episodes import PlannerSpec
from drivewm.closed_loop.runner import run
from drivewm.closed_loop.scenarios import held_out_scenarios
from drivewm.closed_loop.town import WARM_UP_S, town_environment
from drivewm.engine.planners import planner_spec

EPISODES, SCORED_S = 4, 20.0


def rule_based(name: str, times_real_time: float) -> Row:
    """Episodes of one planner in the town without sensors, observed, planned, driven, scored and written."""
    return _against_real_time(planner_spec(name), times_real_time)


def with_lidar(times_real_time: float) -> Row:
    """The same, with a LiDAR sweep at each keyframe (2 Hz)."""
    return _against_real_time(replace(planner_spec("idm"), lidar=True), times_real_time)


def two_workers() -> Row:
    """Two processes against one, on the same episodes, once. Processes start, import and generate their towns anew."""
    scenarios = held_out_scenarios(8 * EPISODES, seed=0, scored_s=SCORED_S)
    seconds, records = {}, {}
    for workers in (1, 2):
        begin_s = time.perf_counter()
        records[workers] = _drive(planner_spec("pdm"), scenarios, workers)
        seconds[workers] = time.perf_counter() - begin_s
    if records[1] != records[2]:
        raise AssertionError("two processes give other records than one")
    return Row(seconds[2], seconds[1], (seconds[1] / seconds[2],), goal=None)


def _against_real_time(spec: PlannerSpec, times: float) -> Row:
    scenarios = held_out_scenarios(EPISODES, seed=0, scored_s=SCORED_S)
    _drive(spec, scenarios[:1], 1)  # the town is made once, before

    def check(records: list[dict]) -> None:
        if [record["status"] for record in records] != ["ok"] * 2 * EPISODES:
            raise AssertionError("an episode failed")

    driven_s = 2 * EPISODES * (SCORED_S + WARM_UP_S)  # the reference drives them too
    return within(driven_s / times, partial(_drive, spec, scenarios, 1), check, rounds=3)


def _drive(spec: PlannerSpec, scenarios: list, workers: int) -> list[dict]:
    with tempfile.TemporaryDirectory() as folder:
        return run([spec], scenarios, town_environment, Path(folder), workers)
