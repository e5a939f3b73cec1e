"""Every candidate driven for real: what is executed, what is recorded, and what follows from it."""

import copy
import json
import sys
from functools import lru_cache

import numpy as np
import pytest
import regret as tool
import torch
from scipy.stats import kendalltau

from drivewm.closed_loop import regret
from drivewm.closed_loop.choosers import DEFAULT, Chooser, build_planners, think_together
from drivewm.closed_loop.episodes import REFERENCE_SPEC, PlannerSpec
from drivewm.closed_loop.execution import execute, expert_score, real_score
from drivewm.closed_loop.moments import BEST, HEAD, IMAGINED_TERMS, RANDOM, TERMS, judge_moment
from drivewm.closed_loop.regret import LOG, measure_regret, moment_numbers
from drivewm.closed_loop.regret_summary import summarize_regret
from drivewm.closed_loop.regret_tables import regret_tables
from drivewm.closed_loop.scenarios import held_out_scenarios
from drivewm.closed_loop.town import town_environment
from drivewm.planning.constant_velocity import ConstantVelocityPlanner
from drivewm.planning.cost import judge
from drivewm.planning.imagining import ImaginingPlanner
from drivewm.planning.joint import DrivingModel
from drivewm.planning.protocol import STEPS_S
from drivewm.planning.state import planner_state
from drivewm.planning.stop import StopPlanner
from drivewm.planning.worlds import ConditionedWorld
from drivewm.structures import EgoState, Trajectory
from tests.world_model.tiny import GRID, TOKENIZER

NAMES = ("action_free/rank", "conditioned/rank", "copy_last/rank", "action_free/cem/2x8", "action_free/gradient/2")
CHOOSERS = [Chooser.parse(name) for name in NAMES]


@lru_cache(maxsize=1)
def build():
    """A planner with a tiny model of random weights."""
    torch.manual_seed(0)
    size = dict(
        dim=16, depth=1, heads=2, memory=dict(frame_dim=16, fine_dim=2), motion=dict(channels=(8, 16)), horizon=8
    )
    model = DrivingModel(TOKENIZER, size, head=dict(hidden=12, layers=1, heads=2)).eval()
    model.head.output.weight.data.normal_(0.0, 0.5, generator=torch.Generator().manual_seed(1))  # proposals that differ
    return ImaginingPlanner(model, "tiny")


SPEC = PlannerSpec("tiny", build, identity="a", grid=GRID, num_history=3)


@pytest.fixture(scope="module")
def scenarios():
    return held_out_scenarios(2, seed=1, scored_s=2.0, family="stationary")


@pytest.fixture(scope="module")
def measured(scenarios, tmp_path_factory):
    """Records of two scenarios with a moment each, and their folder."""
    out = tmp_path_factory.mktemp("regret")
    return measure_regret(SPEC, scenarios, out, CHOOSERS, moments=1), out


def keeping(speed):
    """A plan that goes straight on."""
    x = 0.5 * speed * torch.arange(1, 9.0)
    return Trajectory.from_poses(torch.stack([x, 0 * x, 0 * x], dim=-1)[None], 0.5)


def state(environment):
    simulator = environment.simulator
    return simulator.time_s, simulator.ego, simulator.boxes(), simulator.progress_m


def test_executing_changes_nothing_and_repeats(scenarios):
    environment, alone = (town_environment(scenarios[0], SPEC) for _ in range(2))
    before = copy.deepcopy(state(environment))
    scores = [real_score(environment, keeping(6.0), 10.0) for _ in range(2)]
    expert_score(environment)
    assert scores[0] == scores[1]
    assert len(environment.rollout().poses) == 1
    for one in (environment, alone):
        one.step(keeping(6.0))
    for now, untouched, then in zip(state(environment), state(alone), before, strict=True):
        if hasattr(now, "boxes"):
            assert np.array_equal(now.boxes, untouched.boxes) and not np.array_equal(now.boxes, then.boxes)
        else:
            assert now == untouched != then


def test_the_first_half_second_is_that_of_the_closed_loop(scenarios):
    environment = town_environment(scenarios[0], SPEC)
    environment.step_reference()
    executed = execute(environment, keeping(5.0))
    environment.step(keeping(5.0))
    driven = environment.rollout()
    assert executed.poses.shape == (41, 3) and executed.plan_step.tolist() == [0]
    assert np.array_equal(executed.poses[:6], driven.poses[5:11])
    assert np.array_equal(
        executed.agents.boxes[5][executed.agents.valid[5]], driven.agents.boxes[-1][driven.agents.valid[-1]]
    )
    with pytest.raises(ValueError, match="the plan has poses"):
        execute(environment, Trajectory.from_poses(torch.zeros(1, 6, 3), 0.5))


def test_a_plan_into_the_obstacle_is_worth_less_than_one_that_stops(scenarios):
    environment = town_environment(scenarios[0], SPEC)
    stop, fast = (real_score(environment, keeping(speed), 0.0) for speed in (0.0, 14.0))
    assert stop.nc == 1.0 and fast.progress_m > stop.progress_m
    assert expert_score(environment).nc == 1.0


def test_imagined_scores_are_those_of_the_worlds_and_real_ones_those_of_execution(scenarios):
    environment, model = town_environment(scenarios[0], SPEC), build().model
    moment = judge_moment(environment, build_planners(tuple(CHOOSERS), model, seed=0))
    inputs = environment.observe()
    history, ego = inputs.history, EgoState.from_history(inputs.history)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        foreseen = planner_state(model, history, STEPS_S)
        proposals = model.head(foreseen.at(model.moments_s), inputs.route, ego)
    with torch.no_grad():
        conditioned = ConditionedWorld(model).maps(history, foreseen, proposals.poses)
    for world, maps in (
        ("action_free", foreseen.coming),
        ("conditioned", conditioned),
        ("copy_last", foreseen.maps.moments([0] * 8)),
    ):
        expected, _ = judge(proposals, maps, inputs.ego_state, inputs.route)
        assert moment["imagined"][world]["total"] == pytest.approx(expected.total[0].tolist(), abs=1e-5)
        assert moment["imagined"][world]["dac"] == pytest.approx(expected.dac[0].tolist(), abs=1e-5)
    assert moment["preference"] == pytest.approx(proposals.preference[0].tolist())
    for k in (0, 7):
        plan = Trajectory.from_poses(proposals.poses[:, k].float(), 0.5)
        assert moment["real"][k]["score"] == real_score(environment, plan, moment["expert"]["progress_m"]).score


def test_choosers_take_candidates_and_searches_are_imagined_to_be_no_worse(measured):
    records, _ = measured
    for moment in (m for record in records for m in record["moments"]):
        choosers, real = moment["choosers"], moment["real"]
        assert len(real) == len(moment["preference"]) == 21 and set(real[0]) == set(TERMS)
        assert set(choosers) == {HEAD, RANDOM, BEST, *NAMES}
        for name, choice in choosers.items():
            if choice["candidate"] is not None:
                assert choice["real"] == real[choice["candidate"]]
                if choice["imagined"] is not None:
                    total = moment["imagined"][name.split("/")[0]]["total"]
                    assert choice["imagined"] == pytest.approx(total[choice["candidate"]])
        assert choosers[HEAD]["candidate"] == int(np.argmax(moment["preference"]))
        scores = [terms["score"] for terms in real]
        assert choosers[BEST]["real"]["score"] == max(scores)
        assert choosers[RANDOM]["real"]["score"] == pytest.approx(np.mean(scores))
        for search, forwards in (("cem/2x8", 16), ("gradient/2", 7)):
            choice = choosers[f"action_free/{search}"]
            assert choice["imagined"] >= choosers["action_free/rank"]["imagined"]
            assert (choice["forwards"], choice["search_forwards"]) == (len(real) + forwards, forwards)


def test_what_choosers_find_does_not_depend_on_who_else_is_asked(scenarios):
    environment, model = town_environment(scenarios[1], SPEC), build().model
    inputs = environment.observe()
    together = think_together(build_planners(tuple(CHOOSERS), model, seed=3), inputs)
    for chooser in CHOOSERS:
        alone = ImaginingPlanner(model, "alone", chooser.world, chooser.method, search=chooser.search, seed=3).think(
            inputs
        )
        assert torch.equal(together[chooser.name].refined.controls, alone.refined.controls)
        assert torch.equal(together[chooser.name].scores.total, alone.scores.total)


def test_a_resumed_run_repeats_nothing_and_equals_the_whole(measured, scenarios, tmp_path):
    records, out = measured
    first, second = (out / LOG).read_text().splitlines()
    log = tmp_path / LOG
    log.write_text(f"{first}\n{second[:40]}")  # as a kill in mid-write leaves it
    judged = []
    for _ in range(2):
        assert measure_regret(SPEC, scenarios, tmp_path, CHOOSERS, moments=1, progress=judged.append) == records
    assert judged == [1] and log.read_text() == (out / LOG).read_text()
    with pytest.raises(ValueError, match="another folder"):
        measure_regret(SPEC, scenarios, tmp_path, CHOOSERS[:1], moments=1)
    with pytest.raises(ValueError, match="choosers must be there and have different names"):
        measure_regret(SPEC, scenarios, tmp_path, CHOOSERS[:1] * 2, moments=1)


def test_moments_are_spread_over_the_episode_and_repeat(scenarios):
    environment = town_environment(scenarios[0], SPEC)
    assert moment_numbers(environment, 4, seed=0) == [0, 1, 2, 3]
    drawn = {tuple(moment_numbers(environment, 2, seed)) for seed in range(30)}
    assert drawn == {(a, b) for a in (0, 1) for b in (2, 3)}
    assert moment_numbers(environment, 2, 5) == moment_numbers(environment, 2, 5)
    with pytest.raises(ValueError, match="1 to 4 moments, .* got 5"):
        moment_numbers(environment, 5, seed=0)


def test_another_driver_leads_to_other_moments(scenarios, tmp_path, monkeypatch):
    monkeypatch.setattr(regret, "judge_moment", lambda environment, planners: {"at": environment.simulator.ego.speed})

    def speeds(driver):
        out = tmp_path / driver.name
        (record,) = measure_regret(SPEC, scenarios[:1], out, CHOOSERS[:1], moments=4, driver=driver)
        return [(moment["time_s"], moment["at"]) for moment in record["moments"]]

    expert, stop = speeds(REFERENCE_SPEC), speeds(PlannerSpec("stop", StopPlanner, num_history=2))
    assert [time_s for time_s, _ in expert] == [0.0, 0.5, 1.0, 1.5]
    assert expert[0] == stop[0] and all(a[1] > b[1] for a, b in zip(expert[1:], stop[1:], strict=True))
    with pytest.raises(ValueError, match="driver lidar needs to see"):
        speeds(PlannerSpec("lidar", ConstantVelocityPlanner, lidar=True))


def test_names_of_choosers():
    assert [Chooser.parse(name).name for name in DEFAULT] == list(DEFAULT)
    cem = Chooser.parse("conditioned/cem/3x32")
    assert cem.search == dict(iterations=3, samples=32, elites=6) and cem.rank == "conditioned/rank"
    assert Chooser.parse("action_free/gradient/8").search == dict(steps=8)
    for name in ("rank", "dream/rank", "action_free", "action_free/cem", "action_free/cem/3", "action_free/cem/0x4"):
        with pytest.raises(ValueError, match=f"'{name}'"):
            Chooser.parse(name)


def handmade(scenario, family, logits, imagined, real, taken, refined=None):
    """A record with one moment; `refined` is (imagined, real, search forwards) of CEM and of the gradient."""

    def terms(value):
        return dict.fromkeys(TERMS, value)

    def choice(candidate, said, value, forwards=0, search=0):
        return dict(candidate=candidate, imagined=said, real=terms(value), forwards=forwards, search_forwards=search)

    choosers = {
        HEAD: choice(int(np.argmax(logits)), None, real[int(np.argmax(logits))]),
        RANDOM: choice(None, None, float(np.mean(real))),
        BEST: choice(int(np.argmax(real)), None, max(real)),
        "action_free/rank": choice(taken, imagined[taken], real[taken], len(real)),
    }
    for name, (said, value, search) in (refined or {}).items():
        choosers[name] = choice(None, said, value, len(real) + search, search)
    moment = {
        "time_s": 0.0,
        "expert": terms(1.0),
        "preference": logits,
        "real": [terms(value) for value in real],
        "imagined": {"action_free": {"total": imagined} | dict.fromkeys(IMAGINED_TERMS, imagined)},
        "choosers": choosers,
    }
    return {"scenario": scenario, "family": family, "moments": [moment]}


def test_figures_of_handmade_moments():
    searches = {"action_free/cem/1x100": (0.95, 0.6, 100), "action_free/gradient/3": (0.9, 0.8, 10)}
    first = handmade("a", "side", [3.0, 1.0, 2.0], [0.9, 0.5, 0.7], [0.2, 0.7, 0.9], taken=0, refined=searches)
    second = handmade("b", "frontal", [0.0, 1.0, 0.5], [0.1, 0.4, 0.4], [0.5, 0.5, 0.5], taken=1, refined=searches)
    summary = summarize_regret([first, second])
    assert set(summary) == {"all", "side", "frontal"}
    side, every = summary["side"], summary["all"]
    rank = side["choosers"]["action_free/rank"]
    value = {key: rank[key]["value"] for key in ("real", "regret", "took_best", "imagined", "gap", "gap_of_average")}
    expected = dict(real=0.2, regret=0.7, took_best=0.0, imagined=0.9, gap=0.7, gap_of_average=0.1)
    assert value == pytest.approx(expected)
    assert side["choosers"][BEST]["regret"]["value"] == 0.0
    assert side["choosers"][HEAD]["imagined"]["value"] is None
    assert every["choosers"]["action_free/rank"]["took_best"]["value"] == 0.5
    assert every["decided"]["value"] == 0.5
    tau = kendalltau([0.9, 0.5, 0.7], [0.2, 0.7, 0.9]).statistic
    assert every["worlds"]["action_free"]["tau"]["value"] == pytest.approx(tau)  # the second moment has none
    assert every["worlds"]["action_free"]["ranked"] == 1
    assert summary["frontal"]["worlds"]["action_free"]["tau"]["value"] is None
    over = {(c["ours"], c["theirs"]): c["difference"]["value"] for c in side["comparisons"]}
    assert over["action_free/rank", RANDOM] == pytest.approx(0.2 - 0.6)
    assert over["action_free/gradient/3", "action_free/rank"] == pytest.approx(0.6)
    (search,) = side["searches"]
    assert search["difference"]["value"] == pytest.approx(0.2)
    assert (search["search_share"], search["share"]) == (0.1, pytest.approx(13 / 103))
    text = "\n".join(table.markdown() for table in regret_tables(summary, "episode_pdms"))
    assert "10 %" in text and "Regret by family" in text
    with pytest.raises(ValueError, match="same choosers"):
        summarize_regret([first, handmade("c", "side", [0.0, 1.0], [0.1, 0.2], [0.5, 0.5], taken=1)])


def test_measured_moments_have_no_regret_in_hindsight(measured):
    every = summarize_regret(measured[0])["all"]
    assert (every["moments"], every["scenarios"]) == (2, 2)
    assert every["choosers"][BEST]["regret"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    for name in (HEAD, RANDOM, *NAMES[:3]):
        assert every["choosers"][name]["regret"]["low"] >= 0
    assert {c["ours"] for c in every["comparisons"]} == set(NAMES) - {"copy_last/rank"}
    extended = summarize_regret(measured[0], "extended_score")["all"]
    assert extended["choosers"][BEST]["regret"]["high"] == 0.0


def test_the_command(measured, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(tool, "planner_spec", lambda text: SPEC)
    monkeypatch.setattr(
        sys, "argv", ["regret.py", "any", "--families", "stationary", "--scenarios", "1", "--duration", "2"]
    )
    sys.argv += [
        "--moments",
        "1",
        "--seed",
        "1",
        "--choosers",
        "action_free/rank",
        "copy_last/rank",
        "--out",
        str(tmp_path),
    ]
    tool.main()
    printed = capsys.readouterr().out
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert set(summary) == {"episode_pdms", "episode_epdms_without_ec"}
    assert summary["episode_pdms"]["all"]["moments"] == 1
    assert (tmp_path / "summary.md").read_text().strip() == printed.strip()
    sys.argv[-3] = "nonsense"
    with pytest.raises(SystemExit, match="error: 'nonsense': no world"):
        tool.main()
