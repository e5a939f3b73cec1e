"""Tokens of several scales as one row: the coarse grid's, then the finer one's."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from drivewm.layers.scales import shrink, spread
from drivewm.structures import TokenGrid, TokenSpec
from drivewm.tokenizers.multiscale import MultiScaleQuantizer


@dataclass(frozen=True)
class Scales:
    """How the tokens of a frame lie in a row of N.

    Attributes:
        specs: of each grid, from coarse to fine.
    """

    specs: tuple[TokenSpec, ...]

    def __post_init__(self) -> None:
        if len({spec.vocab_size for spec in self.specs}) != 1:
            raise ValueError(f"the scales of a frame must share the size of their vocabulary, got {self.specs}")

    @property
    def row(self) -> TokenSpec:
        """Spec of the row: N tokens."""
        first = self.specs[0]
        return TokenSpec(first.modality, (sum(spec.num_tokens for spec in self.specs),), first.vocab_size)

    @property
    def shape(self) -> tuple[int, int]:
        """Cells `(H, W)` of the finest scale."""
        return self.specs[-1].shape

    def join(self, maps: tuple[Tensor, ...]) -> Tensor:
        """Maps `(J, h, w, *tail)` of each scale -> rows `(J, N, *tail)`."""
        return torch.cat([m.flatten(1, 2) for m in maps], dim=1)

    def split(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Rows `(J, N, *tail)` -> maps `(J, h, w, *tail)` of each scale."""
        parts = rows.split([spec.num_tokens for spec in self.specs], dim=1)
        return tuple(part.unflatten(1, spec.shape) for part, spec in zip(parts, self.specs, strict=True))

    def grids(self, rows: Tensor) -> tuple[TokenGrid, ...]:
        """Tokens `(B, T, N)` as the grids of `(B, T, h, w)` that a tokenizer decodes."""
        lead = rows.shape[:2]
        maps = self.split(rows.flatten(0, 1))
        return tuple(TokenGrid(m.unflatten(0, lead), spec) for m, spec in zip(maps, self.specs, strict=True))

    def row_of(self, grids: tuple[TokenGrid, ...]) -> Tensor:
        """The inverse of `grids`: `(B, T, N)`. ValueError for tokens of something else."""
        if (found := tuple(grid.spec for grid in grids)) != self.specs:
            raise ValueError(f"the clip has tokens of {found}, but the model's are of {self.specs}")
        return torch.cat([grid.indices.flatten(2) for grid in grids], dim=2)

    def spread(self, maps: tuple[Tensor, ...]) -> Tensor:
        """The sum of features `(J, h, w, C)` of all scales at the finest: `(J, C, H, W)`."""
        return sum(spread(m, self.shape) for m in maps)

    def shrink(self, features: Tensor) -> tuple[Tensor, ...]:
        """Averages `(J, h, w, C)` over the cells of each scale, of features `(J, C, H, W)`."""
        return tuple(shrink(features, spec.shape) for spec in self.specs)

    def hard_latents(self, rows: Tensor, quantizer: MultiScaleQuantizer) -> Tensor:
        """Tokens `(J, N)` -> their codes as latents `(J, D, H, W)`."""
        return quantizer.decode(quantizer.lookup(self.split(rows)))

    def soft_latents(self, logits: Tensor, quantizer: MultiScaleQuantizer) -> Tensor:
        """Logits `(J, N, V)` of tokens -> the averages of their codes as latents `(J, D, H, W)`."""
        shares = self.split(logits.float().softmax(-1))
        return quantizer.decode(tuple(p @ q.codebook for p, q in zip(shares, quantizer.scales, strict=True)))
