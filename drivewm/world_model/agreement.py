"""Scenes of voxels and returns together: drawn by one model in one go, or apart, or by two models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from drivewm.structures import SceneClip
from drivewm.world_model.model import WorldModel

RECORDED, TOGETHER, APART, EXPECTED, TWO_MODELS = "recorded", "together", "apart", "expected", "two models"
STREAMS = ("occupancy", "lidar")


@dataclass
class Scenes:
    """F frames of voxels and of returns, each in its own ego frame.

    Attributes:
        labels: `(B, F, X, Y, Z)` uint8.
        points, valid: `(B, F, N, 3 + C)` [m] and `(B, F, N)` bool.
    """

    labels: Tensor
    points: Tensor
    valid: Tensor


@torch.no_grad()
def scenes_of(
    model: WorldModel, clip: SceneClip, seed: int, others: Mapping[str, WorldModel] | None = None
) -> dict[str, Scenes]:
    """The future of a clip as it was recorded, and as it is imagined.

    Returns are along the rays that came back last, cast from where the sensor will be.

    Args:
        model: of occupancy and LiDAR.
        clip: with labels and sweeps; its future gives the ego motion and the recorded scenes.
        seed: of the draws.
        others: models of one stream each, by modality, that draw the same future, each by itself.

    Returns:
        "recorded"; "together", both streams of one draw; "apart", the voxels of that draw and the returns of another
        one; "expected", both as `WorldModel.forecasts` gives them; with `others` also "two models".

    Raises:
        ValueError: the model lacks one of the streams, or the others do.
    """
    if missing := set(STREAMS) - set(model.streams):
        raise ValueError(f"the model has no {' and no '.join(sorted(missing))}, only {', '.join(model.streams)}")
    asked = clip.history(), clip.future_poses(), clip.future_times_s()
    device = clip.timestamp_us.device

    def drawn(of: WorldModel, number: int, outputs: tuple[str, ...]) -> dict[str, Tensor]:
        return of.imagined(*asked, torch.Generator(device).manual_seed(2 * seed + number), outputs)

    def both(labels: Tensor, volume: Tensor, lidar: WorldModel = model) -> Scenes:
        stream = lidar.streams["lidar"]
        cast = stream.as_history(stream.forecast(volume), clip.history(), clip.future_poses())
        return Scenes(labels, cast["points"], cast["points_valid"])

    first, second = drawn(model, 0, STREAMS), drawn(model, 1, STREAMS)
    expected, future = model.forecasts(*asked, STREAMS), slice(clip.num_history, None)
    scenes = {
        RECORDED: Scenes(clip.occupancy[:, future], clip.points[:, future], clip.points_valid[:, future]),
        TOGETHER: both(first["occupancy"], first["lidar"]),
        APART: both(first["occupancy"], second["lidar"]),
        EXPECTED: both(expected["occupancy"].labels, expected["lidar"].volume),
    }
    if others:
        if absent := set(STREAMS) - set(others):
            raise ValueError(f"the other models are of {', '.join(others)}, none is of {', '.join(sorted(absent))}")
        voxels, volume = (drawn(others[name], 0, (name,))[name] for name in STREAMS)
        scenes[TWO_MODELS] = both(voxels, volume, others["lidar"])
    return scenes
