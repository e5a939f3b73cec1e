"""Beside: what the decoder of a bird's-eye view reads of other streams, beside its own tokens and past."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from drivewm.geometry import VoxelGrid
from drivewm.world_model.evidence import Evidence, Lifted
from drivewm.world_model.lift import COLUMN_DIM

if TYPE_CHECKING:
    from drivewm.world_model.streams import Stream

_VIEWS = "views"
"""Name, as a source, of all cameras together."""


class Beside(nn.Module):
    """Evidence of another stream -> what a decoder adds to its map of an earlier frame.

    It starts as nothing, and is nothing where nothing is known.

    Args:
        grid: of the reading decoder.
        told: K, features of a column of the evidence.
        channels: of the decoder's map.
    """

    def __init__(self, grid: VoxelGrid, told: int, channels: int) -> None:
        super().__init__()
        self.grid = grid
        self.layers = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(4 * told, channels, 1, bias=False),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
        )
        nn.init.zeros_(self.layers[-1].weight)

    def forward(self, evidence: Evidence) -> Tensor:
        """`(J, channels, X / 2, Y / 2)` of J frames."""
        return self.layers(evidence.on(self.grid))


class Besides(nn.Module):
    """What the decoders of bird's-eye views read of other streams.

    Tokens are coarse: one of a sweep may cover a house, and what is not certain becomes an average of codes. Evidence
    has the detail of voxels: where points were met, what views showed, what the voxels of the same frame are. So
    streams tell of one scene, as in UniScene (Li et al., 2025), where voxels are drawn first and the rest is rendered
    from them.

    Args:
        streams: all of a model, by name.
    """

    def __init__(self, streams: Mapping[str, Stream]) -> None:
        super().__init__()
        flat = {name: own for name, own in streams.items() if own.grid is not None}
        self.pairs = nn.ModuleDict()
        for reader, own in flat.items():
            told = {source: own.grid.shape[2] for source in flat if source != reader}
            if len(flat) < len(streams):
                told[_VIEWS] = COLUMN_DIM
            for source, features in told.items():
                self.pairs[f"{reader}_of_{source}"] = Beside(own.grid, features, own.soft_decoder.width)

    def forward(self, reader: str, evidence: Mapping[str, Evidence]) -> Tensor | float:
        """Of J frames, for the decoder of `reader`; 0 where there is nothing to read."""
        named = {f"{reader}_of_{source}": told for source, told in evidence.items()}
        return sum(self.pairs[pair](told) for pair, told in named.items() if pair in self.pairs)


def evidence_of(streams: Mapping[str, Stream], shown: Mapping[str, Any]) -> dict[str, Evidence]:
    """That of the bird's-eye views among `streams`, by what was `shown` of some of them in J frames."""
    return {name: streams[name].solid(own) for name, own in shown.items() if streams[name].grid is not None}


def evidence_of_views(lifted: Lifted | None) -> dict[str, Evidence]:
    """What views showed, as it was lifted for the stream that is to read it; of J frames."""
    return {} if lifted is None else {_VIEWS: lifted}


def voxels_first(streams: Iterable[str]) -> list[str]:
    """In the order in which the streams of a frame are decoded: others are decoded beside what voxels say then."""
    return sorted(streams, key=lambda name: name != "occupancy")
