"""The training objective of the world model: corrupt a future frame, remember its past, predict every clean token."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from drivewm.layers.draws import rows_of_global_batch
from drivewm.structures import SceneClip
from drivewm.world_model.corruption import corrupt
from drivewm.world_model.denoiser import Motion
from drivewm.world_model.memory import Memory
from drivewm.world_model.rollout import with_own_history
from drivewm.world_model.sampler import unsmoothed
from drivewm.world_model.tasks import Tasks, Uniform, draw_tasks, motion_of, sources_of
from drivewm.world_model.viewpoints import Viewpoints, draw_viewpoints, seen_from

if TYPE_CHECKING:
    from drivewm.world_model.model import WorldModel

# A corrupted past stays mostly readable: u in [0.5, 1) masks at most 71% of it.
_PAST_MIN_U = 0.5


def world_model_losses(
    model: WorldModel, clip: SceneClip, generator: torch.Generator | None = None
) -> dict[str, Tensor]:
    """Token cross-entropy over the task mix, voxel losses of soft tokens, and the motion of what moves.

    Returns:
        "loss_tokens", "loss_decode", with a motion field "loss_motion", "loss_temperature" and, for the log,
        "token_accuracy".
    """
    device = clip.timestamp_us.device

    def uniform(*shape: int) -> Tensor:
        return rows_of_global_batch(lambda n: torch.rand(n, *shape, generator=generator, device=device), len(clip))

    losses = {}
    # One draw for all clips, and so the same one in all processes.
    if model.mix.own_history and torch.rand((), generator=generator, device=device) < model.mix.own_history:
        clip = with_own_history(model, clip)
    stream = model.stream
    motion_losses, displacement = stream.motion_losses(clip)
    losses |= {name: model.motion_weight * loss for name, loss in motion_losses.items()}
    tokens = stream.tokens(clip)
    tasks = draw_tasks(clip, model.horizon, model.targets_per_clip, model.mix, uniform)
    rows, future = _rows(tasks), tasks.target - clip.num_history
    views = draw_viewpoints(clip, tasks.target, model.mix.elsewhere, uniform)
    clip, tokens = _seen_from(model, clip, tokens, tasks, views)
    seen = stream.see(
        clip.history(), displacement, clip.future_poses()[rows, future], clip.future_times_s()[rows, future]
    )
    memory = _remember(model, clip, tokens, tasks, displacement, seen, uniform)
    motion = _motion(clip, rows, tasks.target, views.told)
    clean = tokens[rows, tasks.target].flatten(0, 1)
    u, noise = uniform(2, tasks.target.shape[1]).transpose(0, 1).flatten(1)
    u = u.masked_fill(tasks.from_masks.flatten(), 0.0)
    noisy = corrupt(clean, model.spec, u, noise, model.mix.eta, _per_frame(uniform, tasks.target.shape[1]))
    logits = model.denoiser(noisy, memory, motion).float()
    tokens_loss = F.cross_entropy(logits.flatten(0, 1), clean.flatten(), label_smoothing=model.label_smoothing)
    losses["loss_tokens"] = tokens_loss
    first = logits.unflatten(0, tasks.target.shape)[:, 0]
    decode_losses = stream.losses(first, seen[:, 0], clip, tasks.target[:, 0], tasks.forecast, generator)
    losses |= {name: model.decode_weight * loss for name, loss in decode_losses.items()}
    losses["token_accuracy"] = (logits.argmax(-1) == clean).float().mean()
    return losses


def _seen_from(
    model: WorldModel, clip: SceneClip, tokens: Tensor, tasks: Tasks, views: Viewpoints
) -> tuple[SceneClip, Tensor]:
    """The clip and its tokens, with the targets as they look from where they are to be seen."""
    chosen = views.elsewhere.nonzero()[:, 0]
    if len(chosen) == 0:
        return clip, tokens
    target = tasks.target[chosen]
    moved = seen_from(clip.select(chosen), target, views.T_t0_ego[chosen])
    rows, occupancy = torch.arange(len(chosen), device=target.device)[:, None], clip.occupancy.clone()
    occupancy[chosen], tokens = moved.occupancy, tokens.clone()
    poses = clip.T_global_ego.clone()
    poses[chosen] = moved.T_global_ego
    # Not remembered: no such frame will come again.
    tokens[chosen[:, None], target] = model.stream.encode(moved.occupancy[rows, target])
    return replace(clip, occupancy=occupancy, T_global_ego=poses), tokens


def _rows(tasks: Tasks) -> Tensor:
    return torch.arange(len(tasks.target), device=tasks.target.device)[:, None]


def _per_frame(uniform: Uniform, frames: int) -> Uniform:
    """Draws for `frames` frames of each clip, `(B * frames, N)` when told N."""
    return lambda number: uniform(frames, number).flatten(0, 1)


def _remember(
    model: WorldModel,
    clip: SceneClip,
    tokens: Tensor,
    tasks: Tasks,
    displacement: Tensor | None,
    seen: Any,
    uniform: Uniform,
) -> Memory:
    """What the B * J targets may look at: the observed frames, perhaps the one just before."""
    batch, targets = tasks.target.shape
    rows, device, observed = _rows(tasks), tokens.device, clip.num_history
    recent = _self_generated(model, clip, tokens, tasks, displacement, uniform)
    past = torch.cat([tokens[:, :observed], recent], dim=1)
    number = past.shape[1]
    u, noise = uniform(2, number).transpose(0, 1).flatten(1)
    u = _PAST_MIN_U + (1 - _PAST_MIN_U) * u
    noisy = corrupt(past.flatten(0, 1), model.spec, u, noise, model.mix.eta, _per_frame(uniform, number))
    past = torch.where(tasks.noisy_past[:, None, None], noisy.view_as(past), past)

    # Target j remembers the observed frames and its own recent one, which stands behind them.
    slot_observed = torch.arange(observed, device=device).expand(batch, targets, -1)
    slot_recent = observed + torch.arange(targets, device=device).expand(batch, -1)[..., None]
    features = model.denoiser.memory.encode(past)[rows[..., None], torch.cat([slot_observed, slot_recent], dim=2)]
    frame = torch.cat([slot_observed, tasks.target[..., None] - 1], dim=2)
    known = torch.cat([torch.ones_like(slot_observed, dtype=torch.bool), tasks.has_recent[..., None]], dim=2)
    known = known & ~tasks.alone[:, None, None]
    # The view is clean: a corrupted past is only a task without it.
    view, covered = model.stream.view(seen.flatten(0, 1))
    covered = covered * tasks.forecast.repeat_interleave(targets)[:, None, None]
    sources = sources_of(clip.T_global_ego, clip.times_s(), tasks.target, frame, known, view, covered)
    return model.denoiser.memory.gather(features.flatten(0, 1), sources)


def _motion(clip: SceneClip, rows: Tensor, target: Tensor, told: Tensor | None = None) -> Motion:
    future = target - clip.num_history
    T_t0_ego = clip.future_poses()[rows, future].reshape(-1, 4, 4)
    return motion_of(T_t0_ego, clip.future_times_s()[rows, future].flatten(), None if told is None else told.flatten())


@torch.no_grad()
def _self_generated(
    model: WorldModel, clip: SceneClip, tokens: Tensor, tasks: Tasks, displacement: Tensor | None, uniform: Uniform
) -> Tensor:
    """The frames before the targets `(B, J, N)`, some replaced by the model's own draws: that is what it will see.

    Drawn in one step from all masks, given the observed frames.
    """
    recent = tokens[_rows(tasks), tasks.target - 1].clone()
    chosen = (uniform(tasks.target.shape[1]) < model.mix.self_generated) & tasks.has_recent
    draws = uniform(tasks.target.shape[1], recent.shape[-1])
    clips, slots = chosen.nonzero(as_tuple=True)
    if len(clips) == 0:
        return recent
    frame = tasks.target[clips, slots] - 1
    future = frame - clip.num_history
    observed = torch.arange(clip.num_history, device=tokens.device).expand(len(clips), 1, -1)
    features = model.denoiser.memory.encode(tokens[clips, : clip.num_history])
    seen = model.stream.see(
        clip.history().select(clips),
        None if displacement is None else displacement[clips],
        clip.future_poses()[clips, future][:, None],
        clip.future_times_s()[clips, future][:, None],
    )
    poses, times = clip.T_global_ego[clips], clip.times_s()[clips]
    known = torch.ones_like(observed, dtype=torch.bool)
    sources = sources_of(poses, times, frame[:, None], observed, known, *model.stream.view(seen[:, 0]))
    memory = model.denoiser.memory.gather(features, sources)
    logits = model.denoiser(model.all_masks(len(clips)), memory, _motion(clip, clips, frame))
    # Inverse transform sampling: one number a token.
    below = unsmoothed(logits, model.label_smoothing).softmax(-1).cumsum(-1) < draws[clips, slots][..., None]
    recent[clips, slots] = below.sum(-1).clamp_max(model.spec.vocab_size - 1)
    return recent
