"""Codes of scalar quantities: positions, times, motions."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def fourier_features(values: Tensor, bands: int, largest: float) -> Tensor:
    """Sines and cosines of values at geometrically spaced wavelengths from `4 * largest` downwards.

    Args:
        values: `(..., K)`.
        bands: wavelengths per value; each is half of the one before.
        largest: magnitude that the values reach.

    Returns:
        `(..., 2 * K * bands)`.
    """
    frequency = 2.0 ** torch.arange(bands, device=values.device) * (math.pi / (2 * largest))
    phase = (values[..., None] * frequency).flatten(-2)
    return torch.cat([phase.sin(), phase.cos()], dim=-1)
