"""Observation: what was observed by each stream, brought to the frames to predict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from drivewm.structures import History, SceneClip
from drivewm.world_model.denoiser import Motion
from drivewm.world_model.memory import Memory
from drivewm.world_model.tasks import motion_of, sources_of

if TYPE_CHECKING:
    from drivewm.world_model.model import WorldModel
    from drivewm.world_model.streams import Stream


@dataclass
class Observation:
    """What is known of J = B * F frames to predict.

    Attributes:
        seen: of each stream that takes part, what it observed, in these frames `(B, F, ...)`; see `Stream`.
        memory: its warped past.
        motion: where the frames are.
    """

    seen: dict[str, Any]
    memory: dict[str, Memory]
    motion: Motion


def present_streams(model: WorldModel, history: History) -> tuple[str, ...]:
    """The streams that a history has anything of.

    Raises:
        ValueError: there is none, or one of them is not as the model needs it, e.g. on another grid.
    """
    present = tuple(name for name, stream in model.streams.items() if stream.is_in(history))
    if not present and len(model.streams) > 1:
        raise ValueError(
            f"the world model needs one or more of {', '.join(model.streams)}, but the history of scene "
            f"{history.scene[0]} has none of them"
        )
    for name in present or model.streams:
        model.streams[name].check(history)
    return present


def see(stream: Stream, history: History, T_t0_ego: Tensor, times_s: Tensor) -> Any:
    """What a stream, present or absent, observed, in the frames `T_t0_ego (B, F, 4, 4)` at `times_s (B, F)`."""
    if not stream.is_in(history):
        return stream.unseen(history, T_t0_ego.shape[1])
    return stream.see(history, stream.displacement(history), T_t0_ego, times_s)


def view(stream: Stream, history: History, seen: Any, frames: int) -> tuple:
    """`Stream.view` of what was seen in J = `frames` frames; of an absent bird's-eye view nothing is encoded."""
    if stream.is_in(history) or stream.grid is None:
        return stream.view(seen)
    shape = (frames, stream.scales.row.num_tokens)
    device = history.timestamp_us.device
    return torch.zeros(*shape, stream.tokenizer.quantizer.dim, device=device), torch.zeros(*shape, 1, device=device)


def tokens_of(model: WorldModel, name: str, frames: SceneClip | History) -> Tensor:
    """Tokens `(B, T, N)` of a stream, none (T = 0) where it is absent."""
    stream = model.streams[name]
    if len(model.streams) == 1 or stream.is_in(frames):
        return stream.tokens(frames)
    empty = (len(frames), 0, stream.scales.row.num_tokens)
    return torch.zeros(empty, dtype=torch.int64, device=frames.timestamp_us.device)


def observe(
    model: WorldModel, history: History, T_t0_ego: Tensor, times_s: Tensor, streams: tuple[str, ...]
) -> Observation:
    """What some of the streams observed, for frames that are seen from `T_t0_ego (B, F, 4, 4)` at `times_s (B, F)` [s].

    A gradient reaches `T_t0_ego` through the motion that the denoiser is told; what was observed is moved without one.
    """
    batch, future = T_t0_ego.shape[:2]
    where = T_t0_ego.detach()
    T_t0_frame = torch.cat([history.poses_in_t0().double(), where.double()], dim=1)
    stamps = torch.cat([history.times_s() - history.times_s()[:, -1:], times_s], dim=1)
    target = history.num_frames + torch.arange(future, device=where.device).expand(batch, -1)
    seen, memory = {}, {}
    for name in streams:
        stream, remember = model.streams[name], model.trunk.denoisers[name].memory
        seen[name] = see(stream, history, where, times_s)
        features = remember.encode(tokens_of(model, name, history))
        features = features[:, None].expand(-1, future, *(-1,) * (features.ndim - 1))
        source = torch.arange(features.shape[2], device=where.device).expand(batch, future, -1)
        known = torch.ones_like(source, dtype=torch.bool)
        shown = view(stream, history, seen[name].flatten(0, 1), batch * future)
        sources = sources_of(T_t0_frame, stamps, target, source, known, *shown)
        memory[name] = remember.gather(features.flatten(0, 1), sources)
    return Observation(seen, model.trunk.lift(memory), motion_of(T_t0_ego.flatten(0, 1), times_s.flatten()))
