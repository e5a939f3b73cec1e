"""The training objective of the world model: corrupt a future frame, remember its past, predict every clean token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from drivewm.structures import SceneClip
from drivewm.world_model.baselines import warp_history
from drivewm.world_model.corruption import corrupt
from drivewm.world_model.denoiser import Motion
from drivewm.world_model.memory import Memory
from drivewm.world_model.tasks import Tasks, draw_tasks, motion_of, sources_of

if TYPE_CHECKING:
    from drivewm.world_model.model import WorldModel

# Forecasts start from nothing but masks. The corruption draws that only in its limit u = 0: train it this often.
_ALL_MASKED = 0.5
# A corrupted past stays mostly readable: u in [0.5, 1) masks at most 71% of it.
_PAST_MIN_U = 0.5


def world_model_losses(
    model: WorldModel, clip: SceneClip, generator: torch.Generator | None = None
) -> dict[str, Tensor]:
    """Token cross-entropy over the task mix, and voxel losses of soft tokens.

    Returns:
        "loss_tokens", "loss_decode" and, for the log, "token_accuracy".
    """
    tokens = model.encode(clip)
    device = tokens.device
    tasks = draw_tasks(clip, model.horizon, model.targets_per_clip, model.mix, generator)
    seen = warp_history(clip.history(), clip.future_poses()[_rows(tasks), tasks.target - clip.num_history])
    memory, motion = _condition(model, clip, tokens, tasks, seen, generator)
    clean = tokens[_rows(tasks), tasks.target].flatten(0, 1)
    u, noise, start = torch.rand(3, len(clean), generator=generator, device=device)
    u = u.masked_fill(start < _ALL_MASKED, 0.0)
    noisy = corrupt(clean, model.spec, u, noise, model.mix.eta, generator)
    logits = model.denoiser(noisy.flatten(1), memory, motion).float()
    tokens_loss = F.cross_entropy(logits.flatten(0, 1), clean.flatten(), label_smoothing=model.label_smoothing)
    usable = (u == 0).view_as(tasks.target) & ~(tasks.alone | tasks.noisy_past)[:, None]
    return {
        "loss_tokens": tokens_loss,
        "loss_decode": model.decode_weight * _decode_loss(model, clip, tasks, logits, seen, usable),
        "token_accuracy": (logits.argmax(-1) == clean.flatten(1)).float().mean(),
    }


def _rows(tasks: Tasks) -> Tensor:
    return torch.arange(len(tasks.target), device=tasks.target.device)[:, None]


def _condition(
    model: WorldModel, clip: SceneClip, tokens: Tensor, tasks: Tasks, seen: Tensor, generator: torch.Generator | None
) -> tuple[Memory, Motion]:
    """What the B * J targets may look at: the observed frames, perhaps the one just before, and the motion."""
    batch, targets = tasks.target.shape
    rows, device, observed = _rows(tasks), tokens.device, clip.num_history
    recent = _self_generated(model, clip, tokens, tasks, generator)
    past = torch.cat([tokens[:, :observed], recent], dim=1)
    u, noise = torch.rand(2, past.shape[0] * past.shape[1], generator=generator, device=device)
    noisy = corrupt(
        past.flatten(0, 1), model.spec, _PAST_MIN_U + (1 - _PAST_MIN_U) * u, noise, model.mix.eta, generator
    )
    past = torch.where(tasks.noisy_past[:, None, None, None], noisy.view_as(past), past)

    # Target j remembers the observed frames and its own recent one, which stands behind them.
    slot_observed = torch.arange(observed, device=device).expand(batch, targets, -1)
    slot_recent = observed + torch.arange(targets, device=device).expand(batch, -1)[..., None]
    features = model.denoiser.memory.encode(past)[rows[..., None], torch.cat([slot_observed, slot_recent], dim=2)]
    frame = torch.cat([slot_observed, tasks.target[..., None] - 1], dim=2)
    known = torch.cat([torch.ones_like(slot_observed, dtype=torch.bool), tasks.has_recent[..., None]], dim=2)
    known = known & ~tasks.alone[:, None, None]
    # The view is clean: a corrupted past is only a task without it.
    view, covered = model.align(seen.flatten(0, 1))
    covered = covered * ~(tasks.alone | tasks.noisy_past).repeat_interleave(targets)[:, None, None]
    sources = sources_of(clip.T_global_ego, clip.times_s(), tasks.target, frame, known, view, covered)
    return model.denoiser.memory.gather(features.flatten(0, 1), sources), _motion(clip, rows, tasks.target)


def _motion(clip: SceneClip, rows: Tensor, target: Tensor) -> Motion:
    future = target - clip.num_history
    return motion_of(clip.future_poses()[rows, future].reshape(-1, 4, 4), clip.future_times_s()[rows, future].flatten())


@torch.no_grad()
def _self_generated(
    model: WorldModel, clip: SceneClip, tokens: Tensor, tasks: Tasks, generator: torch.Generator | None
) -> Tensor:
    """The frames before the targets `(B, J, H, W)`, some replaced by the model's own draws: that is what it will see.

    Drawn in one step from all masks, given the observed frames.
    """
    recent = tokens[_rows(tasks), tasks.target - 1].clone()
    chosen = torch.rand(tasks.target.shape, generator=generator, device=tokens.device) < model.mix.self_generated
    clips, slots = (chosen & tasks.has_recent).nonzero(as_tuple=True)
    if len(clips) == 0:
        return recent
    frame = tasks.target[clips, slots] - 1
    observed = torch.arange(clip.num_history, device=tokens.device).expand(len(clips), 1, -1)
    features = model.denoiser.memory.encode(tokens[clips, : clip.num_history])
    known = torch.ones_like(observed, dtype=torch.bool)
    history = clip.history().select(clips)
    seen = warp_history(history, clip.future_poses()[clips, frame - clip.num_history][:, None])[:, 0]
    poses, times = clip.T_global_ego[clips], clip.times_s()[clips]
    sources = sources_of(poses, times, frame[:, None], observed, known, *model.align(seen))
    memory = model.denoiser.memory.gather(features, sources)
    logits = model.denoiser(model.all_masks(len(clips)), memory, _motion(clip, clips, frame))
    drawn = torch.multinomial(logits.float().softmax(-1).flatten(0, 1), 1, generator=generator)
    recent[clips, slots] = drawn.view(-1, *model.spec.shape)
    return recent


def _decode_loss(
    model: WorldModel, clip: SceneClip, tasks: Tasks, logits: Tensor, seen: Tensor, usable: Tensor
) -> Tensor:
    """Voxel losses of the soft tokens of a few targets that were predicted from nothing but masks, as forecasts are."""
    chosen = usable.flatten().nonzero()[: model.decoded_targets, 0]
    if len(chosen) == 0:
        return logits.sum() * 0
    voxels = model.decode_soft(logits[chosen][:, None], seen.flatten(0, 1)[chosen][:, None])[:, 0]
    truth = clip.occupancy[_rows(tasks), tasks.target].flatten(0, 1)[chosen]
    return sum(model.tokenizer.voxel_losses(voxels, truth).values())
