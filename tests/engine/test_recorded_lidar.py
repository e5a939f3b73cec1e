"""Point clouds written while a model is tested and scored again from the files: the same figures, through the tool."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS

from demo_stages.command import run_tool
from drivewm.data import DriveClips
from drivewm.data.predictions import PredictionSet, write_prediction
from drivewm.engine.checkpoint import describe_model
from drivewm.evaluation.forecast.record import CEILING
from drivewm.geometry import se3
from tests.engine.test_lidar_runs import FORECAST, small_config, small_options

FILES, HISTORY, FUTURE = "configs/evaluation/lidar_forecast.py", 2, 2
BASELINES = {"copy_last", "ego_warped_copy", "raycast_history"}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, town_index):
    """Of an untrained model whose rays end somewhere."""
    torch.manual_seed(0)
    model = MODELS.build(small_config(FORECAST, town_index).model)
    model.stream.soft_decoder.head[-1].bias.data.sub_(3.0)
    path = tmp_path_factory.mktemp("recorded") / "random.pth"
    torch.save({"state_dict": model.state_dict(), "meta": {"drivewm": describe_model(model)}}, path)
    return path


@pytest.fixture
def tool(tmp_path, town_index):
    """Runs tools/test.py and gives what it wrote."""

    def run(config, *arguments, split="val"):
        options = {"test_dataloader.dataset.index": town_index.folder}
        if config == FORECAST:
            small = small_options(FORECAST, town_index).items()
            options |= {k: str(list(v)).replace(" ", "") if isinstance(v, tuple) else v for k, v in small}
            options |= {"test_dataloader.dataset.num_history": HISTORY, "test_dataloader.dataset.num_future": FUTURE}
        options |= {"test_dataloader.dataset.split": split, "test_dataloader.num_workers": 0}
        options |= {"test_evaluator.horizons_s": "[1.0]"}
        out = tmp_path / "scores.json"
        logs = ["--work-dir", tmp_path / "logs", "--out", out]
        run_tool("test", config, *arguments, *logs, "--cfg-options", *(f"{k}={v}" for k, v in options.items()))
        return json.loads(out.read_text())

    return run


def own_rows(result):
    """Without what is not dumped: the ceiling, drawn clouds and silent directions."""
    report = result["lidar_forecasts"]
    for name in (CEILING, "model_drawn"):
        report["rows"] = [row for row in report["rows"] if row["predictor"] != name]
        report["predictors"].remove(name)
    for row in report["rows"]:
        row["scores"].pop("silent"), row["frames"].pop("silent")
    return result


def test_a_dumped_run_scores_the_same_again(tmp_path, tool, checkpoint, capsys):
    dump = tmp_path / "dump"
    first = own_rows(tool(FORECAST, checkpoint, "--dump", dump))
    again = tool(FILES, "--predictions", dump)
    assert tool(FORECAST, "--predictions", dump) == again
    for row in again["lidar_forecasts"]["rows"]:
        assert row["scores"].pop("silent") and row["frames"].pop("silent")
    assert again["lidar_forecasts"] == first["lidar_forecasts"]
    assert again["figures"].items() <= first["figures"].items()
    assert again["figures"]["lidar/model/cd_all/avg_1s"] > 0 and again["lidar_forecasts"]["windows"] == 1
    assert "# LiDAR forecasts" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="predictions.json: predictions: found some"):
        tool(FORECAST, checkpoint, "--dump", dump)
    with pytest.raises(SystemExit, match="point clouds have no probabilities"):
        tool(FORECAST, checkpoint, "--dump", tmp_path / "other", "--dump-probabilities")


@pytest.fixture
def oracle(tmp_path, town_index):
    """Somebody's perfect forecast, written by hand out of the files of the sweeps alone."""
    clips = DriveClips(town_index, "train", HISTORY, FUTURE, stride=12, load_points=True)
    found = PredictionSet(tmp_path / "mine", "oracle", "given", HISTORY, FUTURE, None, tuple(clips.sample_tokens))
    for i in range(len(clips)):
        clip = clips[i]["clip"]
        T_lidar_ego = se3.inverse(clip.T_ego_lidar[0].double().numpy())
        clouds = [
            se3.transform_points(T_lidar_ego[t], clip.points[0, t, clip.points_valid[0, t], :3].numpy())
            for t in range(HISTORY, HISTORY + FUTURE)
        ]
        arrays = {
            "points": np.concatenate(clouds).astype(np.float32),
            "frame_ptr": np.concatenate([[0], np.cumsum([len(cloud) for cloud in clouds])]),
            "times_s": 0.5 * np.arange(1, FUTURE + 1),
        }
        write_prediction(found.path(clip.sample_token[0]), arrays)
    found.write()
    return found


def test_a_perfect_forecast_has_no_error(tool, oracle):
    report = tool(FILES, "--predictions", oracle.folder, split="train")["lidar_forecasts"]
    rows = {row["predictor"]: row["scores"] for row in report["rows"]}
    assert set(rows) == {"oracle", *BASELINES}
    assert rows["oracle"]["cd_all"]["avg_1s"] < 1e-8 < rows["ego_warped_copy"]["cd_all"]["avg_1s"]
    assert rows["oracle"]["l1_mean"]["avg_1s"] < 1e-4 and rows["oracle"]["returns"]["1s"] == 100


def test_a_frame_without_any_return_is_a_forecast(tool, oracle):
    for token in oracle.sample_tokens:
        arrays = oracle.read(token)
        second = arrays["frame_ptr"][1]
        pointer = np.maximum(arrays["frame_ptr"] - second, 0)
        write_prediction(oracle.path(token), arrays | {"points": arrays["points"][second:], "frame_ptr": pointer})
    report = tool(FILES, "--predictions", oracle.folder, split="train")["lidar_forecasts"]
    (row,) = [row for row in report["rows"] if row["predictor"] == "oracle"]
    assert row["scores"]["returns"]["0.5s"] == 0 and row["scores"]["cd_all"]["0.5s"] is None
    assert row["frames"]["cd_all"]["0.5s"] == 0 < row["frames"]["cd_all"]["1s"]


def test_what_does_not_fit_stops_the_tool(tool, oracle):
    description = oracle.folder / "predictions.json"
    kept, token = json.loads(description.read_text()), oracle.sample_tokens[0]
    score = partial(tool, FILES, "--predictions", oracle.folder, split="train")

    def refused(message):
        with pytest.raises(SystemExit, match=message):
            score()

    for change, message in (
        ({"name": "raycast_history"}, "predictions.json: name: found raycast_history, expected another name than"),
        ({"ego_pose": "planner"}, "predictions.json: ego_pose: found 'planner', expected 'given'"),
        ({"modality": "radar"}, "predictions.json: modality: found 'radar', expected one of occupancy, lidar"),
        ({"frame_step": 0}, "predictions.json: frame_step: found 0"),
        ({"num_future": 3}, r"npz: frame_ptr: found int64 of shape \(3,\), expected integers of \(4\)"),
        ({"windows": [*kept["windows"], "other"]}, "no window of 2 .* at sample_token other"),
        ({"modality": "occupancy"}, "predictions.json: grid: found None"),
    ):
        description.write_text(json.dumps(kept | change))
        refused(message)
    description.write_text(json.dumps(kept))
    arrays = oracle.read(token)
    points, pointer = arrays["points"], arrays["frame_ptr"]
    gap = points.copy()
    gap[7, 1] = np.nan
    for change, message in (
        ({"points": points[:, :2]}, rf"{token}.npz: points: found shape .*expected \(N, 3\)"),
        ({"points": points.astype(np.int32)}, "points: found int32"),
        ({"points": gap}, f"{token}.npz: points: found NaN"),
        ({"points": points[:-1]}, rf"{token}.npz: frame_ptr: found .*expected increasing positions from 0 to"),
        ({"frame_ptr": pointer[:-1]}, r"frame_ptr: found int64 of shape \(2,\), expected integers of \(3\)"),
        ({"frame_ptr": pointer[::-1].copy()}, "frame_ptr: found .*expected increasing positions"),
        ({"times_s": arrays["times_s"] + 0.6}, "times_s: found .*expected the data's frames at"),
        ({"labels": np.zeros(3, np.uint8)}, "labels: found an array of that name, expected one of"),
    ):
        write_prediction(oracle.path(token), arrays | change)
        refused(message)
    oracle.path(token).unlink()
    refused(f"{token}.npz: file: found nothing, expected the window {token}")
