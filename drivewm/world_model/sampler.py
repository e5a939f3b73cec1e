"""Samplers of discrete diffusion: pure functions of a `tokens_to_logits` callable, which never see the network."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from drivewm.structures import TokenSpec
from drivewm.world_model.schedule import keep_count

METHODS = ("copilot4d", "maskgit")


def sample(
    tokens_to_logits: Callable[[dict[str, Tensor]], dict[str, Tensor]],
    specs: dict[str, TokenSpec],
    batch: int,
    steps: int,
    generator: torch.Generator,
    temperature: float = 1.0,
    method: str = "copilot4d",
) -> dict[str, Tensor]:
    """Draw one frame of tokens of one or more streams together, starting from all masks.

    In each step k = K - 1 ... 0 all tokens are drawn anew; of the N of each stream the `ceil(cos(k pi / 2K) N)` with
    the best score `log p + Gumbel * k / K` are kept, tokens that were already unmasked always; the others return to the
    mask. Streams see each other's tokens as they come.

    "copilot4d" (Zhang et al., 2024, algorithm 2) keeps the freshly drawn values, so that earlier choices are revised;
    "maskgit" (Chang et al., 2022) leaves tokens as they were when first kept.

    Args:
        tokens_to_logits: of each stream `(B, N)` int64 with masks -> logits `(B, N, V)`, N = `spec.num_tokens`.
        specs: shape and vocabulary of the streams to draw, by name.
        batch: B.
        steps: K.
        generator: source of all randomness, on the device of the logits.
        temperature: divides the logits; 0 takes the most likely token.

    Returns:
        of each stream `(B, *spec.shape)` int64 without masks.
    """
    if method not in METHODS:
        raise ValueError(f"sampling method {method!r} is not one of {', '.join(METHODS)}")
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    device = generator.device
    tokens = {
        name: torch.full((batch, spec.num_tokens), spec.mask_id, dtype=torch.int64, device=device)
        for name, spec in specs.items()
    }
    for k in reversed(range(steps)):
        logits = tokens_to_logits(tokens)
        tokens = {
            name: _step(tokens[name], logits[name], spec, k, steps, generator, temperature, method)
            for name, spec in specs.items()
        }
    return {name: tokens[name].view(batch, *spec.shape) for name, spec in specs.items()}


def guide(conditional: Tensor, unconditional: Tensor, weight: float) -> Tensor:
    """Classifier-free guidance of logits, `c + w (c - u)` (Ho and Salimans, 2022); w = 0 gives c."""
    return conditional + weight * (conditional - unconditional)


def unsmoothed(logits: Tensor, smoothing: float) -> Tensor:
    """Logits of what a network has learned that was trained with label smoothing.

    Its targets were `(1 - e) p + e / V` (Szegedy et al., 2016, section 7), so that a share e of all tokens drawn from
    it would be any code whatever. That share is taken off again; what is left of a code is at least a hundredth of it.
    """
    floor = smoothing / logits.shape[-1]
    return (logits.float().softmax(-1) - floor).clamp_min(1e-2 * floor).log() if smoothing else logits


def _step(
    tokens: Tensor,
    logits: Tensor,
    spec: TokenSpec,
    k: int,
    steps: int,
    generator: torch.Generator,
    temperature: float,
    method: str,
) -> Tensor:
    """Tokens `(B, N)` of one stream after step k."""
    drawn, log_p = _draw(logits, temperature, generator)
    known = tokens != spec.mask_id
    score = log_p + _gumbel(log_p.shape, generator) * k / steps
    score = score.masked_fill(known, torch.inf)
    kept = score.argsort(dim=1, descending=True, stable=True).argsort(1) < keep_count(k, steps, spec.num_tokens)
    if method == "maskgit":
        drawn = torch.where(known, tokens, drawn)
    return torch.where(kept, drawn, spec.mask_id)


def _draw(logits: Tensor, temperature: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A token of each position, and its log-probability at temperature 1."""
    log_p = logits.float().log_softmax(-1)
    noise = _gumbel(log_p.shape, generator)
    drawn = (log_p + temperature * noise).argmax(-1)  # the Gumbel-max trick, scaled by the temperature
    return drawn, log_p.gather(-1, drawn[..., None])[..., 0]


def _gumbel(shape: torch.Size, generator: torch.Generator) -> Tensor:
    uniform = torch.rand(shape, generator=generator, device=generator.device)
    return -torch.log(-torch.log(uniform.clamp(1e-20, 1 - 1e-7)))
