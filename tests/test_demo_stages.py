"""The demo's stages: reuse, resume after a kill, and starting anew when something changed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from demo_stages.stage import Stage, StageRunner

TOOLS = Path(__file__).resolve().parent.parent / "tools"


def make(name: str, calls: list, **options) -> Stage:
    def run(folder: Path) -> None:
        calls.append((name, sorted(p.name for p in folder.iterdir())))
        (folder / "result").write_text("done")

    return Stage(name, name, options, ("result",), run)


def test_finished_stages_are_reused_at_their_measured_time(tmp_path):
    calls, lines = [], []
    for _ in range(2):
        runner = StageRunner(tmp_path, lines.append)
        runner.run(make("a", calls, seed=1))
        runner.run(make("b", calls))
    assert [name for name, _ in calls] == ["a", "b"]
    assert runner.seconds == {n: json.loads((tmp_path / f"stages/{n}.json").read_text())["seconds"] for n in "ab"}
    assert sum("reused" in line for line in lines) == 2
    assert not list(tmp_path.rglob("*.part")) and not list(tmp_path.glob("stages/*.running.json"))


def test_a_changed_stage_and_those_behind_it_start_anew(tmp_path):
    calls = []
    for seed in (1, 2):
        runner = StageRunner(tmp_path, lambda line: None)
        for stage in (make("a", calls), make("b", calls, seed=seed), make("c", calls)):
            runner.run(stage)
    assert calls == [("a", []), ("b", []), ("c", []), ("b", []), ("c", [])]


def test_a_stage_whose_output_is_gone_runs_again_and_so_do_those_behind_it(tmp_path, monkeypatch):
    calls = []
    for clock in (1.0, 2.0):
        monkeypatch.setattr("demo_stages.stage._Clock.seconds", lambda self, clock=clock: clock)
        runner = StageRunner(tmp_path, lambda line: None)
        runner.run(make("a", calls))
        runner.run(make("b", calls))
        (tmp_path / "a/result").unlink()
    assert [name for name, _ in calls] == ["a", "b", "a", "b"]


def test_a_stage_that_leaves_nothing_is_not_finished(tmp_path):
    with pytest.raises(RuntimeError, match="result"):
        StageRunner(tmp_path, lambda line: None).run(Stage("a", "a", {}, ("result",), lambda folder: None))
    assert not (tmp_path / "stages/a.json").exists()


def test_a_killed_stage_goes_on_with_what_it_left_and_the_time_it_took(tmp_path):
    code = """
import sys, time, pathlib
from demo_stages import stage
stage._Clock.__init__.__defaults__ = (0.05,)
def run(folder):
    (folder / "half").write_text("")
    time.sleep(60)
stage.StageRunner(pathlib.Path(sys.argv[1])).run(stage.Stage("a", "a", {"seed": 1}, ("result",), run))
"""
    environment = {**os.environ, "PYTHONPATH": str(TOOLS)}
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], env=environment)
    running, deadline = tmp_path / "stages/a.running.json", time.monotonic() + 30
    while not (running.exists() and json.loads(running.read_text())["seconds"] > 0.2):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before, calls = json.loads(running.read_text())["seconds"], []
    runner = StageRunner(tmp_path, lambda line: None)
    runner.run(make("a", calls, seed=1))
    assert calls == [("a", ["half"])]
    assert runner.seconds["a"] >= before
