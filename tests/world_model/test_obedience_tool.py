"""tools/obedience.py on the shared test town, with a tiny model of random weights."""

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS

from drivewm.engine.checkpoint import describe_model

TOOL = Path(__file__).resolve().parents[2] / "tools" / "obedience.py"

CONFIG = """
from drivewm.data import DriveClips
from drivewm.world_model import WorldModel

model = dict(
    type=WorldModel,
    tokenizer=dict(
        grid=dict(range_m={range_m}, voxel_m={voxel_m}),
        label_dim=4, channels=(16, 16), blocks=1, code_dim=8, vocab_size=16,
    ),
    dim=16, depth=1, heads=2, memory=dict(frame_dim=16, fine_dim=2), motion=dict(channels=(8, 16)), horizon=6,
)
test_dataloader = dict(
    dataset=dict(type=DriveClips, index={index!r}, split="train", num_history=2, num_future=6, load_boxes=False)
)
"""


@pytest.fixture(scope="module")
def files(town_index, town_grid, tmp_path_factory):
    folder = tmp_path_factory.mktemp("obedience")
    config = folder / "tiny.py"
    text = CONFIG.format(range_m=town_grid.range_m, voxel_m=town_grid.voxel_m, index=str(town_index.folder))
    config.write_text(text)
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(str(config)).model)
    checkpoint = folder / "weights.pth"
    torch.save({"state_dict": model.state_dict(), "meta": {"drivewm": describe_model(model)}}, checkpoint)
    return config, checkpoint


def _run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["obedience.py", *map(str, arguments)])
    runpy.run_path(str(TOOL), run_name="__main__")


def test_tables_and_file_say_the_same(files, tmp_path, monkeypatch, capsys):
    out = tmp_path / "obedience.json"
    _run(monkeypatch, *files, "--clips", 2, "--at-once", 6, "--out", out)
    printed, content = capsys.readouterr().out, json.loads(out.read_text())
    assert "# Does tiny obey?" in printed and "| copy_last" in printed
    assert len(content["clips"]) == content["report"]["clips"] == 2
    assert len({clip["scene"] for clip in content["clips"]}) == 2
    value = content["report"]["predictors"]["copy_last"]["accuracy"][0]
    assert f"| {100 * value:.1f} [" in printed


def test_what_is_not_there_is_said(files, tmp_path, monkeypatch):
    config, checkpoint = files
    with pytest.raises(SystemExit, match="there is no checkpoint"):
        _run(monkeypatch, config, tmp_path / "none.pth")
    with pytest.raises(SystemExit, match="--cfg-options"):
        _run(monkeypatch, config, checkpoint, "--cfg-options", "test_dataloader.dataset.spilt=val")
