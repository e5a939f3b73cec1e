"""How a codebook is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor


def perplexity(counts: Tensor) -> Tensor:
    """exp of the entropy of the codes' use `(V,)`: between 1 (one code) and V (all equally)."""
    share = counts.double() / counts.sum()
    return torch.exp(-torch.xlogy(share, share).sum())


def code_figures(used: Sequence[Mapping[str, np.ndarray]]) -> dict[str, float]:
    """`perplexity/GRID` and `unused_codes/GRID`, from how often each sample uses each code `(V,)` of token grids."""
    figures: dict[str, float] = {}
    for name in used[0]:
        total = torch.from_numpy(np.sum([sample[name] for sample in used], axis=0))
        figures |= {f"perplexity/{name}": float(perplexity(total)), f"unused_codes/{name}": int((total == 0).sum())}
    return figures
