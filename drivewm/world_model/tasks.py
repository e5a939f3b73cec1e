"""Training tasks: which frame to predict, what to remember, and what is corrupted.

The mix is Copilot4D's (Zhang et al., 2024, section 3.2): half predict the future from the past, most others denoise
past and future jointly, and the rest are single frames without any past, which train the unconditional branch of
guidance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from drivewm.geometry import se2
from drivewm.structures import SceneClip
from drivewm.tokenizers.camera_views import CameraViews
from drivewm.world_model.denoiser import Motion
from drivewm.world_model.memory import Sources

Uniform = Callable[..., Tensor]
"""Draws numbers in [0, 1): `uniform(*shape)` gives `(B, *shape)`, a row for each clip of the batch."""


@dataclass(frozen=True)
class TaskMix:
    """Shares of the tasks; what is left of 1 goes to single frames.

    Attributes:
        predict: share of clips that predict from a clean past. The first target of these starts from nothing but masks,
            as forecasts do, and also trains the decoder of soft tokens.
        denoise: share whose past is corrupted as well.
        recent: share of targets that also remember the frame just before them (the others see the observed frames
            only).
        self_generated: share of these recent frames that the model draws itself, as it must when it imagines.
        own_history: share of batches whose history is the model's own forecast, as it is in long rollouts.
        elsewhere: share of clips whose targets are seen from where the ego did not go (`viewpoints.py`); of occupancy.
        absent: of several streams, the chance of each to be absent from a clip's history; one is always there.
        unasked: of several streams, the share of batches in which none is predicted that others can look up (views);
            most of the cost is theirs.
        eta: largest share of random codes among the tokens left unmasked.
    """

    predict: float = 0.6
    denoise: float = 0.3
    recent: float = 0.5
    self_generated: float = 0.25
    own_history: float = 0.0
    elsewhere: float = 0.0
    absent: float = 0.3
    unasked: float = 0.5
    eta: float = 0.2


@dataclass
class Tasks:
    """J targets for each of B clips.

    Attributes:
        target: `(B, J)` index of the frame to predict.
        has_recent: `(B, J)` bool, the frame before the target is remembered too.
        from_masks: `(B, J)` bool, none of the target's tokens is given.
        alone: `(B,)` bool, nothing is remembered.
        noisy_past: `(B,)` bool, the past is corrupted.
    """

    target: Tensor
    has_recent: Tensor
    from_masks: Tensor
    alone: Tensor
    noisy_past: Tensor

    @property
    def forecast(self) -> Tensor:
        """`(B,)` bool, clips whose first target is asked for as a forecast is: from masks and the observed frames."""
        return ~(self.alone | self.noisy_past)


# Forecasts start from nothing but masks. The corruption draws that only in its limit u = 0: train it this often.
_ALL_MASKED = 0.3


def draw_tasks(clip: SceneClip, horizon: int, targets: int, mix: TaskMix, uniform: Uniform) -> Tasks:
    """Draw J = `targets` of the first `horizon` future frames of each clip, and what they may remember."""
    order = uniform(min(horizon, clip.num_future)).argsort(1)[:, :targets]
    task = uniform(1)[:, 0]
    alone = task >= mix.predict + mix.denoise
    noisy_past = (task >= mix.predict) & ~alone
    target = clip.num_history + order
    first = torch.arange(order.shape[1], device=order.device) == 0
    forecast = first & ~(alone | noisy_past)[:, None]
    has_recent = (uniform(order.shape[1]) < mix.recent) & (order > 0) & ~forecast
    from_masks = (uniform(order.shape[1]) < _ALL_MASKED) | forecast
    return Tasks(target, has_recent, from_masks, alone, noisy_past)


def draw_present(streams: tuple[str, ...], mix: TaskMix, tasks: Tasks, uniform: Uniform) -> dict[str, Tensor]:
    """Which streams' history each clip is shown: `(B,)` bool of each, of every clip at least one.

    Modality dropout (Neverova et al., 2016): any subset of the streams may be all that there is.
    """
    if len(streams) == 1:
        return {streams[0]: torch.ones_like(tasks.alone)}
    chance = uniform(len(streams))
    present = (chance >= mix.absent) | (chance == chance.amax(1, keepdim=True))
    return dict(zip(streams, present.unbind(1), strict=True))


def draw_from_masks(streams: tuple[str, ...], tasks: Tasks, uniform: Uniform) -> dict[str, Tensor]:
    """Of which targets `(B, J)` no token of a stream is given.

    Each stream is masked by itself, so that one may be all there while another is to be predicted from it (UniDiffuser;
    Bao et al., 2023); forecasts ask for all of them from nothing but masks.
    """
    first, *others = streams
    from_masks = {first: tasks.from_masks}
    for name in others:
        asked = torch.zeros_like(tasks.from_masks)
        asked[:, 0] = tasks.forecast
        from_masks[name] = (uniform(asked.shape[1]) < _ALL_MASKED) | asked
    return from_masks


def sources_of(
    T_world_ego: Tensor,
    times_s: Tensor,
    target: Tensor,
    source: Tensor,
    known: Tensor,
    view: Tensor,
    covered: Tensor,
    rig: CameraViews | None = None,
) -> Sources:
    """Motions and ages between the targets `(B, J)` and their sources `(B, J, M)`, flattened to B * J targets.

    Args:
        T_world_ego: `(B, T, 4, 4)` poses of all frames in one common frame, float64.
        times_s: `(B, T)` [s].
        target, source: indices of frames.
        known: `(B, J, M)` bool.
        view, covered, rig: `(B * J, N, D)`, `(B * J, N, 1)` and `(B * J, V)`, see `Sources`.
    """
    rows = torch.arange(len(target), device=target.device)[:, None]
    T_target_world = torch.linalg.inv(T_world_ego[rows, target])
    T_target_source = T_target_world[:, :, None] @ T_world_ego[rows[..., None], source]
    age_s = times_s[rows, target][..., None] - times_s[rows[..., None], source]
    motion, age_s = T_target_source.float().flatten(0, 1), age_s.float().flatten(0, 1)
    return Sources(motion, age_s, known.flatten(0, 1), view, covered, rig)


def motion_of(T_t0_ego: Tensor, time_s: Tensor, told: Tensor | None = None) -> Motion:
    """Motion condition of ego frames `T_t0_ego (J, 4, 4)` at `time_s (J,)` after t0; `told (J,)` bool says which."""
    pose = se2.from_matrix(T_t0_ego).float()
    told = torch.ones(len(pose), dtype=torch.bool, device=pose.device) if told is None else told
    return Motion(pose, time_s.float(), told)
