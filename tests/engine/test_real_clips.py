"""Real recordings through the runner: the clips' configs, and tables of what needs no training."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from drivewm.data import DriveClips, Index, build_argoverse2_index, build_index
from drivewm.data.recordings import convert_recording
from drivewm.engine import build_runner, load_config
from drivewm.geometry import VoxelGrid
from tests.engine.test_lidar_runs import SMALL

_REAL = os.environ.get("DRIVEWM_REAL_DATA")
GRID = VoxelGrid.centered((16, 16, 8), 0.8)
TOKENIZER, FORECAST = "configs/tokenizers/lidar_{}_clip.py", "configs/world_models/lidar_forecast_{}_clip.py"


@pytest.mark.parametrize("name", ["nuscenes", "pandaset"])
def test_no_frame_that_is_tuned_on_is_tested(name):
    """Neither reconstructed nor forecast: all windows of 16 frames, of which those tuned on come first."""
    tokenizer, forecast = (load_config(path.format(name)) for path in (TOKENIZER, FORECAST))
    tuned_up_to = tokenizer.train_dataloader.dataset.within[1]
    assert tokenizer.test_dataloader.dataset.within == (tuned_up_to, None)
    assert forecast.train_dataloader.dataset.within == (0, tuned_up_to)
    assert forecast.test_dataloader.dataset.num_history >= tuned_up_to


def real_index(name: str, folder: Path) -> Index:
    if name == "argoverse2":
        return build_argoverse2_index(next(Path(_REAL).glob("av2_*")), folder / "index")
    file = {"nuscenes": "nuscenes_scene-0001_kf00-15.npz", "pandaset": "pandaset_002_f40-55.npz"}[name]
    keyframe_s = 0.1 if name == "pandaset" else None
    return build_index(convert_recording(Path(_REAL, file), folder / "set", GRID, keyframe_s=keyframe_s))


@pytest.mark.skipif(_REAL is None, reason="DRIVEWM_REAL_DATA is not set")
@pytest.mark.parametrize(
    ("name", "windows", "frames", "horizon_s"),
    [("nuscenes", 5, (1, 2), 1.0), ("pandaset", 4, (1, 1), 0.1), ("argoverse2", 1, (1, 1), 0.1)],
)
def test_tables_of_real_clips(name, windows, frames, horizon_s, tmp_path):
    index = real_index(name, tmp_path)
    options = {f"model.tokenizer.{key}": value for key, value in SMALL.items()}
    options |= {"model.dim": 16, "model.depth": 1, "model.points_per_frame": 512}
    config = load_config(FORECAST.format("nuscenes" if name == "nuscenes" else "pandaset"), options)
    data = config.test_dataloader.dataset
    observed, future = frames if name == "argoverse2" else (data.num_history, data.num_future)
    assert len(DriveClips(index, "val", observed, future, data.stride)) == windows

    data.update(index=str(index.folder), num_history=frames[0], num_future=frames[1], within=(0, sum(frames)))
    config.test_evaluator.update(horizons_s=(horizon_s,))
    figures = build_runner(config, tmp_path / "forecast").test()

    def average(predictor: str, score: str) -> float:
        return figures[f"lidar/{predictor}/{score}/avg_{horizon_s:g}s"]

    for predictor in ("copy_last", "ego_warped_copy", "raycast_history"):
        for score in ("cd_in", "cd_all", "l1_mean", "l1_median", "absrel_mean", "absrel_median"):
            assert math.isfinite(average(predictor, score))
    # What stands is where the poses say.
    assert average("ego_warped_copy", "l1_mean") < 0.7 * average("copy_last", "l1_mean")
    assert math.isfinite(average("ego_warped_copy", "moving_missed")) == (name != "nuscenes")  # no boxes there
