"""Joint models in runs: tokenizers by stream, checkpoints that fit, and streams chosen from the command line."""

import importlib.util
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS

from drivewm.engine import load_checkpoint, load_config, load_streams, load_tokenizer
from drivewm.engine.checkpoint import describe_model
from drivewm.evaluation.metrics import LidarForecastMetric, OccupancyForecastMetric
from drivewm.world_model import WorldModel
from tests.tokenizers import test_lidar
from tests.world_model import test_camera_stream, tiny
from tests.world_model.tiny_joint import LIDAR, SIZE, STREAMS, make_clip, make_model


def save(model, path):
    torch.save({"state_dict": model.state_dict(), "meta": {"drivewm": describe_model(model)}}, path)
    return path


def test_each_stream_takes_over_its_own_tokenizer(tmp_path):
    trained, model = make_model(), WorldModel(streams=STREAMS, **SIZE)
    paths = {name: save(stream.tokenizer, tmp_path / f"{name}.pth") for name, stream in trained.streams.items()}
    load_tokenizer(model, paths)
    for name, stream in model.streams.items():
        codebook = trained.streams[name].tokenizer.quantizer.scales[0].codebook
        assert torch.equal(stream.tokenizer.quantizer.scales[0].codebook, codebook)
        assert model.trunk.denoisers[name].embeddings[0].codes[:-1].abs().sum() > 0
    with pytest.raises(ValueError, match="are of occupancy, but the model's streams are occupancy, lidar"):
        load_tokenizer(model, {"occupancy": paths["occupancy"]})
    with pytest.raises(ValueError, match="model is LidarTokenizer, but the config's model has OccupancyTokenizer"):
        load_tokenizer(model, {"occupancy": paths["lidar"], "lidar": paths["lidar"]})


def test_streams_begin_as_in_the_models_that_learned_them_alone(tmp_path):
    """And forecast the same, to the bit, where no other stream is asked for."""
    alone = {name: WorldModel(**options, **SIZE).eval() for name, options in STREAMS.items()}
    for model in alone.values():
        for parameter in model.parameters():
            parameter.data += 0.01 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    paths = {name: save(model, tmp_path / f"{name}.pth") for name, model in alone.items()}
    joint = WorldModel(streams=STREAMS, **SIZE).eval()
    load_streams(joint, paths)
    clip = make_clip()
    request = clip.history(), clip.future_poses(), clip.future_times_s()
    for name, model in alone.items():
        together, expected = joint.outlooks(*request, outputs=(name,))[name], model.outlooks(*request)[name]
        assert torch.equal(together.logits, expected.logits), name
    for name, path, message in (
        ("camera", paths["lidar"], "is to give the stream camera, but the model has occupancy, lidar"),
        ("lidar", paths["occupancy"], "has no stream lidar"),
    ):
        with pytest.raises(ValueError, match=message):
            load_streams(joint, {name: path})
    wider = WorldModel(streams=STREAMS, **(SIZE | dict(dim=2 * SIZE["dim"])))
    with pytest.raises(ValueError, match=r"(?s)occupancy\.pth does not fit the config's model: .*size mismatch"):
        load_streams(wider, paths)
    farther = LIDAR | dict(grid=dict(range_m=(-16.0, -16.0, -1.0, 16.0, 16.0, 7.0), voxel_m=2.0))
    other = WorldModel(streams=STREAMS | dict(lidar=dict(tokenizer=farther)), **SIZE)
    with pytest.raises(ValueError, match=r"lidar\.pth: grid is .*1\.0.*, but the config's model has .*2\.0"):
        load_streams(other, paths)


def test_a_model_is_built_from_the_config_that_its_run_wrote_down(tmp_path):
    """There, types are words."""
    load_config("configs/world_models/joint_twin.py").dump(tmp_path / "config.py")
    written = load_config(tmp_path / "config.py")
    assert isinstance(written.model.streams.lidar.tokenizer.type, str)
    models = [MODELS.build(config.model) for config in (written, load_config("configs/world_models/joint_twin.py"))]
    kinds = [{name: type(module) for name, module in model.named_modules()} for model in models]
    assert kinds[0] == kinds[1]


def test_a_checkpoint_says_which_grid_each_stream_has(tmp_path):
    model, path = make_model(), tmp_path / "joint.pth"
    save(model, path)
    load_checkpoint(model, path)
    farther = LIDAR | dict(grid=dict(range_m=(-16.0, -16.0, -1.0, 16.0, 16.0, 7.0), voxel_m=2.0))
    assert test_lidar.RANGE["voxel_m"] == 1.0
    other = WorldModel(streams=STREAMS | dict(lidar=dict(tokenizer=farther)), **SIZE)
    with pytest.raises(ValueError, match=r"grids is .*'lidar'.*1\.0.*, but the config's model has .*2\.0"):
        load_checkpoint(other, path)


def test_streams_are_listed_in_any_order(tmp_path):
    """Configs that runs write down are sorted by name."""
    model, path = make_model(), save(make_model(), tmp_path / "joint.pth")
    other = WorldModel(streams=dict(reversed(STREAMS.items())), **SIZE)
    load_checkpoint(other, path)
    assert other.specs != model.specs
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in other.state_dict().items())


def test_streams_are_chosen_from_the_command_line():
    spec = importlib.util.spec_from_file_location("test_tool", Path("tools/test.py"))
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    metrics = [dict(type=OccupancyForecastMetric), dict(type=LidarForecastMetric)]
    config = Config(dict(model=dict(streams=dict(occupancy=dict(), lidar=dict())), test_evaluator=metrics))
    tool.set_streams(config, ["lidar"], ["occupancy"])
    assert (config.model.inputs, config.model.outputs) == (["lidar"], ["occupancy"])
    assert [evaluator["type"] for evaluator in config.test_evaluator] == [OccupancyForecastMetric]
    with pytest.raises(ValueError, match="models of several streams"):
        tool.set_streams(Config(dict(model=dict(tokenizer=dict()))), ["lidar"], None)


def test_the_config_with_cameras_makes_a_model_that_learns_from_all_three_and_predicts_them():
    tokenizer = "model.streams.{}.tokenizer.{}".format
    options = {tokenizer(n, "vocab_size"): 32 for n in ("occupancy", "lidar", "camera")}
    options |= {tokenizer("occupancy", "grid"): tiny.TOKENIZER["grid"], tokenizer("occupancy", "channels"): (16, 16)}
    options |= {tokenizer("lidar", "grid"): test_lidar.RANGE, tokenizer("lidar", "channels"): (16, 16)}
    options |= {
        tokenizer("camera", name): test_camera_stream.CAMERA[name] for name in ("image_size", "views", "channels")
    }
    options |= {"model.dim": 16, "model.depth": 1, "model.horizon": 2, "model.mix.unasked": 0.0}
    options |= {tokenizer("camera", "backbone"): "test_convnext", "model.streams.lidar.points_per_frame": 64}
    model = MODELS.build(load_config("configs/world_models/joint_cameras_twin.py", options).model).train()
    clip = test_camera_stream.make_clip()
    losses = model(clip, "loss")
    assert all(f"{name}/loss_tokens" in losses for name in ("occupancy", "lidar", "camera"))
    sum(value for name, value in losses.items() if "loss" in name).backward()
    with torch.no_grad():
        assert {"forecasts", "lidar", "camera"} <= set(model.eval()(clip, "predict")[0])
