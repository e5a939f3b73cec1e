"""StreamOptions: what a config says of one stream, and the parts that are made of it."""

from __future__ import annotations

from dataclasses import dataclass, fields

from mmengine.registry import MODELS
from torch import nn

from drivewm.tokenizers import CameraTokenizer, LidarTokenizer, OccupancyTokenizer
from drivewm.world_model.camera_denoiser import CameraDenoiser
from drivewm.world_model.denoiser import CellDenoiser, Denoiser
from drivewm.world_model.scales import Scales
from drivewm.world_model.streams.camera import CameraStream
from drivewm.world_model.streams.lidar import LidarStream
from drivewm.world_model.streams.occupancy import OccupancyStream
from drivewm.world_model.streams.protocol import Stream


@dataclass(frozen=True)
class StreamOptions:
    """Of one stream.

    Attributes:
        tokenizer: keyword arguments of the tokenizer, `type` its class (`OccupancyTokenizer` where there is none). Its
            weights are frozen and come from its own training.
        patch, memory: of a bird's-eye view's denoiser; see `CellDenoiser`.
        camera_memory: of cameras, keyword arguments of `CameraMemory`.
        ego_aligned: false leaves what was observed where it was in its own frame, to measure what aligning brings.
        decoder_context: false keeps the decoder from seeing what was observed, to measure what that brings.
        motion: of occupancy, keyword arguments of `MotionField`; None for a world in which only the ego moves.
        points_per_frame: of LiDAR, how many points of each observed frame are carried into future ones; None: all.
        things_move: of LiDAR, move on what moved from sweep to sweep (`thing_motion.py`); false: only the ego moves.
        weight: of all of its losses, beside those of other streams.
    """

    tokenizer: dict
    patch: int = 1
    memory: dict | None = None
    camera_memory: dict | None = None
    ego_aligned: bool = True
    decoder_context: bool = True
    motion: dict | None = None
    points_per_frame: int | None = None
    things_move: bool = True
    weight: float = 1.0

    @classmethod
    def of(cls, name: str, options: dict) -> StreamOptions:
        """ValueError for options that there are not, or without a tokenizer."""
        known = {field.name for field in fields(cls)}
        if (unknown := set(options) - known) or "tokenizer" not in options:
            wrong = f"has no option {', '.join(sorted(unknown))}" if unknown else "needs a tokenizer"
            raise ValueError(f"the stream {name!r} {wrong}; there are {', '.join(sorted(known))}")
        return cls(**options)

    def build_tokenizer(self) -> nn.Module:
        """The tokenizer, untrained; its type may be a class or, as in configs that runs write down, say where it is."""
        return MODELS.build(dict(type=OccupancyTokenizer) | dict(self.tokenizer))

    def build_denoiser(self, tokenizer: nn.Module, dim: int, depth: int, heads: int) -> Denoiser:
        """The stream's part of the trunk."""
        scales, code_dim = Scales(tokenizer.specs), tokenizer.quantizer.dim
        if isinstance(tokenizer, CameraTokenizer):
            return CameraDenoiser(scales, code_dim, tokenizer.image_size, dim, depth, heads, self.camera_memory)
        size = (dim, depth, heads, self.patch, self.memory)
        denoiser = CellDenoiser(scales, code_dim, tokenizer.grid, *size)
        denoiser.memory.warp = self.ego_aligned
        return denoiser

    def build_stream(self, tokenizer: nn.Module) -> Stream:
        """The stream of the tokenizer's modality. ValueError for an option that the modality does not have."""
        if isinstance(tokenizer, CameraTokenizer):
            if self.motion is not None or self.points_per_frame is not None:
                raise ValueError("a stream of cameras has no motion field and carries no points")
            return CameraStream(tokenizer)
        if isinstance(tokenizer, LidarTokenizer):
            if self.motion is not None:
                raise ValueError("motion is learned from occupancy and boxes; a LiDAR stream has no motion field")
            aligned = (self.ego_aligned, self.decoder_context)
            return LidarStream(tokenizer, *aligned, self.points_per_frame, self.things_move)
        if self.points_per_frame is not None:
            raise ValueError(
                f"points_per_frame is of LiDAR; an occupancy stream carries no points, got {self.points_per_frame}"
            )
        return OccupancyStream(tokenizer, self.motion, self.ego_aligned, self.decoder_context)


def listed_streams(
    tokenizer: dict | None, streams: dict[str, dict] | None, common: dict
) -> dict[str, tuple[StreamOptions, nn.Module]]:
    """Options and untrained tokenizer of each stream, by its modality.

    Args:
        tokenizer: of the only stream, or None.
        streams: modality -> options of several, or None.
        common: options of all streams, where an entry of `streams` has none of its own.

    Raises:
        ValueError: for options that `StreamOptions` does not have, or a tokenizer of another modality than its name.
    """
    if (tokenizer is None) == (not streams):
        raise ValueError("a world model has either a tokenizer, of its only stream, or streams: give one of the two")
    parts = {}
    for name, entry in (streams or {None: dict(tokenizer=tokenizer)}).items():
        own = StreamOptions.of(name, common | dict(entry))
        built = own.build_tokenizer()
        modality = built.specs[0].modality
        if name not in (None, modality):
            raise ValueError(f"the stream {name!r} has a tokenizer of the modality {modality!r}")
        parts[modality] = own, built
    return parts
