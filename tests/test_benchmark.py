"""The benchmark tool: its rows and their form, and that wrong results are never timed."""

import json
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from benchmark import HEADER, as_line
from benchmarks import BENCHMARKS, town
from benchmarks.measure import Row, compare, within
from benchmarks.rays import exposed_faces

ROOT = Path(__file__).resolve().parent.parent


def test_unequal_results_are_not_timed():
    calls = []

    def check(a, b):
        assert a == b, f"{a} is not {b}"

    with pytest.raises(AssertionError, match="1 is not 2"):
        compare(lambda: calls.append(0) or 1, lambda: 2, check, goal=None)
    assert len(calls) == 1


def test_the_ratio_is_against_over_ours():
    row = compare(
        lambda: sum(range(10)), lambda: sum(range(3000)), lambda a, b: None, goal=2.0, rounds=3, block_s=0.001
    )
    as_written = row.as_dict("sums")
    assert set(as_written) == {"name", "ours", "against", "unit", "ratio", "goal", "verdict", "note"}
    assert as_written["ratio"]["min"] <= as_written["ratio"]["median"] <= as_written["ratio"]["max"]
    assert as_written["ratio"]["median"] > 1 and len(row.ratios) == 3


def test_a_row_against_a_bar():
    seen, calls = [], []

    def work():
        calls.append(0)
        return len(calls)

    row = within(1e3, work, seen.append, rounds=3, block_s=0.0)
    assert seen == [1] and len(calls) == 1 + 1 + 3  # checked, then counted, then timed
    as_written = row.as_dict("work")
    assert as_written["against"] == 1e3 and as_written["goal"] == 1.0 and as_written["verdict"] == "reached"
    assert within(1e-12, work, seen.append, rounds=3, block_s=0.0).as_dict("work")["verdict"] == "missed"

    def check(result):
        assert result == 2, f"{result} is not 2"

    with pytest.raises(AssertionError, match="1 is not 2"):
        within(1.0, lambda: 1, check)


@pytest.mark.parametrize(("goal", "verdict"), [(None, "-"), (1.5, "reached"), (2.5, "missed")])
def test_lines_of_the_table_stand_under_their_header(goal, verdict):
    row = Row(ours=0.5, against=1.0, ratios=(1.0, 2.0, 4.0), goal=goal).as_dict("forecast_recomputed_history")
    line = as_line(row)
    assert len(line) == len(HEADER) and len(max(BENCHMARKS, key=len)) <= 28
    expected = ["500 ms", "1 s", "2.0", "1.0", "4.0", "-" if goal is None else str(goal), verdict]
    ends = [HEADER.index(title) + len(title) for title in ("ours", "against", "ratio", "min", "max", "goal", "verdict")]
    for text, end in zip(expected, ends, strict=True):
        assert line[:end].endswith(f" {text}")


def test_rows_of_the_town_have_their_bar(monkeypatch):
    monkeypatch.setattr(town, "within", lambda bar_s, ours, check, **options: Row(bar_s, bar_s, (1.0,), 1.0))
    monkeypatch.setattr(town, "_driving", Mock)
    bars = {name: BENCHMARKS[name]().against for name in BENCHMARKS if name.startswith("town_")}
    assert bars == {"town_lidar": 0.03, "town_occupancy": 0.05, "town_cameras": 0.6, "town_scene": 10.0}


def test_faces_are_those_between_occupied_and_free():
    occupied = np.zeros((200, 200, 16), bool)
    occupied[5:7, 5, 5] = True  # two cubes that share a face
    vertices, triangles = exposed_faces(occupied)
    assert len(triangles) == 2 * 10 and len(vertices) == 4 * 10


def test_the_tool_writes_rows(tmp_path):
    out = tmp_path / "rows.json"
    command = [sys.executable, "tools/benchmark.py", "--only", "confusion_counts_bincount", "--json", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (row,) = json.loads(out.read_text())
    assert row["name"] == "confusion_counts_bincount" and row["goal"] is None and row["ours"] > 0
    assert list(tmp_path.iterdir()) == [out]


def test_an_unknown_name_is_refused():
    command = [sys.executable, "tools/benchmark.py", "--only", "nothing"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and all(name in done.stderr for name in BENCHMARKS)
