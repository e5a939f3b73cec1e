"""The command-line tools of this package, called as scripts are."""

from __future__ import annotations

import runpy
import shutil
import sys
from pathlib import Path

import pytest

from drivewm.data import Index
from tests.data import handmade, handmade_kitti, handmade_pandaset

TOOLS = Path(__file__).parents[2] / "tools"


def call(monkeypatch, tool: str, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", [tool, *map(str, arguments)])
    runpy.run_path(str(TOOLS / tool), run_name="__main__")


def test_make_town_writes_data_and_index(monkeypatch, tmp_path, capsys):
    options = ("--out", tmp_path / "town", "--scenes", 1, "--duration", 1, "--grid-size", 16, 16, 8, "--seed", 5)
    options += ("--no-cameras", "--no-sweeps")
    call(monkeypatch, "make_town.py", *options)
    assert "1 scenes, 3 keyframes" in capsys.readouterr().out
    index = Index.open(tmp_path / "town" / "index")
    assert index.grid.shape == (16, 16, 8) and index.grid.voxel_m == 0.8
    with pytest.raises(SystemExit, match="error: .*existing data, expected a new folder, or --overwrite"):
        call(monkeypatch, "make_town.py", *options)
    shutil.rmtree(tmp_path / "town" / "index")  # as if killed just before it was there
    call(monkeypatch, "make_town.py", *options)
    assert Index.open(tmp_path / "town" / "index").num_frames == 3


WRONG = [("--voxel", -0.4), ("--grid-size", 0, 64, 8), ("--scenes", 0), ("--workers", 0)]


@pytest.mark.parametrize("wrong", [*WRONG, ("--image-size", 0, 224), ("--no-cameras", "--depth")])
def test_make_town_refuses_impossible_options(monkeypatch, tmp_path, wrong):
    with pytest.raises(SystemExit, match="error: .*(positive|must be)"):
        call(monkeypatch, "make_town.py", "--out", tmp_path / "town", *wrong)
    assert not list(tmp_path.iterdir())


def test_create_index(monkeypatch, tmp_path, capsys):
    root = handmade.write(tmp_path / "set")
    call(monkeypatch, "create_index.py", "--root", root)
    assert "20 keyframes of 3 scenes, splits train, val" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="--overwrite"):
        call(monkeypatch, "create_index.py", "--root", root)
    call(monkeypatch, "create_index.py", "--root", root, "--overwrite", "--no-cache-occupancy")
    assert Index.open(root / "index").occupancy is None
    with pytest.raises(SystemExit, match="error: .*nowhere"):
        call(monkeypatch, "create_index.py", "--root", tmp_path / "nowhere")


def test_create_index_of_other_layouts(monkeypatch, tmp_path, capsys):
    handmade_kitti.write_sequence(tmp_path / "kitti", "06", 3)
    call(monkeypatch, "create_index.py", "--dataset", "kitti", "--root", tmp_path / "kitti")
    assert "3 keyframes of 1 scenes, splits val" in capsys.readouterr().out
    assert Index.open(tmp_path / "kitti" / "index").sweep_format == "kitti"
    folder = handmade_pandaset.write_sequence(tmp_path / "009")
    options = ("--dataset", "pandaset", "--root", folder)
    with pytest.raises(SystemExit):
        call(monkeypatch, "create_index.py", *options)
    assert "--dataset pandaset need --out" in capsys.readouterr().err
    call(monkeypatch, "create_index.py", *options, "--out", tmp_path / "set", "--grid-size", 16, 16, 8)
    assert Index.open(tmp_path / "set" / "index").grid.shape == (16, 16, 8)
    with pytest.raises(SystemExit, match="error: .*LOG/sensors/lidar"):
        call(monkeypatch, "create_index.py", "--dataset", "argoverse2", "--root", tmp_path / "kitti")
