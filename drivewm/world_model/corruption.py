"""The forward process of discrete diffusion: absorb most tokens into the mask, replace some of the others by noise."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from drivewm.structures import TokenSpec
from drivewm.world_model.schedule import mask_count


def corrupt(
    indices: Tensor, spec: TokenSpec, u: Tensor, noise: Tensor, eta: float, uniform: Callable[[int], Tensor]
) -> Tensor:
    """Copilot4D's corruption (Zhang et al., 2024, algorithm 1), for each frame by itself.

    Args:
        indices: `(F, *spec.shape)` int64 clean tokens of F frames.
        spec: their meaning.
        u: `(F,)` in [0, 1): `ceil(cos(u pi / 2) N)` tokens of the frame are masked.
        noise: `(F,)` in [0, 1): the share `noise * eta` of those left becomes random codes.
        eta: largest share of random codes.
        uniform: draws `(F, N)` numbers in [0, 1) when told N.

    Returns:
        `(F, *spec.shape)` corrupted tokens.
    """
    flat = indices.flatten(1)
    number = flat.shape[1]
    masked = mask_count(u, number)
    replaced = torch.round((number - masked) * noise.double() * eta).long()
    # A random order of the tokens: the first become masks, the next ones noise.
    order = uniform(number).argsort(1).argsort(1)
    random_codes = (uniform(number).double() * spec.vocab_size).long()
    noisy = torch.where(order < (masked + replaced)[:, None], random_codes, flat)
    return torch.where(order < masked[:, None], spec.mask_id, noisy).view_as(indices)
