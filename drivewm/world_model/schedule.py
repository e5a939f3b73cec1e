"""How many tokens are masked while training and kept while sampling: the cosine of MaskGIT (Chang et al., 2022)."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def mask_count(u: Tensor, num_tokens: int) -> Tensor:
    """Tokens to mask, `ceil(cos(u pi / 2) N)` for u in [0, 1): many for small u. Same shape as `u`, int64."""
    # The small shift keeps rounding noise from adding a token where the product is whole.
    return torch.ceil(torch.cos(u.double() * math.pi / 2) * num_tokens - 1e-9).long()


def keep_count(k: int, steps: int, num_tokens: int) -> int:
    """Tokens kept after denoising step k = K - 1 ... 0 of K, `ceil(cos(k pi / 2K) N)`; all of them at k = 0."""
    return math.ceil(math.cos(k * math.pi / (2 * steps)) * num_tokens - 1e-9)
