"""Rankings of two closed-loop runs: which episodes count, and the command."""

import json
import sys

import numpy as np
import pytest
import rank_transfer as tool

from drivewm.closed_loop.records import EpisodeLog
from drivewm.closed_loop.transfer import read_records, score_name, transfer, transfer_dict, transfer_tables

QUALITY = {"pdm": 0.9, "idm": 0.7, "constant_velocity": 0.1}


def record(planner, scenario, score, collided=False, family="nominal", status="ok", valid=True):
    named = dict(score=score, score_name="episode_pdms", extended_score=1 - score, extended_name="episode_epdms")
    return dict(
        planner=planner,
        scenario=scenario,
        variant=0,
        family=family,
        identity="x",
        status=status,
        notes={"validity": {"valid": valid}},
        score=named | dict(collided=collided) if status == "ok" else None,
    )


def run(seed, quality=QUALITY, scenarios=8):
    rng = np.random.default_rng(seed)
    hard = rng.normal(0, 0.1, scenarios)
    everybody = quality | {"expert": 1.0}
    return [
        record(p, f"s{s}", q + hard[s] + 0.01 * rng.normal()) for p, q in everybody.items() for s in range(scenarios)
    ]


def test_planners_are_compared_and_the_expert_is_none():
    found = transfer(run(0), run(1, {"pdm": 0.5, "idm": 0.6, "constant_velocity": 0.2}))
    assert found.planners == ("pdm", "idm", "constant_velocity") and found.episodes == 8
    assert found.separated_pairs.value == pytest.approx(1 / 3)
    assert transfer(run(0), run(1), "extended_score").planners[0] == "constant_velocity"


def test_failed_and_lost_episodes_and_scenarios_that_tell_nothing_are_left_out():
    sim, dream = run(2), run(3)
    sim[0] = record("pdm", "s0", 0.0, status="failed")
    dream[1] = record("pdm", "s1", 0.0, valid=False)
    # nobody crashes in it: it is no test of who avoids
    sim += [record(p, "harmless", 0.5, family="side") for p in QUALITY]
    dream += [record(p, "harmless", 0.5, family="side") for p in QUALITY]
    found = transfer(sim, dream)
    assert (found.episodes, found.left_out) == (6, 2)


def test_scores_of_several_names_are_refused():
    records = run(4)
    assert score_name(records) == "episode_pdms" and score_name(records, "extended_score") == "episode_epdms"
    records[0]["score"]["score_name"] = "episode_pdms_without_dac"
    with pytest.raises(ValueError, match="one score in all episodes of a run, got .*without_dac"):
        score_name(records)


def test_what_is_written_is_plain():
    found = transfer(run(5), run(6, dict.fromkeys(QUALITY, 0.5)))
    plain = json.loads(json.dumps(transfer_dict(found), allow_nan=False))
    assert plain["pairs"][0]["separated"] is True and set(plain["pairs"][0]["reference"]) == {"value", "low", "high"}
    assert "Kendall" in transfer_tables(found, ("a", "b"))[1].markdown()


def test_the_command(monkeypatch, tmp_path, capsys):
    for name, records in (("sim", run(7)), ("dream", run(8))):
        log = EpisodeLog(tmp_path / name / "episodes.jsonl")
        for one in records:
            log.append(one)
    out = tmp_path / "found.json"
    monkeypatch.setattr(sys, "argv", ["", str(tmp_path / "sim"), str(tmp_path / "dream"), "--out", str(out)])
    tool.main()
    assert "episode_pdms, dream" in capsys.readouterr().out
    found = json.loads(out.read_text())
    assert found["separated_pairs"]["value"] == 1.0 and found["scores"] == ["episode_pdms", "episode_pdms"]
    sys.argv[2] = str(tmp_path / "nowhere")
    with pytest.raises(SystemExit, match="error: there is no .*nowhere"):
        tool.main()
    with pytest.raises(FileNotFoundError, match="output folder of a closed-loop run"):
        read_records(tmp_path)
