"""The benchmark tool: its rows, and that unequal results are never timed."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import BENCHMARKS
from benchmarks.measure import compare
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
    assert set(as_written) == {"name", "ours", "against", "ratio", "goal"}
    assert as_written["ratio"]["min"] <= as_written["ratio"]["median"] <= as_written["ratio"]["max"]
    assert as_written["ratio"]["median"] > 1 and len(row.ratios) == 3


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
