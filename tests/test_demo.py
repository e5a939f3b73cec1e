"""The demo from end to end at its smallest, in a process of its own: every stage, the summary, the report."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
KEYS = {"town", "tokenizer", "world_model", "evaluate", "closed_loop", "render", "total"}


def demo(out: Path) -> str:
    """What one smoke run prints."""
    env = {k: v for k, v in os.environ.items() if k != "DRIVEWM_REAL_DATA"} | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "tools/demo.py", "--smoke", "--out", str(out), "--workers", "1"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def first_run(tmp_path_factory) -> tuple[Path, str]:
    out = tmp_path_factory.mktemp("demo") / "out"
    return out, demo(out)


@pytest.mark.long
def test_summary_has_the_documented_layout(first_run):
    out, printed = first_run
    summary = json.loads((out / "summary.json").read_text())
    assert set(summary) == {"seconds", "reconstruction", "forecast", "closed_loop"}
    assert set(summary["seconds"]) == KEYS
    parts = [value for name, value in summary["seconds"].items() if name != "total"]
    assert summary["seconds"]["total"] == pytest.approx(sum(parts), abs=0.5)
    assert set(summary["reconstruction"]) == {"miou", "iou"}
    assert set(summary["forecast"]) == {"model", "copy_last", "ego_warped_copy", "true_tokens"}
    for scores in summary["forecast"].values():
        assert set(scores) == {"miou", "iou", "dynamic_miou"}
        assert all(set(by_horizon) == {"1s", "2s", "3s"} for by_horizon in scores.values())
        assert all(0 <= value <= 100 for value in scores["miou"].values())
    assert set(summary["closed_loop"]) == {"learned", "idm", "constant_velocity"}
    for rates in summary["closed_loop"].values():
        assert set(rates) == {"score", "collision_rate", "progress"}
        assert all(0 <= value <= 1 for value in rates.values())
    assert "skipped" in printed


@pytest.mark.long
def test_report_is_one_file_that_fetches_nothing(first_run):
    page = (first_run[0] / "report.html").read_text()
    assert page.count("data:image/") >= 5 and 'src="http' not in page and 'href="http' not in page


@pytest.mark.long
def test_a_second_run_reuses_every_stage(first_run):
    out, _ = first_run
    before = json.loads((out / "summary.json").read_text())
    printed = demo(out)
    assert printed.count("reused") == 8 and "$ python" not in printed
    assert json.loads((out / "summary.json").read_text()) == before
    assert not [p for p in out.rglob("*") if p.name.endswith((".part", ".tmp", ".running.json"))]
