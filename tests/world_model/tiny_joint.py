"""A tiny world model of occupancy and LiDAR with random weights, and clips with both."""

from dataclasses import replace

import torch

from drivewm.structures import SceneClip
from drivewm.tokenizers import LidarTokenizer
from drivewm.world_model import WorldModel
from tests.tokenizers import test_lidar
from tests.world_model import tiny

LIDAR = dict(type=LidarTokenizer, **test_lidar.SIZE, objective=test_lidar.OBJECTIVE, raster=test_lidar.RASTER)
STREAMS = dict(occupancy=dict(tokenizer=tiny.TOKENIZER, motion=dict(channels=(8, 16))), lidar=dict(tokenizer=LIDAR))
SIZE = dict(dim=16, depth=2, heads=2, memory=dict(frame_dim=16, fine_dim=2), imagine_steps=2, horizon=2)
INPUTS = [("occupancy",), ("lidar",), ("occupancy", "lidar")]


def make_clip(history: int = 3, future: int = 2) -> SceneClip:
    """The wall of `test_lidar.make_clip` before random voxels: one has nothing to do with the other."""
    clip = replace(test_lidar.make_clip(history + future, number=200), num_history=history)
    generator = torch.Generator().manual_seed(0)
    occupancy = torch.randint(18, (2, history + future, *tiny.GRID.shape), generator=generator).to(torch.uint8)
    return replace(clip, occupancy=occupancy, grid=tiny.GRID)


def make_model(exchange: str = "geometric", **options) -> WorldModel:
    """Seeded random weights, none at zero: what starts as a no-op must not hide a leak."""
    torch.manual_seed(0)
    return randomized(WorldModel(streams=STREAMS, exchange=dict(type=exchange), **(SIZE | options)))


def randomized(model: WorldModel) -> WorldModel:
    """See `make_model`; in evaluation mode."""
    generator = torch.Generator().manual_seed(1)
    for name, stream in model.streams.items():
        codebooks = [q.codebook for q in stream.tokenizer.quantizer.scales]
        for tensor in (*stream.parameters(), *model.trunk.denoisers[name].parameters(), *codebooks):
            tensor.data.add_(0.1 * torch.randn(tensor.shape, generator=generator))
        model.trunk.denoisers[name].adopt_codebooks(codebooks)
    for part in (model.trunk.exchanges, model.trunk.lifts, model.beside):
        for parameter in part.parameters():
            parameter.data.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def ask(clip: SceneClip):
    """What a forecast of a clip is asked with."""
    return clip.history(), clip.future_poses(), clip.future_times_s()


def shown(model: WorldModel, history, inputs):
    """The history of one who has these sensors only."""
    for name in set(model.streams) - set(inputs):
        history = model.streams[name].without(history)
    return history


def content(forecast) -> torch.Tensor:
    """What is predicted, whatever the modality."""
    return forecast.logits if hasattr(forecast, "logits") else forecast.volume
