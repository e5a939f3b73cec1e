"""Planners by name, by a config of one's own, and by checkpoint."""

import math

import pytest

from drivewm.engine.planners import BASELINES, planner_spec
from drivewm.planning.idm import IDMPlanner

OWN = """
from drivewm.planning.idm import IDMPlanner

planner = dict(type=IDMPlanner, margin_m=0.7)
observes = dict(num_history=4)
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
