"""Forecasts written while a model is tested and scored again from the files: the same figures, through the tool."""

import json
import shutil
from functools import partial

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS

from demo_stages.command import run_tool
from drivewm.data.predictions import PredictionSet, write_prediction
from drivewm.engine import load_config
from drivewm.engine.checkpoint import describe_model
from drivewm.evaluation.forecast.record import CEILING

PREDICTORS = {"model", "copy_last", "ego_warped_copy"}
CONFIG, FILES = "configs/world_models/driving_town.py", "configs/evaluation/occupancy_forecast.py"


@pytest.fixture(scope="module")
def options(town_index, town_grid):
    """The town's config made tiny, on the tests' data: 4 + 6 keyframes, every second window."""
    return {
        "model.tokenizer.channels": (16, 16),
        "model.tokenizer.label_dim": 4,
        "model.tokenizer.blocks": 1,
        "model.tokenizer.code_dim": 8,
        "model.tokenizer.vocab_size": 32,
        "model.tokenizer.grid.range_m": town_grid.range_m,
        "model.world_model.dim": 16,
        "model.world_model.depth": 1,
        "model.world_model.heads": 2,
        "test_dataloader.dataset.index": str(town_index.folder),
        "test_dataloader.dataset.num_history": 4,
        "test_dataloader.dataset.num_future": 6,
        "test_dataloader.dataset.stride": 2,
        "test_dataloader.batch_size": 1,
    }


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, options):
    """An untrained model's."""
    torch.manual_seed(0)
    model = MODELS.build(load_config(CONFIG, options).model)
    path = tmp_path_factory.mktemp("recorded") / "untrained.pth"
    torch.save({"state_dict": model.state_dict(), "meta": {"drivewm": describe_model(model)}}, path)
    return path


@pytest.fixture
def tool(tmp_path, options):
    """Runs tools/test.py and gives what it wrote."""

    def run(*arguments, **changes):
        config, *arguments = arguments
        kept = options if config == CONFIG else {k: v for k, v in options.items() if k.endswith("dataset.index")}
        values = {k: ",".join(map(str, v)) if isinstance(v, tuple) else v for k, v in (kept | changes).items()}
        values = {k: f"[{v}]" if isinstance(kept.get(k), tuple) else v for k, v in values.items()}
        out = tmp_path / "scores.json"
        extra = [
            "--work-dir",
            tmp_path / "logs",
            "--out",
            out,
            "--cfg-options",
            *(f"{k}={v}" for k, v in values.items()),
        ]
        run_tool("test", config, *arguments, *extra)
        return json.loads(out.read_text())

    return run


def without_ceiling(result):
    """Files hold forecasts; what the model would make of the true frames only the model can tell."""
    report = result["forecasts"]
    report["rows"] = [row for row in report["rows"] if row["predictor"] != CEILING]
    report["predictors"].remove(CEILING)
    return result


@pytest.mark.parametrize("ego_pose", ["given", "planner"])
def test_a_dumped_run_scores_the_same_again(tmp_path, capsys, tool, checkpoint, ego_pose):
    dump = tmp_path / "dump"
    first = tool(CONFIG, checkpoint, "--ego-pose", ego_pose, "--dump", dump, "--dump-probabilities")
    printed = capsys.readouterr().out
    assert "# Occupancy forecasts" in printed and "Latency" in printed and "learned/l2_instant" in printed
    assert "model/miou" not in printed
    assert {row["predictor"] for row in first["forecasts"]["rows"]} == {*PREDICTORS, CEILING}
    first = without_ceiling(first)
    again = tool(CONFIG, "--predictions", dump)
    assert again["forecasts"] == first["forecasts"]
    assert again["figures"].items() <= first["figures"].items()
    others = tool(FILES, "--predictions", dump)
    assert others["forecasts"] == first["forecasts"]
    report = first["forecasts"]
    assert {row["ego_pose"] for row in report["rows"]} == {ego_pose} == {report["ego_pose"]}
    assert {row["predictor"] for row in report["rows"]} == PREDICTORS
    windows = {name: (w["windows"], w["expected"]) for name, w in report["windows"].items()}
    assert windows == {"all": (1, 3), "occworld": (0, 1), "first": (1, 1), "evaluated": (2, None)}
    assert report["latency"]["windows"] == 1
    found = PredictionSet.open(dump)
    assert sorted(p.stem for p in dump.glob("*.npz")) == sorted(found.sample_tokens)
    assert ("T_t0_ego" in found.read(found.sample_tokens[0])) == (ego_pose == "planner")


def test_what_does_not_fit_stops_the_tool(tmp_path, tool, checkpoint, capsys):
    dump = tmp_path / "dump"
    tool(CONFIG, checkpoint, "--dump", dump)
    assert tool(FILES, "--predictions", dump)["forecasts"]["rows"][0].get("calibration") is None
    description = dump / "predictions.json"
    kept = json.loads(description.read_text())
    score = partial(tool, FILES, "--predictions", dump)

    def refused(message, run=score):
        with pytest.raises(SystemExit, match=message):
            run()

    refused("predictions.json: predictions: found some", partial(tool, CONFIG, checkpoint, "--dump", dump))
    for change, message in (
        ({"name": "copy_last"}, "predictions.json: name: found copy_last, expected another name than"),
        ({"grid": {"range_m": [-8, -8, -1, 8, 8, 5.4], "voxel_m": 0.8}}, "predictions.json: grid: found VoxelGrid"),
        ({"ego_pose": "own"}, "npz: T_t0_ego: found only"),
        ({"windows": [*kept["windows"], "other"]}, "no window of 4 .* keyframes at sample_token other"),
    ):
        description.write_text(json.dumps(kept | change))
        refused(message)
    description.write_text(json.dumps(kept))
    found = PredictionSet.open(dump)
    arrays = found.read(kept["windows"][1])
    write_prediction(found.path(kept["windows"][1]), arrays | {"times_s": arrays["times_s"] + 0.5})
    refused("npz: times_s: found .*expected the data's frames at")
    found.path(kept["windows"][1]).unlink()
    refused(f"{kept['windows'][1]}.npz: file: found nothing")
    shutil.rmtree(dump)
    refused("predictions.json: file: found nothing")

    tokenizer = "configs/tokenizers/occupancy_town.py"
    with pytest.raises(SystemExit, match="OccupancyTokenizer of .* has no planner"):
        run_tool("test", tokenizer, "any.pth", "--ego-pose", "planner")
    with pytest.raises(SystemExit):
        run_tool("test", CONFIG)
    assert "give a checkpoint or --predictions" in capsys.readouterr().err


def test_a_better_forecast_leads(tmp_path, tool, checkpoint, town_index):
    """Somebody's perfect forecast, written by hand: 100, and ahead of the copy."""
    from drivewm.data import DriveClips

    clips = DriveClips(town_index, "train", 4, 6)
    found = PredictionSet(tmp_path / "mine", "oracle", "given", 4, 6, clips.grid, tuple(clips.sample_tokens))
    for i in range(len(clips)):
        clip = clips[i]["clip"]
        arrays = {"labels": clip.occupancy[0, 4:].numpy(), "times_s": 0.5 * np.arange(1, 7)}
        write_prediction(found.path(clip.sample_token[0]), arrays)
    found.write()
    scores = tool(FILES, "--predictions", tmp_path / "mine", **{"test_dataloader.dataset.split": "train"})
    assert scores["figures"]["oracle/miou/avg"] == 100 > scores["figures"]["ego_warped_copy/miou/avg"]
    sets = {name: (w["windows"], w["expected"]) for name, w in scores["forecasts"]["windows"].items()}
    assert sets == {"all": (9, 9), "occworld": (3, 3), "first": (3, 3), "evaluated": (12, None)}
    (row,) = [r for r in scores["forecasts"]["rows"] if (r["windows"], r["predictor"]) == ("all", "oracle")]
    assert row["lead_over_ego_warped_copy"]["miou"]["3s"]["low"] > 0
