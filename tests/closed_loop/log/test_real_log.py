"""Recorded drives of real data sets as environments. Needs the excerpts in DRIVEWM_REAL_DATA."""

import os
from pathlib import Path

import numpy as np
import pytest

from drivewm.closed_loop.episodes import PlannerSpec
from drivewm.closed_loop.log.scenarios import log_environment, log_scenarios
from drivewm.data import build_index
from drivewm.data.recordings import convert_recording
from drivewm.geometry import VoxelGrid
from drivewm.planning.constant_velocity import ConstantVelocityPlanner
from drivewm.planning.log_replay import LogReplayPlanner

_REAL = os.environ.get("DRIVEWM_REAL_DATA")
pytestmark = pytest.mark.skipif(not _REAL, reason="DRIVEWM_REAL_DATA is not set")
GRID = VoxelGrid.centered((40, 40, 8), 0.8)


@pytest.fixture(scope="module", params=["nuscenes_scene-0001_kf00-15", "pandaset_002_f40-55"])
def index(request, tmp_path_factory):
    out = tmp_path_factory.mktemp("recording") / "set"
    return build_index(convert_recording(Path(_REAL, f"{request.param}.npz"), out, GRID))


def test_the_lidar_passes_the_gate_and_the_history_is_short_where_the_recording_is(index):
    scenario = log_scenarios(index, "val", duration_s=2.0, warm_up_s=0.5)[0]
    spec = PlannerSpec("constant_velocity", ConstantVelocityPlanner, grid=GRID, num_history=2, lidar=True)
    environment = log_environment(scenario, spec)
    assert scenario.duration_s == (1.0 if index.num_frames == 4 else 2.0)
    history = environment.observe().history
    frames = [history.points[0, t][history.points_valid[0, t]].numpy() for t in range(2)]
    assert min(map(len, frames)) > 10_000
    agreement = environment.notes()["lidar_agreement"]
    assert agreement["median_error_m"] < 0.12 and agreement["close_share"] > 0.79
    near = np.hypot(frames[1][:, 0], frames[1][:, 1]) < 8
    assert np.abs(np.percentile(frames[1][near, 2], 2)) < 0.25  # the road is at height 0


def test_what_was_recorded_can_be_driven(index):
    scenario = log_scenarios(index, "val", duration_s=2.0, warm_up_s=0.5)[0]
    spec = PlannerSpec("log_replay", LogReplayPlanner, privileged=True, grid=GRID, num_history=2)
    environment = log_environment(scenario, spec)
    planner = LogReplayPlanner(environment.oracle())
    while not environment.done:
        environment.step(planner.plan(environment.observe()))
    assert environment.validity().valid and environment.validity().drift_m < 2.0
    assert not environment.notes()["has_route"]
