"""Finite scalar quantization (Mentzer et al., 2024): each dimension of a code is rounded to one of a few levels."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drivewm.tokenizers.quantizer import Quantized


class FiniteScalarQuantizer(nn.Module):
    """A codebook that is a lattice and needs no learning: no code can die.

    Same interface as `VectorQuantizer`. Vectors are squashed by a tanh, so that all of space belongs to the lattice.

    Args:
        levels: number of levels of each dimension, at least 2; their product is the size of the vocabulary.
    """

    def __init__(self, levels: tuple[int, ...] = (8, 5, 5, 5)) -> None:
        super().__init__()
        if not levels or min(levels) < 2:
            raise ValueError(f"levels must be at least 2 in each dimension, got {tuple(levels)}")
        self.levels, self.dim, self.vocab_size = tuple(levels), len(levels), math.prod(levels)
        axes = [torch.linspace(-1, 1, n) for n in levels]
        lattice = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, self.dim)
        self.register_buffer("codebook", lattice, persistent=False)

    def nearest(self, vectors: Tensor) -> Tensor:
        """Index `(...)` int64 of the lattice point that each vector `(..., D)` is rounded to."""
        index = torch.zeros(vectors.shape[:-1], dtype=torch.int64, device=vectors.device)
        for digit, n in zip(self._digits(self.to_code_space(vectors)).unbind(-1), self.levels, strict=True):
            index = index * n + digit.long()
        return index

    def lookup(self, indices: Tensor) -> Tensor:
        """Codes `(..., D)` of indices `(...)`."""
        return F.embedding(indices, self.codebook)

    def forward(self, vectors: Tensor, generator: torch.Generator | None = None) -> Quantized:
        """Quantize `(..., D)`; gradients pass straight through the rounding. There is nothing to commit to."""
        bounded = self.to_code_space(vectors)
        indices = self.nearest(vectors)
        codes = bounded + (self.lookup(indices) - bounded).detach()
        return Quantized(codes, indices, vectors.new_zeros(()))

    def to_code_space(self, vectors: Tensor) -> Tensor:
        """Vectors where the codes are, in (-1, 1)."""
        return torch.tanh(vectors.float())

    def _digits(self, bounded: Tensor) -> Tensor:
        """Level 0 .. n - 1 of each dimension of vectors in (-1, 1)."""
        most = torch.tensor(self.levels, device=bounded.device) - 1
        return torch.round((bounded + 1) / 2 * most)
