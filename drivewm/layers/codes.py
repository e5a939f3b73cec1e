"""Embedding and predicting the codes of a codebook, knowing which codes are alike."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class CodeTable(nn.Module):
    """Tokens to features and features to logits, by way of the tokenizer's code vectors.

    Codes that the tokenizer places close together stand for similar content; starting from its vectors, what is learned
    about one code carries over to its neighbours. A free vector of each code is added on both sides.

    Args:
        vocab_size: V.
        code_dim: length of a code vector.
        dim: C.
    """

    def __init__(self, vocab_size: int, code_dim: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("codes", torch.zeros(vocab_size + 1, code_dim))  # the mask's code is zero
        self.project = nn.Linear(code_dim, dim)
        self.own = nn.Parameter(torch.randn(vocab_size + 1, dim) * 0.02)

    def adopt(self, codebook: Tensor) -> None:
        """Take over a codebook `(V, code_dim)`, each dimension brought to mean 0 and variance 1."""
        self.codes[:-1] = standardize(codebook, codebook)

    def vectors(self) -> Tensor:
        """`(V + 1, C)`, the mask last."""
        return self.project(self.codes) + self.own

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `(...)` in 0..V -> features `(..., C)`."""
        return F.embedding(tokens, self.vectors())


def standardize(vectors: Tensor, codebook: Tensor) -> Tensor:
    """Vectors `(..., code_dim)` in units in which each dimension of the codebook has mean 0 and variance 1."""
    return (vectors - codebook.mean(0)) / codebook.std(0).clamp_min(1e-6)


class CodeHead(nn.Module):
    """Features `(..., C)` -> logits `(..., V)`: how well each code's vector fits. Arguments as in `CodeTable`."""

    def __init__(self, vocab_size: int, code_dim: int, dim: int) -> None:
        super().__init__()
        self.table = CodeTable(vocab_size, code_dim, dim)
        self.bias = nn.Parameter(torch.zeros(vocab_size))

    def forward(self, x: Tensor) -> Tensor:
        """`(..., C)` -> `(..., V)`."""
        return F.linear(x, self.table.vectors()[:-1] * x.shape[-1] ** -0.5, self.bias)
