"""The training objective of the world model: corrupt a future frame, remember its past, predict every clean token."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from drivewm.layers.draws import rows_of_global_batch
from drivewm.structures import SceneClip
from drivewm.world_model.beside import evidence_of, evidence_of_views, voxels_first
from drivewm.world_model.corruption import corrupt
from drivewm.world_model.denoiser import Motion
from drivewm.world_model.memory import Memory
from drivewm.world_model.observation import tokens_of
from drivewm.world_model.rollout import with_own_history
from drivewm.world_model.sampler import unsmoothed
from drivewm.world_model.tasks import (
    Tasks,
    Uniform,
    draw_from_masks,
    draw_present,
    draw_tasks,
    motion_of,
    sources_of,
)
from drivewm.world_model.viewpoints import Viewpoints, draw_viewpoints, seen_from

if TYPE_CHECKING:
    from drivewm.world_model.model import WorldModel

# A corrupted past stays mostly readable: u in [0.5, 1) masks at most 71% of it.
_PAST_MIN_U = 0.5


@dataclass
class _Past:
    """One stream in B clips, with J targets each: what it knows.

    Attributes:
        tokens: `(B, T, N)` of all frames, clean.
        present: `(B,)` bool, false where its history is withheld.
        displacement: see `Stream.displacement`.
        seen: `(B, J, ...)` what was observed, in the targets; see `Stream.see`.
        asked: is it to be predicted? Else what was observed of it is looked up.
    """

    tokens: Tensor
    present: Tensor
    displacement: Tensor | None
    seen: Any
    asked: bool


def world_model_losses(
    model: WorldModel, clip: SceneClip, generator: torch.Generator | None = None
) -> dict[str, Tensor]:
    """Token cross-entropy over the task mix, the losses of soft tokens' content, and the motion of what moves.

    Each stream's are means over its own tokens and frames, so that its size does not count, times its weight.

    Returns:
        "loss_tokens", those of `Stream.losses` and `Stream.motion_losses` and, for the log, "token_accuracy"; with
        several streams each behind the stream's name, as "lidar/loss_tokens".
    """
    device = clip.timestamp_us.device

    def uniform(*shape: int) -> Tensor:
        return rows_of_global_batch(lambda n: torch.rand(n, *shape, generator=generator, device=device), len(clip))

    losses: dict[str, dict[str, Tensor]] = {name: {} for name in model.streams}
    # One draw for all clips, and so the same one in all processes.
    if model.mix.own_history and torch.rand((), generator=generator, device=device) < model.mix.own_history:
        clip = with_own_history(model, clip)
    displacements = {}
    for name, stream in model.streams.items():
        motion_losses, displacements[name] = stream.motion_losses(clip)
        losses[name] |= {key: model.motion_weight * loss for key, loss in motion_losses.items()}
    tokens = {name: tokens_of(model, name, clip) for name in model.streams}
    tasks = draw_tasks(clip, model.horizon, model.targets_per_clip, model.mix, uniform)
    present, asked = (
        draw_present(tuple(model.streams), model.mix, tasks, uniform),
        _draw_asked(model, device, generator),
    )
    rows, future = _rows(tasks), tasks.target - clip.num_history
    views = draw_viewpoints(clip, tasks.target, model.mix.elsewhere, uniform)
    clip, tokens = _seen_from(model, clip, tokens, tasks, views)
    where, when = clip.future_poses()[rows, future], clip.future_times_s()[rows, future]
    pasts = {}
    for name, stream in model.streams.items():
        seen = stream.see(clip.history(), displacements[name], where, when)
        if len(model.streams) > 1:
            seen = stream.hide(seen, ~present[name])
        pasts[name] = _Past(tokens[name], present[name], displacements[name], seen, name in asked)
    memory = _remember(model, clip, pasts, tasks, uniform)
    motion = _motion(clip, rows, tasks.target, views.told)
    clean, noisy = {}, {}
    for name, from_masks in draw_from_masks(asked, tasks, uniform).items():
        clean[name] = tokens[name][rows, tasks.target].flatten(0, 1)
        u, noise = uniform(2, tasks.target.shape[1]).transpose(0, 1).flatten(1)
        u, spec = u.masked_fill(from_masks.flatten(), 0.0), model.streams[name].scales.row
        draws = _per_frame(uniform, tasks.target.shape[1])
        noisy[name] = corrupt(clean[name], spec, u, noise, model.mix.eta, draws)
    predicted = model.trunk(noisy, memory, motion)
    for name, logits in predicted.items():
        logits, truth, mask_id = logits.float(), clean[name], model.streams[name].scales.row.mask_id
        losses[name]["loss_tokens"] = _token_loss(logits, truth, mask_id, model)
        losses[name]["token_accuracy"] = (logits.argmax(-1) == truth)[truth != mask_id].float().mean()
    for name, decoded in _content_losses(model, clip, pasts, memory, predicted, tasks, generator).items():
        losses[name] |= {key: model.decode_weight * loss for key, loss in decoded.items()}
    if len(losses) == 1:
        return losses.popitem()[1]
    return {
        f"{name}/{key}": model.weights[name] * value if "loss" in key else value
        for name, own in losses.items()
        for key, value in own.items()
    }


def _draw_asked(model: WorldModel, device: torch.device, generator: torch.Generator | None) -> tuple[str, ...]:
    """The streams that the batch is to predict."""
    others = model.trunk.taking_part(model.streams, ())
    if others and len(others) < len(model.streams):
        # One draw for all clips, and so the same one in all processes.
        if torch.rand((), generator=generator, device=device) < model.mix.unasked:
            return others
    return tuple(model.streams)


def _content_losses(
    model: WorldModel,
    clip: SceneClip,
    pasts: dict[str, _Past],
    memory: dict[str, Memory],
    predicted: dict[str, Tensor],
    tasks: Tasks,
    generator: torch.Generator | None,
) -> dict[str, dict[str, Tensor]]:
    """Losses of what the decoders make of the logits `(B * J, N, V)`, in the first target of clips that forecast."""
    chosen, losses = tasks.forecast.nonzero()[:, 0], {}
    told = evidence_of(model.streams, {name: past.seen[:, 0][chosen] for name, past in pasts.items()})
    for name in voxels_first(predicted):
        stream, beside, lifted = model.streams[name], 0.0, memory[name].lifted
        if len(chosen):
            lifted = None if lifted is None else lifted[chosen * tasks.target.shape[1]]
            beside = model.beside(name, told | evidence_of_views(lifted))
        logits = predicted[name].float().unflatten(0, tasks.target.shape)[:, 0]
        asked = (logits, pasts[name].seen[:, 0], clip, tasks.target[:, 0], chosen, generator)
        losses[name], content = stream.losses(*asked, beside)
        if name == "occupancy" and content is not None:
            # As it predicts them, not as they are: so they will be read.
            told |= evidence_of(model.streams, {name: stream.forecast(content.detach()[:, None]).labels[:, 0]})
    return losses


def _token_loss(logits: Tensor, truth: Tensor, mask_id: int, model: WorldModel) -> Tensor:
    """Cross-entropy of logits `(J, N, V)`; there is nothing to say of tokens of absent views, which are masks."""
    if (truth == mask_id).all():
        return logits.sum() * 0
    options = dict(ignore_index=mask_id, label_smoothing=model.label_smoothing)
    return F.cross_entropy(logits.flatten(0, 1), truth.flatten(), **options)


def _seen_from(
    model: WorldModel, clip: SceneClip, tokens: dict[str, Tensor], tasks: Tasks, views: Viewpoints
) -> tuple[SceneClip, dict[str, Tensor]]:
    """The clip and its tokens, with the targets as they look from where they are to be seen; of occupancy alone."""
    chosen = views.elsewhere.nonzero()[:, 0]
    if len(chosen) == 0:
        return clip, tokens
    target = tasks.target[chosen]
    moved = seen_from(clip.select(chosen), target, views.T_t0_ego[chosen])
    rows, occupancy = torch.arange(len(chosen), device=target.device)[:, None], clip.occupancy.clone()
    occupancy[chosen], own = moved.occupancy, tokens["occupancy"].clone()
    poses = clip.T_global_ego.clone()
    poses[chosen] = moved.T_global_ego
    # Not remembered: no such frame will come again.
    own[chosen[:, None], target] = model.streams["occupancy"].encode(moved.occupancy[rows, target])
    return replace(clip, occupancy=occupancy, T_global_ego=poses), {"occupancy": own}


def _rows(tasks: Tasks) -> Tensor:
    return torch.arange(len(tasks.target), device=tasks.target.device)[:, None]


def _per_frame(uniform: Uniform, frames: int) -> Uniform:
    """Draws for `frames` frames of each clip, `(B * frames, N)` when told N."""
    return lambda number: uniform(frames, number).flatten(0, 1)


def _remember(
    model: WorldModel, clip: SceneClip, pasts: dict[str, _Past], tasks: Tasks, uniform: Uniform
) -> dict[str, Memory]:
    """What the B * J targets may look at: the observed frames, perhaps the one just before."""
    recent = _self_generated(model, clip, pasts, tasks, uniform)
    own = {name: _remember_one(model, clip, name, past, recent[name], tasks, uniform) for name, past in pasts.items()}
    return model.trunk.lift(own)


def _remember_one(
    model: WorldModel, clip: SceneClip, name: str, own: _Past, recent: Tensor, tasks: Tasks, uniform: Uniform
) -> Memory:
    """Of one stream, whose frames before the targets are `recent (B, J, N)`."""
    (batch, targets), stream = tasks.target.shape, model.streams[name]
    rows, device, observed = _rows(tasks), own.tokens.device, clip.num_history
    past = torch.cat([own.tokens[:, :observed], recent], dim=1)
    number = past.shape[1]
    u, noise = uniform(2, number).transpose(0, 1).flatten(1)
    u = _PAST_MIN_U + (1 - _PAST_MIN_U) * u
    noisy = corrupt(past.flatten(0, 1), stream.scales.row, u, noise, model.mix.eta, _per_frame(uniform, number))
    past = torch.where(tasks.noisy_past[:, None, None], noisy.view_as(past), past)

    # Target j remembers the observed frames and its own recent one, which stands behind them.
    slot_observed = torch.arange(observed, device=device).expand(batch, targets, -1)
    slot_recent = observed + torch.arange(targets, device=device).expand(batch, -1)[..., None]
    remember = model.trunk.denoisers[name].memory
    features = remember.encode(past)[rows[..., None], torch.cat([slot_observed, slot_recent], dim=2)]
    frame = torch.cat([slot_observed, tasks.target[..., None] - 1], dim=2)
    known = torch.cat(
        [own.present[:, None, None].expand(slot_observed.shape), own.asked & tasks.has_recent[..., None]], dim=2
    )
    known = known & ~tasks.alone[:, None, None]
    # The view is clean: a corrupted past is only a task without it.
    view, covered, *rig = stream.view(own.seen.flatten(0, 1))
    covered = covered * tasks.forecast.repeat_interleave(targets)[:, None, None]
    sources = sources_of(clip.T_global_ego, clip.times_s(), tasks.target, frame, known, view, covered, *rig)
    return remember.gather(features.flatten(0, 1), sources)


def _motion(clip: SceneClip, rows: Tensor, target: Tensor, told: Tensor | None = None) -> Motion:
    future = target - clip.num_history
    T_t0_ego = clip.future_poses()[rows, future].reshape(-1, 4, 4)
    return motion_of(T_t0_ego, clip.future_times_s()[rows, future].flatten(), None if told is None else told.flatten())


@torch.no_grad()
def _self_generated(
    model: WorldModel, clip: SceneClip, pasts: dict[str, _Past], tasks: Tasks, uniform: Uniform
) -> dict[str, Tensor]:
    """The frames before the targets `(B, J, N)`, some replaced by the model's own draws: that is what it will see.

    Drawn in one step from all masks, given the observed frames.
    """
    targets = tasks.target.shape[1]
    recent = {name: own.tokens[_rows(tasks), tasks.target - 1].clone() for name, own in pasts.items()}
    chosen = (uniform(targets) < model.mix.self_generated) & tasks.has_recent
    draws = {name: uniform(targets, own.shape[-1]) for name, own in recent.items()}
    clips, slots = chosen.nonzero(as_tuple=True)
    if len(clips) == 0:
        return recent
    frame = tasks.target[clips, slots] - 1
    future = frame - clip.num_history
    observed = torch.arange(clip.num_history, device=frame.device).expand(len(clips), 1, -1)
    where, when = clip.future_poses()[clips, future][:, None], clip.future_times_s()[clips, future][:, None]
    poses, times, history = clip.T_global_ego[clips], clip.times_s()[clips], clip.history().select(clips)
    masks, memory = {}, {}
    for name, own in pasts.items():
        stream, remember = model.streams[name], model.trunk.denoisers[name].memory
        features = remember.encode(own.tokens[clips, : clip.num_history])
        seen = stream.see(history, None if own.displacement is None else own.displacement[clips], where, when)
        if len(pasts) > 1:
            seen = stream.hide(seen, ~own.present[clips])
        known = own.present[clips][:, None, None].expand(observed.shape)
        sources = sources_of(poses, times, frame[:, None], observed, known, *stream.view(seen[:, 0]))
        memory[name] = remember.gather(features, sources)
        if own.asked:
            masks[name] = model.all_masks(len(clips), name)
    for name, logits in model.trunk(masks, model.trunk.lift(memory), _motion(clip, clips, frame)).items():
        # Inverse transform sampling: one number a token.
        below = unsmoothed(logits, model.label_smoothing).softmax(-1).cumsum(-1) < draws[name][clips, slots][..., None]
        recent[name][clips, slots] = below.sum(-1).clamp_max(model.streams[name].scales.row.vocab_size - 1)
    return recent
