"""The command: recorded drives from end to end, and what it refuses."""

import json
import sys

import closed_loop as tool
import pytest


def _run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["closed_loop.py", *map(str, arguments)])
    tool.main()


def test_recorded_drives_from_end_to_end(monkeypatch, tmp_path, town_index, capsys):
    own = tmp_path / "mine.py"
    own.write_text(
        "from drivewm.planning.stop import StopPlanner\n\nplanner = dict(type=StopPlanner, deceleration=2.0)\n"
    )
    out = tmp_path / "out"
    arguments = ("--env", "log", "--index", town_index.folder, "--vehicle", "pacifica", "--duration", 2)
    arguments = (*arguments, "--videos", 1)
    _run(monkeypatch, *arguments, "--planner", "constant_velocity", "log_replay", own, "--out", out)
    printed = capsys.readouterr().out
    records = [json.loads(line) for line in (out / "episodes.jsonl").read_text().splitlines()]
    assert {r["planner"] for r in records} == {"expert", "constant_velocity", "log_replay", "stop"}
    assert all(r["status"] == "ok" and r["setting"] == "log, agents reactive" for r in records)
    summary = json.loads((out / "summary.json").read_text())
    assert summary["log_replay"]["all"]["score"]["value"] >= summary["stop"]["all"]["score"]["value"] > 0
    assert "log replay (privileged)" in printed and (out / "summary.md").read_text() in printed
    page = (out / "report.html").read_text()
    assert page.count("data:image/gif") == 4
    driven = (out / "episodes.jsonl").read_bytes()
    _run(monkeypatch, *arguments, "--planner", "constant_velocity", "log_replay", own, "--out", out)
    assert (out / "episodes.jsonl").read_bytes() == driven
    with pytest.raises(SystemExit, match="error: .*another folder"):
        _run(monkeypatch, *arguments, "--agents", "nuplan", "--planner", "constant_velocity", "--out", out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--planner", "idm", "--families", "side"], "adversarial families need --planner constant_velocity"),
        (["--planner", "idm", "--env", "log"], "--env log and --index need each other"),
        (["--planner", "idm", "--index", "nowhere"], "--env log and --index need each other"),
    ],
)
def test_options_that_do_not_go_together(monkeypatch, tmp_path, capsys, arguments, message):
    with pytest.raises(SystemExit):
        _run(monkeypatch, *arguments, "--out", tmp_path)
    assert message in capsys.readouterr().err


def test_what_the_town_does_not_have_is_refused(monkeypatch, tmp_path):
    with pytest.raises(SystemExit, match="error: --agents nuplan is for recorded drives"):
        _run(monkeypatch, "--planner", "idm", "--agents", "nuplan", "--out", tmp_path)
    with pytest.raises(SystemExit, match="error: no planner is called 'idn'"):
        _run(monkeypatch, "--planner", "idn", "--out", tmp_path)
