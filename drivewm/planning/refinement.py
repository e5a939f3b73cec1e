"""Better plans by asking what they would be worth: pure functions of a score, which never see the world model.

A score is a callable from controls `(B, K, CONTROLS)` to `(B, K)`, higher is better. Each call of it on K plans counts
K forwards, one that is differentiated three times as many.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from drivewm.planning.profile import ACCELERATION_MPS2, CONTROLS, KNOTS, between_knots

Score = Callable[[Tensor], Tensor]
_SPREAD, _FLOOR = (1.5, 0.4), (0.3, 0.1)  # of accelerations [m/s^2] and of the sideways offset [m]
_MAX_OFFSET_M = 1.5
_BACKWARD = 3


@dataclass
class Refined:
    """The best plan found.

    Attributes:
        controls: `(B, CONTROLS)`.
        score: `(B,)` what it is said to be worth.
        forwards: plans that were scored for each ego; a differentiated one counts three.
    """

    controls: Tensor
    score: Tensor
    forwards: int


def cross_entropy_method(
    score: Score,
    start: Refined,
    generators: Sequence[torch.Generator],
    iterations: int = 3,
    samples: int = 32,
    elites: int = 6,
    may_go_on: Callable[[], bool] = lambda: True,
) -> Refined:
    """CEM: draw plans around the best ones, again and again (Rubinstein, 1999; as in Chua et al., PETS, 2018).

    Accelerations are drawn at knots, so that plans are smooth. Elites of earlier rounds stay in the running (Pinneri et
    al., iCEM, 2020), and the spread never falls below a floor: no round repeats the last.

    Args:
        score: of plans.
        start: where to begin; the result is never worse.
        generators: sources of all randomness, one an ego, on the device of the controls.
        iterations, samples, elites: rounds, plans drawn in each, and how many of the best the next is drawn around.
        may_go_on: asked before each round; false ends the search with the best plan so far.
    """
    spread = _per_control(*_SPREAD, start.controls)
    floor = _per_control(*_FLOOR, start.controls)
    mean, best, kept = start.controls, start, None
    for _ in range(iterations):
        if not may_go_on():
            break
        drawn = _within_bounds(mean[:, None] + spread * _smooth_noise(samples, generators))
        with torch.no_grad():
            values = score(drawn)
        best = _better(best, _best(drawn, values, best.forwards + samples))
        plans = drawn if kept is None else torch.cat([kept[0], drawn], dim=1)
        values = values if kept is None else torch.cat([kept[1], values], dim=1)
        top = values.topk(elites, dim=1)
        kept = plans.gather(1, top.indices[..., None].expand(-1, -1, CONTROLS)), top.values
        mean = kept[0].mean(1)
        spread = torch.maximum(kept[0].std(1, keepdim=True), floor)
    return best


def gradient_ascent(
    score: Score,
    start: Refined,
    steps: int = 4,
    rate: float = 0.5,
    may_go_on: Callable[[], bool] = lambda: True,
) -> Refined:
    """Follow the gradient of the score through the world model, in steps that do not depend on how steep it is.

    Args:
        score: of plans, differentiable in the controls.
        start: where to begin; the result is never worse.
        steps: of Adam.
        rate: largest change of an acceleration in a step [m/s^2]; offsets change a fifth as fast.
        may_go_on: asked before each step; false ends the search with the best plan so far.
    """
    pace = rate * _per_control(1.0, 0.2, start.controls)
    best, change = start, torch.zeros_like(start.controls).requires_grad_()
    optimizer = torch.optim.Adam([change], lr=1.0, betas=(0.5, 0.9))

    def changed(by: Tensor) -> Tensor:
        return _within_bounds(start.controls + (pace * by[:, None])[:, 0])

    for _ in range(steps):
        if not may_go_on():
            break
        with torch.enable_grad():
            controls = changed(change)
            value = score(controls[:, None])[:, 0]
            (change.grad,) = torch.autograd.grad(-value.clamp_min(1e-6).log().sum(), change)
        change.grad = change.grad.nan_to_num(0.0, 0.0, 0.0)
        found = Refined(controls.detach(), value.detach(), best.forwards + _BACKWARD)
        best = _better(best, found)
        optimizer.step()
    if steps and may_go_on():  # where the last step led
        controls = changed(change.detach())
        with torch.no_grad():
            best = _better(best, Refined(controls, score(controls[:, None])[:, 0], best.forwards + 1))
    return best


def _best(candidates: Tensor, values: Tensor, forwards: int) -> Refined:
    top = values.max(1)
    rows = torch.arange(len(values), device=values.device)
    return Refined(candidates[rows, top.indices], top.values, forwards)


def _better(old: Refined, new: Refined) -> Refined:
    gain = new.score > old.score
    return Refined(
        torch.where(gain[:, None], new.controls, old.controls), torch.where(gain, new.score, old.score), new.forwards
    )


def _within_bounds(controls: Tensor) -> Tensor:
    acceleration, offset = controls[..., :-1], controls[..., -1:]
    return torch.cat([acceleration.clamp(*ACCELERATION_MPS2), offset.clamp(-_MAX_OFFSET_M, _MAX_OFFSET_M)], dim=-1)


def _per_control(acceleration: float, offset: float, like: Tensor) -> Tensor:
    """`(1, 1, CONTROLS)`."""
    return F.pad(like.new_full((1, 1, CONTROLS - 1), acceleration), (0, 1), value=offset)


def _smooth_noise(samples: int, generators: Sequence[torch.Generator]) -> Tensor:
    """`(B, samples, CONTROLS)`: accelerations drawn at knots and joined by lines, the offset drawn once."""
    drawn = torch.stack([torch.randn(samples, KNOTS + 1, generator=g, device=g.device) for g in generators])
    return torch.cat([between_knots(drawn[..., :-1]), drawn[..., -1:]], dim=-1)
