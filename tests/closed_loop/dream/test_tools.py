"""The commands: what they refuse before anything is driven, and what they say about a dream."""

import json
import sys

import closed_loop
import dream_transfer
import pytest
import torch

from drivewm.closed_loop.episodes import PlannerSpec
from drivewm.engine.checkpoint import describe_model
from drivewm.engine.planners import planner_spec
from drivewm.geometry import VoxelGrid
from drivewm.planning.stop import StopPlanner
from tests.closed_loop.dream.conftest import TOKENIZER, build_model
from tests.world_model import tiny

NOT_DRIVING = "no driving performance"


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> str:
    """CONFIG.py:CHECKPOINT of the tiny model."""
    folder, model = tmp_path_factory.mktemp("trained"), build_model()
    size = dict(dim=16, depth=1, heads=2, memory=dict(frame_dim=16, fine_dim=2), imagine_steps=2, horizon=2)
    options = size | dict(motion=dict(channels=(8, 16)), tokenizer=tiny.TOKENIZER | TOKENIZER)
    config = folder / "tiny.py"
    config.write_text(
        "from drivewm.world_model import WorldModel\n\n"
        f"model = dict(type=WorldModel, **{options!r})\n"
        "test_dataloader = dict(dataset=dict(num_history=3))\n"
    )
    meta = {"drivewm": describe_model(model)}
    torch.save({"state_dict": model.state_dict(), "meta": meta}, folder / "tiny.pth")
    return f"{config}:{folder / 'tiny.pth'}"


def command(monkeypatch, tool, *arguments):
    monkeypatch.setattr(sys, "argv", [f"{tool.__name__}.py", *map(str, arguments)])
    tool.main()


def test_a_dream_from_end_to_end(monkeypatch, tmp_path, capsys, trained):
    out = tmp_path / "out"
    arguments = ("--env", "dream", "--world-model", trained, "--scenarios", 1, "--seed", 1, "--duration", 1)
    arguments = (*arguments, "--planner", "constant_velocity", "--videos", 0, "--out", out)
    command(monkeypatch, closed_loop, *arguments)
    printed = capsys.readouterr().out
    assert printed.count(NOT_DRIVING) == (out / "summary.md").read_text().count(NOT_DRIVING) > 1
    assert NOT_DRIVING in (out / "report.html").read_text()
    written = (out / "episodes.jsonl").read_bytes()
    records = [json.loads(line) for line in written.splitlines()]
    assert [record["planner"] for record in records] == ["expert", "constant_velocity"]
    assert all(NOT_DRIVING in record["setting"] and "forecast" in record["setting"] for record in records)
    command(monkeypatch, closed_loop, *arguments)
    assert (out / "episodes.jsonl").read_bytes() == written
    with pytest.raises(SystemExit, match="error: .*another folder"):
        command(monkeypatch, closed_loop, *arguments, "--dream", "imagine")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--planner", "log_replay"], "log_replay is privileged"),
        (["--planner", "idm", "oracle_pdm"], "oracle_pdm is privileged"),
        (["--planner", "idm", "--agents", "replayed"], "--agents replayed is not for dreams"),
        (["--planner", "of another grid"], "sees occupancy on the grid"),
    ],
)
def test_who_cannot_be_driven_in_a_dream_is_refused_at_once(monkeypatch, tmp_path, trained, arguments, message):
    other = PlannerSpec("of another grid", StopPlanner, grid=VoxelGrid.centered((16, 16, 8), 0.8))
    monkeypatch.setattr(
        closed_loop, "planner_spec", lambda text, *rest: other if text == other.name else planner_spec(text, *rest)
    )
    with pytest.raises(SystemExit, match=f"error: .*{message}"):
        command(monkeypatch, closed_loop, "--env", "dream", "--world-model", trained, *arguments, "--out", tmp_path)
    assert not (tmp_path / "episodes.jsonl").exists()


def test_dream_and_world_model_need_each_other(monkeypatch, tmp_path, capsys, trained):
    for arguments in (["--env", "dream"], ["--world-model", trained]):
        with pytest.raises(SystemExit):
            command(monkeypatch, closed_loop, "--planner", "idm", *arguments, "--out", tmp_path)
        assert "--env dream and --world-model need each other" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="error: a world model is CONFIG.py:CHECKPOINT"):
        command(
            monkeypatch, closed_loop, "--planner", "idm", "--env", "dream", "--world-model", "mine", "--out", tmp_path
        )


@pytest.mark.long
def test_the_comparison_from_end_to_end(monkeypatch, tmp_path, capsys, trained):
    arguments = ("--families", "nominal", "--scenarios", 1, "--seed", 1, "--starts", 2, "--every", 1, "--seconds", 1)
    arguments = (*arguments, "--controls", "expert", "full_speed", "--out", tmp_path)
    command(monkeypatch, dream_transfer, "--world-model", trained, *arguments)
    printed, found = capsys.readouterr().out, json.loads((tmp_path / "transfer.json").read_text())
    assert (tmp_path / "transfer.md").read_text() == printed
    section = found["Under the same controls"]
    assert len(section["samples"]) == 4
    assert {(s["start"], s["control"]) for s in section["samples"]} == {
        (start, control) for start in (0, 1) for control in ("expert", "full_speed")
    }
    assert set(section["touches"]["dream"]) == {"1 s"}
    assert 0 < section["frames"]["copy"]["iou"]["1 s"] <= 1
