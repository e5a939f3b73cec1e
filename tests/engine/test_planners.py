"""Planners by name, by a config of one's own, and by checkpoint."""

import math
from pathlib import Path

import pytest
import torch

from drivewm.engine import load_config
from drivewm.engine.planners import BASELINES, planner_spec
from drivewm.planning.idm import IDMPlanner
from drivewm.planning.joint import DrivingModel
from tests.world_model.tiny import TOKENIZER

OWN = """
from drivewm.planning.idm import IDMPlanner

planner = dict(type=IDMPlanner, margin_m=0.7)
observes = dict(num_history=4, grid=dict(range_m=(-8.0, -8.0, -1.0, 8.0, 8.0, 5.4), voxel_m=0.8))
"""


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_by_name(name):
    spec = planner_spec(name, deadline_s=0.5)
    assert spec.name == name and spec.deadline_s == 0.5
    assert spec.privileged == (name in ("log_replay", "oracle_pdm"))
    assert spec.privileged or hasattr(spec.build(), "plan")


def test_a_class_named_in_a_config_is_all_that_a_planner_needs(tmp_path):
    config = tmp_path / "mine.py"
    config.write_text(OWN)
    spec = planner_spec(str(config))
    assert (spec.name, spec.num_history, spec.privileged, spec.deadline_s) == ("idm", 4, False, math.inf)
    assert spec.grid.shape == (20, 20, 8)
    planner = spec.build()
    assert isinstance(planner, IDMPlanner) and planner.margin_m == 0.7
    config.write_text(OWN.replace("0.7", "0.6"))
    assert planner_spec(str(config)).identity != spec.identity


def test_what_is_no_planner_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no planner is called 'idn'; there are stop, "):
        planner_spec("idn")
    with pytest.raises(FileNotFoundError, match="no config"):
        planner_spec(str(tmp_path / "none.py"))
    config = tmp_path / "none.py"
    config.write_text("planner = dict(margin_m=0.7)\n")
    with pytest.raises(ValueError, match="expected dict\\(type=a planner's class"):
        planner_spec(str(config))
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        planner_spec(f"configs/planners/ego_mlp_town.py:{tmp_path / 'none.pth'}")


def test_planners_around_a_trained_model_have_names_of_their_own(tmp_path):
    """Each config that holds a planner beside a model gives one that can be built and saved under its name."""
    configs = {path: load_config(path) for path in sorted(Path("configs/planners").glob("*.py"))}
    around = {path: dict(config.planner) for path, config in configs.items() if "planner" in config}
    assert len(around) >= 9
    size = dict(dim=16, depth=1, heads=2, memory=dict(frame_dim=16, fine_dim=2), motion=dict(channels=(8, 16)))
    torch.manual_seed(0)
    model = DrivingModel(TOKENIZER, size, head=dict(hidden=24, heads=2)).eval()
    names = [described.pop("type")(model, **described).name for described in around.values()]
    trained = [config.model.get("name", "learned") for path, config in configs.items() if path not in around]
    assert len({*names} - {*trained}) == len(names)
