"""How a codebook is used."""

from __future__ import annotations

import torch
from torch import Tensor


def perplexity(counts: Tensor) -> Tensor:
    """exp of the entropy of the codes' use `(V,)`: between 1 (one code) and V (all equally)."""
    share = counts.double() / counts.sum()
    return torch.exp(-torch.xlogy(share, share).sum())
