"""What every tokenizer offers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from drivewm.structures import TokenGrid, TokenSpec


@dataclass
class DecoderContext:
    """What a decoder may see beside the tokens.

    Attributes:
        previous: `(B, T, X, Y, Z)` uint8, for each frame an earlier one (observed or predicted, never a true future
            one) warped into its ego frame; the label `num_classes` stands for voxels that the earlier frame does not
            cover.
    """

    previous: Tensor | None = None


class Tokenizer(Protocol):
    """Encode frames to tokens and decode tokens to frames.

    Attributes:
        specs: one spec for each of the grids that `encode` gives (residual scales are several).
    """

    specs: tuple[TokenSpec, ...]

    def encode(self, frames: Tensor) -> tuple[TokenGrid, ...]:
        """Frames `(B, T, ...)` of the modality -> their tokens."""

    def decode(self, tokens: tuple[TokenGrid, ...], context: DecoderContext) -> Tensor:
        """Tokens -> frames `(B, T, ...)`; occupancy gives class logits `(B, T, C, X, Y, Z)`."""

    def loss(self, frames: Tensor, context: DecoderContext) -> dict[str, Tensor]:
        """Training losses; the entries whose name holds "loss" are summed, the others are logged."""


def size_name(spec: TokenSpec) -> str:
    """Of a token grid: "25x25"."""
    return "x".join(map(str, spec.shape))


def code_use(tokens: tuple[TokenGrid, ...], clip: int) -> dict[str, Tensor]:
    """How often a clip of a batch uses each code `(V,)`, by the size of the token grid; the mask's id is no code."""
    return {
        size_name(g.spec): g.indices[clip].flatten().bincount(minlength=g.spec.mask_id)[: g.spec.mask_id]
        for g in tokens
    }
