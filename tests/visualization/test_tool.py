"""tools/visualize.py on the shared test town."""

import runpy
import sys
from pathlib import Path

import pytest
from PIL import Image

TOOL = Path(__file__).resolve().parents[2] / "tools" / "visualize.py"


def _run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["visualize.py", *map(str, arguments)])
    runpy.run_path(str(TOOL), run_name="__main__")


def test_a_clip_of_the_town_is_drawn(town_index, tmp_path, monkeypatch, capsys):
    index = town_index.folder
    _run(monkeypatch, "data", "--index", index, "--history", 2, "--future", 1, "--out", tmp_path / "out")
    files = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert set(files) == {"bev", "t0", "points", "gif", "mp4"}
    assert Image.open(files["gif"]).n_frames == 3
    assert Image.open(files["bev"]).size[0] > 100


def test_what_is_not_there_is_said(town_index, tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match=r"--clip must be 0 \.\. \d+ in split val, got 999"):
        _run(monkeypatch, "data", "--index", town_index.folder, "--clip", 999, "--out", tmp_path)
    with pytest.raises(SystemExit, match="error: "):
        _run(monkeypatch, "data", "--index", tmp_path / "none", "--out", tmp_path)


def test_thoughts_need_a_planner_that_imagines(tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit, match="error: idm does not imagine; expected a planner such as configs/planners"):
        _run(monkeypatch, "thoughts", "--planner", "idm", "--out", tmp_path)
    with pytest.raises(SystemExit):
        _run(monkeypatch, "thoughts", "--planner", "idm", "--worst", 1, "--out", tmp_path)
    assert "--episodes needs --worst or --best" in capsys.readouterr().err
