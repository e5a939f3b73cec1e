"""Further than the model was trained for: forecasts become the history of the next ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from drivewm.structures import History, SceneClip
from drivewm.world_model.observation import present_streams

if TYPE_CHECKING:
    from drivewm.world_model.model import WorldModel


def roll_out(
    model: WorldModel, history: History, T_t0_ego: Tensor, times_s: Tensor, outputs: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Forecasts of any number of future frames, in stretches of `model.horizon`: for each, one of every stream.

    Arguments as for `WorldModel.forecasts`. Of a rollout of several stretches all streams are forecast that were
    observed, whichever are asked for: they are the history of the next one.
    """
    forecasts, now_s, T_t0_now = (
        [],
        torch.zeros_like(times_s[:, :1]),
        torch.eye(4).to(T_t0_ego).expand(len(history), 1, 4, 4),
    )
    wanted = tuple(model.streams) if outputs is None else tuple(outputs)
    for start in range(0, T_t0_ego.shape[1], model.horizon):
        stretch = slice(start, start + model.horizon)
        last = stretch.stop >= T_t0_ego.shape[1]
        T_now_ego, ahead_s = torch.linalg.inv(T_t0_now) @ T_t0_ego[:, stretch], times_s[:, stretch] - now_s
        asked = wanted if last else tuple(dict.fromkeys((*wanted, *present_streams(model, history))))
        found = model.forecasts(history, T_now_ego, ahead_s, asked)
        forecasts.append({name: found[name] for name in wanted})
        if last:
            break
        history = extended(history, as_history(model, found, history, T_now_ego), T_now_ego, ahead_s)
        now_s, T_t0_now = times_s[:, stretch][:, -1:], T_t0_ego[:, stretch][:, -1:]
    return forecasts


def as_history(model: WorldModel, forecasts: dict[str, Any], history: History, T_t0_ego: Tensor) -> dict[str, Tensor]:
    """Forecasts of some streams as fields of a `History`: see `Stream.as_history`."""
    fields = {}
    for name, forecast in forecasts.items():
        fields |= model.streams[name].as_history(forecast, history, T_t0_ego)
    return fields


def extended(history: History, frames: dict[str, Tensor], T_t0_ego: Tensor, times_s: Tensor) -> History:
    """The history as long as before, its newest frames predicted ones: fields `(B, F, ...)` of a history.

    What the model does not predict (of points, occupancy, images and boxes) is left out; so is what was not observed
    before, until enough of it is predicted.
    """
    number = history.num_frames
    ahead_us = (times_s * 1e6).round().long()
    seen = {}
    for name, new in frames.items():
        old = getattr(history, name)
        if old is not None or new.shape[1] >= number:
            seen[name] = torch.cat([new[:, :0] if old is None else old, new], dim=1)[:, -number:]
    return History(
        timestamp_us=torch.cat([history.timestamp_us, history.timestamp_us[:, -1:] + ahead_us], 1)[:, -number:],
        T_global_ego=torch.cat([history.T_global_ego, history.T_global_ego[:, -1:] @ T_t0_ego.double()], 1)[
            :, -number:
        ],
        scene=history.scene,
        sample_token=history.sample_token,
        grid=history.grid,
        cameras=history.cameras if "images" in seen else None,
        **seen,
    )


@torch.no_grad()
def with_own_history(model: WorldModel, clip: SceneClip) -> SceneClip:
    """A clip that starts at the first future frame, whose observed frames are the model's own forecast.

    The model meets in training what it feeds on in rollouts. Clips with too few future frames stay as they are.
    """
    number = clip.num_history
    if clip.num_future <= number:
        return clip
    history, T_t0_ego = clip.history(), clip.future_poses()[:, :number]
    forecasts = model.forecasts(history, T_t0_ego, clip.future_times_s()[:, :number])
    later = clip._map(lambda tensor: tensor[:, number:], command=clip.command)
    own = {
        name: torch.cat([frames, getattr(later, name)[:, number:]], dim=1)
        for name, frames in as_history(model, forecasts, history, T_t0_ego).items()
    }
    return replace(later, **own, tokens=None)
