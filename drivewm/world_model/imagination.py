"""Imagining: one possible future, all streams of a frame drawn together, frame after frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from drivewm.structures import History
from drivewm.world_model.beside import evidence_of, evidence_of_views, voxels_first
from drivewm.world_model.denoiser import Motion
from drivewm.world_model.memory import Memory
from drivewm.world_model.observation import present_streams, see, tokens_of, view
from drivewm.world_model.sampler import guide, sample, unsmoothed
from drivewm.world_model.tasks import motion_of, sources_of

if TYPE_CHECKING:
    from drivewm.world_model.model import WorldModel


def imagine(
    model: WorldModel,
    history: History,
    T_t0_ego: Tensor,
    times_s: Tensor,
    generator: torch.Generator,
    outputs: tuple[str, ...],
) -> dict[str, Tensor]:
    """See `WorldModel.imagined`."""
    present, observed = present_streams(model, history), history.num_frames
    streams = [name for name in model.streams if name in present or name in outputs]
    T_t0_frame = torch.cat([history.poses_in_t0(), T_t0_ego.float()], dim=1)
    stamps = torch.cat([history.times_s() - history.times_s()[:, -1:], times_s], dim=1)
    features, seen = {}, {}
    for name in streams:
        features[name] = model.trunk.denoisers[name].memory.encode(tokens_of(model, name, history))
        seen[name] = see(model.streams[name], history, T_t0_ego, times_s)
    previous = {name: model.streams[name].first_frame(history) for name in outputs}
    drawn: dict[str, Tensor] = {}
    frames: dict[str, list[Tensor]] = {name: [] for name in outputs}
    for f in range(T_t0_ego.shape[1]):
        target = torch.full((len(history), 1), observed + f, device=T_t0_ego.device)
        memory = {}
        for name in streams:
            # The observed frames, and the imagined one just before (none before the first).
            source = [*range(features[name].shape[1]), *([observed + f - 1] if name in drawn else [])]
            source = torch.tensor(source, dtype=torch.int64, device=target.device).expand(len(history), 1, -1)
            known = torch.ones_like(source, dtype=torch.bool)
            shown = view(model.streams[name], history, seen[name][:, f], len(history))
            sources = sources_of(T_t0_frame.double(), stamps, target, source, known, *shown)
            remember, own = model.trunk.denoisers[name].memory, features[name]
            if name in drawn:
                own = torch.cat([own, remember.encode(drawn[name][:, None])], dim=1)
            memory[name] = remember.gather(own, sources)
        memory = model.trunk.lift(memory)
        drawn = draw_frame(model, memory, motion_of(T_t0_ego[:, f], times_s[:, f]), generator, outputs)
        T_ego_previous = torch.linalg.inv(T_t0_frame[:, observed + f]) @ T_t0_frame[:, observed + f - 1]
        told = evidence_of(model.streams, {name: own[:, f] for name, own in seen.items()})
        for name in voxels_first(outputs):
            own = (drawn[name], previous[name], T_ego_previous, seen[name][:, f : f + 1])
            beside = model.beside(name, told | evidence_of_views(memory[name].lifted))
            previous[name] = model.streams[name].decode_drawn(*own, beside)
            frames[name].append(previous[name])
            if name == "occupancy":
                told |= evidence_of(model.streams, {name: previous[name][:, 0]})
    return {name: torch.cat(own, dim=1) for name, own in frames.items()}


def draw_frame(
    model: WorldModel, memory: dict[str, Memory], motion: Motion, generator: torch.Generator, outputs: tuple[str, ...]
) -> dict[str, Tensor]:
    """Tokens `(J, N)` of the streams `outputs` of one frame, with guidance; both branches run in one batch.

    Streams that are remembered but not asked for stay masked: what they know reaches the others.
    """
    batch, twice = len(motion.time_s), 2 if model.guidance else 1
    if model.guidance:
        memory = {name: own.with_blind_twin() for name, own in memory.items()}
        given = torch.cat([motion.given, motion.given & (not model.drop_motion)])
        motion = Motion(motion.pose.repeat(2, 1), motion.time_s.repeat(2), given)
    running = model.trunk.taking_part(memory, outputs)
    masks = {name: model.all_masks(twice * batch, name) for name in running if name not in outputs}

    def tokens_to_logits(tokens: dict[str, Tensor]) -> dict[str, Tensor]:
        known = masks | {name: own.repeat(twice, 1) for name, own in tokens.items()}
        logits = model.trunk({name: known[name] for name in running}, memory, motion, outputs)
        if model.guidance:
            logits = {name: guide(*both.chunk(2), model.guidance) for name, both in logits.items()}
        return {name: unsmoothed(own, model.label_smoothing) for name, own in logits.items()}

    specs = {name: model.streams[name].scales.row for name in outputs}
    return sample(tokens_to_logits, specs, batch, model.imagine_steps, generator, model.imagine_temperature)
