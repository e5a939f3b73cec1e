"""Episodes, failures and resumption, in the toy environment."""

import json
import re
import time

import pytest
import torch

from drivewm.closed_loop.episodes import PlannerSpec
from drivewm.closed_loop.lockstep import Failure, plan_together, stack_inputs
from drivewm.closed_loop.records import EpisodeLog
from drivewm.closed_loop.rollout_files import load_rollout
from drivewm.closed_loop.runner import run
from drivewm.closed_loop.summary import discarded, summarize
from drivewm.closed_loop.tables import summary_tables
from drivewm.planning.constant_velocity import ConstantVelocityPlanner
from drivewm.planning.idm import IDMPlanner
from drivewm.structures import Trajectory
from drivewm.visualization.driving_report import driving_report, worst_episodes
from drivewm.visualization.report import render

CONSTANT_VELOCITY = PlannerSpec("constant_velocity", ConstantVelocityPlanner)
IDM = PlannerSpec("idm", IDMPlanner)


class Faulty:
    """Delivers `fault` in the scenario named `where`, a straight plan elsewhere."""

    name = "faulty"

    def __init__(self, fault, where="a"):
        self.fault, self.where = fault, where

    def plan(self, inputs):
        batch = len(inputs.history)
        poses = torch.zeros(batch, 8, 3)
        if self.where in inputs.history.scene:
            if self.fault == "raises":
                raise RuntimeError("out of ideas")
            if self.fault == "nan":
                poses[inputs.history.scene.index(self.where)] = torch.nan
                return Trajectory.from_poses(poses, 0.5)
            if self.fault == "nan behind the constructor":
                plan = Trajectory.from_poses(poses, 0.5)
                plan.poses[inputs.history.scene.index(self.where), 3] = torch.nan
                return plan
            if self.fault == "too few":
                return Trajectory.from_poses(poses[:, :6], 0.5)
            return None
        return Trajectory.from_poses(poses, 0.5)


@pytest.mark.parametrize("fault", ["raises", "nan", "nan behind the constructor", "too few", "nothing"])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_failing_planner_is_recorded_as_that_and_never_scored(toy, tmp_path, fault, batch):
    scenario, environment = toy
    scenarios = [scenario(name) for name in "abc"]
    spec = PlannerSpec("faulty", lambda: Faulty(fault))
    records = [r for r in run([spec], scenarios, environment, tmp_path, batch=batch) if r["planner"] == "faulty"]
    assert [r["status"] for r in records] == ["failed", "ok", "ok"]
    assert records[0]["score"] is None and records[0]["reason"]
    row = summarize(records)["faulty"]["all"]
    assert (row["episodes"], row["failed"]) == (3, 1)


def test_constant_velocity_hits_the_parked_car_and_idm_stops_behind_it(toy, tmp_path):
    scenario, environment = toy
    scenarios = [scenario(f"s{i}", parked_m=25.0 + 2 * i) for i in range(4)] + [scenario("bend", straight=False)]
    records = run([CONSTANT_VELOCITY, IDM], scenarios, environment, tmp_path)
    summary = summarize(records)
    assert summary["constant_velocity"]["all"]["collision_rate"]["value"] == 1.0
    assert summary["constant_velocity"]["all"]["score"]["value"] == 0.0
    assert summary["idm"]["all"]["collision_rate"]["value"] == 0.0
    assert summary["idm"]["straight"]["episodes"] == 4
    assert summary["expert"]["all"]["progress"]["value"] == 1.0
    difference = summary["idm"]["all"]["score_over_constant_velocity"]
    assert 0 < difference["low"] <= difference["value"]
    assert "constant velocity" in summary_tables(summary)[0].markdown()
    rollout = load_rollout(tmp_path / "rollouts" / "idm__s0__0.npz")
    assert rollout.poses.shape == (81, 3)
    assert rollout.road_map.lanes[0].width_m == 3.5


def test_adversarial_episodes_count_only_where_the_baseline_crashes_and_the_reference_does_not(toy, tmp_path):
    """The toy's reference creeps along at 2 m/s: 16 m in 8 s."""
    scenario, environment = toy
    scenarios = [
        scenario("counts", parked_m=30.0, family="stationary"),
        scenario("too near", parked_m=12.0, family="stationary"),  # the reference hits it
        scenario("beside", parked_m=30.0, left_m=6.0, family="stationary"),  # nobody does
        scenario("nominal"),
    ]
    records = run([CONSTANT_VELOCITY, IDM], scenarios, environment, tmp_path)
    assert discarded(records) == {"too near", "beside"}
    summary = summarize(records)
    for planner, crashed in (("constant_velocity", 1.0), ("idm", 0.0)):
        row = summary[planner]["stationary"]
        assert (row["episodes"], row["discarded"]) == (1, 2) and row["collision_rate"]["value"] == crashed
    assert summary["constant_velocity"]["stationary"]["ncap_score"]["value"] == 0.0
    assert summary["idm"]["stationary"]["ncap_score"]["value"] == 5.0
    assert summary["idm"]["all"]["episodes"] == 2 and "ncap_score" not in summary["idm"]["nominal"]
    assert [table.headers[-1] for table in summary_tables(summary)[-2:]] == ["stationary", "stationary"]


def test_a_resumed_run_repeats_nothing_and_equals_an_uninterrupted_one(toy, tmp_path):
    scenario, environment = toy
    scenarios = [scenario(name, parked_m=20.0 + i) for i, name in enumerate("abcd")]
    driven = []

    def counting(one, spec):
        driven.append((spec.name, one.name))
        return environment(one, spec)

    whole = run([IDM], scenarios, counting, tmp_path / "whole")
    assert len(driven) == len(set(driven)) == 8

    class Killed(Exception):
        pass

    def killer(count, seen=[]):  # noqa: B006
        seen.append(count)
        if sum(seen) >= 6:
            raise Killed

    driven.clear()
    with pytest.raises(Killed):
        run([IDM], scenarios, counting, tmp_path / "killed", batch=2, progress=killer)
    log = tmp_path / "killed" / "episodes.jsonl"
    log.write_text(log.read_text() + '{"planner": "idm", "scen')  # as a kill in mid-write leaves it
    resumed = run([IDM], scenarios, counting, tmp_path / "killed", batch=2)
    assert len(driven) == len(set(driven)) == 8
    assert resumed == whole
    assert all(json.loads(line) for line in log.read_text().splitlines())
    run([IDM], scenarios, counting, tmp_path / "killed")
    assert len(driven) == 8


def test_records_of_another_checkpoint_are_not_taken_over(toy, tmp_path):
    scenario, environment = toy
    run([PlannerSpec("idm", IDMPlanner, identity="a")], [scenario("s")], environment, tmp_path)
    with pytest.raises(ValueError, match="another checkpoint"):
        run([PlannerSpec("idm", IDMPlanner, identity="b")], [scenario("s")], environment, tmp_path)


def test_a_damaged_log_is_refused_by_line(tmp_path):
    path = tmp_path / "episodes.jsonl"
    path.write_text('{"planner": "idm"}\n')
    with pytest.raises(ValueError, match="line 1: no .*scenario"):
        EpisodeLog(path)
    path.write_text("nonsense\n")
    with pytest.raises(ValueError, match="line 1"):
        EpisodeLog(path)


def test_names_must_differ(toy, tmp_path):
    scenario, environment = toy
    with pytest.raises(ValueError, match="scenarios must have different names"):
        run([IDM], [scenario("s"), scenario("s")], environment, tmp_path)
    with pytest.raises(ValueError, match="planners must have different names"):
        run([IDM, IDM], [scenario("s")], environment, tmp_path)


def test_no_workers_are_refused(toy, tmp_path):
    scenario, environment = toy
    with pytest.raises(ValueError, match="workers must be >= 1, got 0"):
        run([IDM], [scenario("s")], environment, tmp_path, workers=0)


def test_a_plan_that_comes_too_late_is_a_failure(toy, tmp_path):
    scenario, environment = toy

    class Slow(IDMPlanner):
        def plan(self, inputs):
            assert len(inputs.history) == 1  # a deadline is for one plan
            if inputs.history.scene == ("b",):
                time.sleep(1.6)
            return super().plan(inputs)

    spec = PlannerSpec("slow", Slow, deadline_s=1.5)
    records = run([spec], [scenario("a"), scenario("b")], environment, tmp_path)[2:]
    assert [r["status"] for r in records] == ["ok", "failed"]
    # How late depends on what else the machine does.
    took_s = re.match(r"deadline: the plan took ([0-9.]+) s, expected at most 1.5 s", records[1]["reason"])
    assert float(took_s[1]) >= 1.6 and records[1]["score"] is None


def test_variants_of_a_scenario_are_episodes_of_their_own_and_one_cluster(toy, tmp_path):
    scenario, environment = toy
    variants = [scenario("a", parked_m=30.0 + k, variant=k) for k in range(3)]
    records = run([CONSTANT_VELOCITY], variants, environment, tmp_path)
    row = summarize(records)["constant_velocity"]["all"]
    assert row["episodes"] == 3 and row["score"]["low"] == row["score"]["high"] == row["score"]["value"]
    assert len(list((tmp_path / "rollouts").iterdir())) == 6
    with pytest.raises(ValueError, match="another folder"):
        run([CONSTANT_VELOCITY], variants, environment, tmp_path, setting="agents replayed")


def test_the_report_shows_the_worst_and_the_failed(toy, tmp_path):
    scenario, environment = toy
    scenarios = [scenario("a"), scenario("b", parked_m=150.0), scenario("c", parked_m=20.0)]
    specs = [CONSTANT_VELOCITY, PlannerSpec("faulty", lambda: Faulty("raises"))]
    records = run(specs, scenarios, environment, tmp_path)
    worst = worst_episodes(records, "constant_velocity", 2)
    assert {r["scenario"] for r in worst} == {"a", "c"}
    page = render(driving_report(summarize(records), records, tmp_path, "a toy", videos=1))
    assert "constant velocity" in page and "expert (privileged)" in page
    assert "out of ideas" in page and page.count("data:image/gif") == 3


def test_planning_in_a_batch_equals_planning_alone(toy):
    scenario, environment = toy
    inputs = [environment(scenario(str(i), parked_m=20.0 + 5 * i), IDM).observe() for i in range(3)]
    together = plan_together(IDMPlanner(), inputs)
    for one, plan in zip(inputs, together, strict=True):
        assert torch.allclose(IDMPlanner().plan(one).poses, plan.poses, atol=1e-5)
    assert len(stack_inputs(inputs).history) == 3
    assert not any(isinstance(plan, Failure) for plan in together)
