"""Discrete tokens: what a tokenizer hands to the world model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class TokenSpec:
    """What the tokens of one stream look like.

    Attributes:
        modality: "occupancy", "lidar" or "camera".
        shape: tokens per frame along each axis; bird's-eye-view streams use (x, y), cameras (view, row, column).
        vocab_size: number of codes. Indices run from 0 to vocab_size - 1.
    """

    modality: str
    shape: tuple[int, ...]
    vocab_size: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        if self.vocab_size < 1 or not self.shape or min(self.shape) < 1:
            raise ValueError(f"TokenSpec needs a positive shape and vocab_size, got {self.shape} and {self.vocab_size}")

    @property
    def mask_id(self) -> int:
        """The index that stands for "not known yet": one past the last code."""
        return self.vocab_size

    @property
    def num_tokens(self) -> int:
        """Tokens per frame."""
        return int(torch.Size(self.shape).numel())


@dataclass
class TokenGrid:
    """Tokens of T frames.

    Attributes:
        indices: `(B, T, *spec.shape)` int64 in 0..mask_id.
        spec: their meaning.

    Raises:
        ValueError: if the shape, the type or the range of the indices is not what the spec says.
    """

    indices: Tensor
    spec: TokenSpec

    def __post_init__(self) -> None:
        if self.indices.dtype != torch.int64:
            raise ValueError(f"TokenGrid.indices must be int64, got {self.indices.dtype}")
        if tuple(self.indices.shape[2:]) != self.spec.shape or self.indices.ndim != 2 + len(self.spec.shape):
            raise ValueError(
                f"TokenGrid.indices have shape {tuple(self.indices.shape)}, expected (B, T, *{self.spec.shape})"
            )
        if self.indices.numel():
            low, high = self.indices.min().item(), self.indices.max().item()
            if low < 0 or high > self.spec.mask_id:
                raise ValueError(
                    f"TokenGrid.indices reach from {low} to {high}, allowed are 0 to {self.spec.mask_id} (mask)"
                )

    def map(self, function: Callable[[Tensor], Tensor]) -> TokenGrid:
        """The same with other indices: those that a function of them gives."""
        return TokenGrid(function(self.indices), self.spec)

    @classmethod
    def cat(cls, grids: Sequence[TokenGrid]) -> TokenGrid:
        """One batch. ValueError if the specs differ."""
        specs = {grid.spec for grid in grids}
        if len(specs) != 1:
            raise ValueError(f"tokens of one batch must agree in their spec, got {specs}")
        return cls(torch.cat([grid.indices for grid in grids]), grids[0].spec)
