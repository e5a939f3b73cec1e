"""Embedding and predicting the codes of a codebook, knowing which codes are alike."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class CodeTable(nn.Module):
    """Tokens to features and features to logits, by way of the tokenizer's code vectors.

    Codes that the tokenizer places close together stand for similar content; by its vectors, what is learned about one
    code carries over to its neighbours. Reading and predicting share the vectors, so that what is already known needs
    only be passed through. A free vector of each code is added to the tokenizer's.

    Args:
        vocab_size: V.
        code_dim: length of a code vector.
        dim: C.
    """

    def __init__(self, vocab_size: int, code_dim: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("codes", torch.zeros(vocab_size + 1, code_dim))  # the mask's code is zero
        self.register_buffer("mean", torch.zeros(code_dim))
        self.register_buffer("scale", torch.ones(code_dim))
        self.project = nn.Linear(code_dim, dim)
        self.own = nn.Parameter(torch.randn(vocab_size + 1, dim) * 0.02)
        self.bias = nn.Parameter(torch.zeros(vocab_size))

    def adopt(self, codebook: Tensor) -> None:
        """Take over a codebook `(V, code_dim)`, each dimension brought to mean 0 and variance 1."""
        self.mean.copy_(codebook.mean(0))
        self.scale.copy_(codebook.std(0).clamp_min(1e-6))
        self.codes[:-1] = (codebook - self.mean) / self.scale

    def look(self, latents: Tensor) -> Tensor:
        """Latents `(..., code_dim)` from the tokenizer -> features `(..., C)`, like those of their nearest code."""
        return self.project((latents - self.mean) / self.scale)

    def logits(self, features: Tensor) -> Tensor:
        """Features `(..., C)` -> `(..., V)`: how well the vector of each code fits."""
        return F.linear(features, self.vectors()[:-1] * features.shape[-1] ** -0.5, self.bias)

    def vectors(self) -> Tensor:
        """`(V + 1, C)`, the mask last."""
        return self.project(self.codes) + self.own

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `(...)` in 0..V -> features `(..., C)`."""
        return F.embedding(tokens, self.vectors())
