"""Oracles: what they tell is what comes, asking changes nothing, and only privileged planners get one."""

import numpy as np
import pytest

from drivewm.closed_loop.episodes import PlannerSpec
from drivewm.closed_loop.runner import run
from drivewm.closed_loop.scenarios import held_out_scenarios
from drivewm.closed_loop.summary import summarize
from drivewm.closed_loop.tables import summary_tables
from drivewm.closed_loop.town import town_environment
from drivewm.planning.idm import IDMPlanner
from drivewm.planning.log_replay import LogReplayPlanner
from drivewm.planning.oracle_pdm import OraclePDMPlanner
from drivewm.planning.stop import StopPlanner

ANY = PlannerSpec("any", StopPlanner, num_history=2)
SPECS = [PlannerSpec(p.name, p, privileged=True, num_history=2) for p in (LogReplayPlanner, OraclePDMPlanner)]


@pytest.fixture(scope="module")
def frontal():
    return held_out_scenarios(1, seed=2, scored_s=9.0, family="frontal")[0]


def test_the_future_is_what_comes_and_asking_changes_nothing(frontal):
    asked, unasked = town_environment(frontal, ANY), town_environment(frontal, ANY)
    for _ in range(4):
        asked.step_reference()
        unasked.step_reference()
    future = asked.oracle().future()
    assert future.poses.shape == (41, 3)
    for _ in range(8):
        asked.step_reference()
        unasked.step_reference()
    driven, expected = asked.rollout(), unasked.rollout()
    np.testing.assert_array_equal(driven.poses, expected.poses)
    np.testing.assert_array_equal(driven.agents.boxes, expected.agents.boxes)
    np.testing.assert_array_equal(future.poses, driven.poses[20:61])
    np.testing.assert_array_equal(future.lights.red, driven.lights.red[20:61])
    both, slots, there = np.intersect1d(future.agents.track, driven.agents.track, return_indices=True)
    assert len(both) > 3
    seen = future.agents.valid[:, slots]
    np.testing.assert_array_equal(seen, driven.agents.valid[20:61][:, there])
    np.testing.assert_array_equal(future.agents.boxes[:, slots][seen], driven.agents.boxes[20:61][:, there][seen])


def test_log_replay_does_what_the_expert_does(frontal, tmp_path):
    records = run([SPECS[0]], [frontal], town_environment, tmp_path)
    expert, replay = (r["score"] for r in records)
    assert replay["progress_m"] == pytest.approx(expert["progress_m"], abs=2.5)
    assert not replay["collided"] and replay["dac"] == 1.0


def test_privileged_planners_avoid_what_others_crash_into_and_tables_mark_them(frontal, tmp_path):
    """The oncoming vehicle veers too late for who expects it to go straight on."""
    records = run([PlannerSpec("idm", IDMPlanner, num_history=2), *SPECS], [frontal], town_environment, tmp_path)
    collided = {r["planner"]: r["score"]["collided"] for r in records}
    assert collided == {"expert": False, "idm": True, "log_replay": False, "oracle_pdm": False}
    names = {row[0] for row in summary_tables(summarize(records))[0].rows}
    assert names == {"expert (privileged)", "log replay (privileged)", "oracle pdm (privileged)", "idm"}


def test_where_everybody_will_be_is_told_in_the_ego_frame(frontal):
    environment = town_environment(frontal, ANY)
    for _ in range(6):
        environment.step_reference()
    inputs, planner = environment.observe(), OraclePDMPlanner(environment.oracle())
    planner.plan(inputs)
    boxes, velocity = planner.expected(inputs, 0)
    future = environment.oracle().future()
    x, y, yaw = environment.simulator.ego.pose
    for step in range(8):
        at = 5 * (step + 1)
        present = future.agents.valid[[5 * k for k in range(1, 9)]].all(0)
        wanted = future.agents.boxes[at, present]
        turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
        np.testing.assert_allclose(boxes[step, :, :2] @ turn.T + [x, y], wanted[:, :2], atol=1e-6)
        np.testing.assert_allclose(velocity[step] @ turn.T, future.agents.velocity[at, present], atol=1e-6)


def test_replayed_agents_do_not_care_who_drives():
    scenario = held_out_scenarios(1, seed=2, scored_s=4.0)[0]
    replayed = {}
    for planner in (StopPlanner, IDMPlanner):
        environment = town_environment(scenario, ANY, reactive=False)
        while not environment.done:
            environment.step(planner().plan(environment.observe()))
        replayed[planner] = environment.rollout()
    first, second = replayed.values()
    assert np.abs(first.poses[-1, :2] - second.poses[-1, :2]).max() > 1.0
    _, a, b = np.intersect1d(first.agents.track, second.agents.track, return_indices=True)
    both = first.agents.valid[:, a] & second.agents.valid[:, b]
    np.testing.assert_array_equal(first.agents.boxes[:, a][both], second.agents.boxes[:, b][both])
