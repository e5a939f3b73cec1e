"""Embedding and predicting the codes of a codebook, knowing which codes are alike."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_TINY = 1e-6


class CodeTable(nn.Module):
    """Tokens to features, by way of the tokenizer's code vectors.

    Codes that the tokenizer places close together stand for similar content; by its vectors, what is learned about one
    code carries over to its neighbours. A free vector of each code is added to the tokenizer's.

    Args:
        vocab_size: V.
        code_dim: length of a code vector.
        dim: C.
    """

    def __init__(self, vocab_size: int, code_dim: int, dim: int) -> None:
        super().__init__()
        self.mask_id = vocab_size
        self.register_buffer("codes", torch.zeros(vocab_size + 1, code_dim))  # the mask's code is zero
        self.register_buffer("mean", torch.zeros(code_dim))
        self.register_buffer("scale", torch.ones(code_dim))
        self.project = nn.Linear(code_dim, dim)
        self.own = nn.Parameter(torch.randn(vocab_size + 1, dim) * 0.02)

    def adopt(self, codebook: Tensor) -> None:
        """Take over a codebook `(V, code_dim)`, each dimension brought to mean 0 and variance 1."""
        self.mean.copy_(codebook.mean(0))
        self.scale.copy_(codebook.std(0).clamp_min(1e-6))
        self.codes[:-1] = self.standardize(codebook)

    def look(self, latents: Tensor) -> Tensor:
        """Standardized latents `(..., code_dim)` -> features `(..., C)`, like those of their nearest code."""
        return self.project(latents)

    def standardize(self, latents: Tensor) -> Tensor:
        """The tokenizer's latents `(..., code_dim)` in the units of `codes`."""
        return (latents - self.mean) / self.scale

    def vectors(self) -> Tensor:
        """`(V + 1, C)`, the mask last."""
        return self.project(self.codes) + self.own

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `(...)` in 0..V -> features `(..., C)`."""
        return F.embedding(tokens, self.vectors())


class CodePredictor(CodeTable):
    """A table that also turns features into logits of the codes; tokens look the same as what predicts them.

    Arguments as for `CodeTable`.
    """

    def __init__(self, vocab_size: int, code_dim: int, dim: int) -> None:
        super().__init__(vocab_size, code_dim, dim)
        self.correct = nn.Linear(dim, code_dim)
        self.tail = nn.Linear(dim, 2)
        self.bias = nn.Parameter(torch.zeros(vocab_size))
        for layer in (self.correct, self.tail):  # at first the guess stands
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.tail.bias.data.copy_(torch.tensor([1.85, -2.25]))  # about 2 and 0.1 after softplus

    def logits(self, features: Tensor, guess: Tensor) -> Tensor:
        """Logits `(..., V)`: how near each code is to a place in the tokenizer's space, and how well it fits by itself.

        That place is the guess, standardized latents `(..., code_dim)`, corrected by the features `(..., C)`. Nearness
        falls off as in Student's t distribution, whose exponent and width the features give as well: a guess may be
        sharp and yet leave all other codes possible.
        """
        with torch.autocast(features.device.type, enabled=False):
            features = features.float()
            place, codes = guess + self.correct(features), self.codes[:-1]
            exponent, width = F.softplus(self.tail(features)).split(1, dim=-1)
            # width + |place - code|^2 as one product: logits are the largest tensors of all.
            left = torch.cat([place, width + place.square().sum(-1, keepdim=True), torch.ones_like(width)], dim=-1)
            right = torch.cat([-2 * codes, torch.ones_like(codes[:, :1]), codes.square().sum(1, keepdim=True)], dim=-1)
            spread = (left @ right.T).clamp_min(_TINY)
            return torch.addcmul(F.linear(features, self.own[:-1], self.bias), spread.log(), -exponent)
