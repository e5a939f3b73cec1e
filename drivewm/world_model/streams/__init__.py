"""Streams: all that a world model has to know of a modality. The model itself knows tokens alone."""

from __future__ import annotations

from torch import nn

from drivewm.tokenizers import LidarTokenizer, OccupancyTokenizer
from drivewm.world_model.streams.lidar import LidarForecast, LidarStream
from drivewm.world_model.streams.occupancy import OccupancyStream
from drivewm.world_model.streams.protocol import Stream

__all__ = ["LidarForecast", "LidarStream", "OccupancyStream", "Stream", "build_tokenizer", "stream_of"]


def build_tokenizer(config: dict) -> nn.Module:
    """A tokenizer from its keyword arguments; `type` is its class, `OccupancyTokenizer` if there is none."""
    options = dict(config)
    return options.pop("type", OccupancyTokenizer)(**options)


def stream_of(
    tokenizer: nn.Module,
    motion: dict | None,
    ego_aligned: bool,
    decoder_context: bool,
    points_per_frame: int | None = None,
    things_move: bool = True,
) -> Stream:
    """The stream of a tokenizer's modality. Arguments as for `WorldModel`, which see.

    Raises:
        ValueError: if an option is given that the modality does not have.
    """
    if isinstance(tokenizer, LidarTokenizer):
        if motion is not None:
            raise ValueError("motion is learned from occupancy and boxes; a LiDAR stream has no motion field")
        return LidarStream(tokenizer, ego_aligned, decoder_context, points_per_frame, things_move)
    if points_per_frame is not None:
        raise ValueError(f"points_per_frame is of LiDAR; an occupancy stream carries no points, got {points_per_frame}")
    return OccupancyStream(tokenizer, motion, ego_aligned, decoder_context)
