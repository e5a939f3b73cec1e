"""Further than the model was trained for: forecasts become the history of the next ones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from drivewm.structures import History, SceneClip

if TYPE_CHECKING:
    from drivewm.world_model.model import WorldModel


def roll_out(model: WorldModel, history: History, T_t0_ego: Tensor, times_s: Tensor) -> Tensor:
    """Most likely classes of any number of future frames, forecast in stretches of `model.horizon`.

    Arguments as for `WorldModel.forecast`; the result is `(B, F, X, Y, Z)` uint8.
    """
    frames, now_s, T_t0_now = (
        [],
        torch.zeros_like(times_s[:, :1]),
        torch.eye(4).to(T_t0_ego).expand(len(history), 1, 4, 4),
    )
    for start in range(0, T_t0_ego.shape[1], model.horizon):
        stretch = slice(start, start + model.horizon)
        T_now_ego, ahead_s = torch.linalg.inv(T_t0_now) @ T_t0_ego[:, stretch], times_s[:, stretch] - now_s
        labels = model.forecast(history, T_now_ego, ahead_s).labels
        history = extended(history, labels, T_now_ego, ahead_s)
        frames.append(labels)
        now_s, T_t0_now = times_s[:, stretch][:, -1:], T_t0_ego[:, stretch][:, -1:]
    return torch.cat(frames, dim=1)


def extended(history: History, labels: Tensor, T_t0_ego: Tensor, times_s: Tensor) -> History:
    """The history as long as before, its newest frames predicted ones: `labels (B, F, X, Y, Z)`.

    What the model does not predict (points, images, boxes) is left out.
    """
    number = history.num_frames
    ahead_us = (times_s * 1e6).round().long()
    return History(
        timestamp_us=torch.cat([history.timestamp_us, history.timestamp_us[:, -1:] + ahead_us], 1)[:, -number:],
        T_global_ego=torch.cat([history.T_global_ego, history.T_global_ego[:, -1:] @ T_t0_ego.double()], 1)[
            :, -number:
        ],
        scene=history.scene,
        sample_token=history.sample_token,
        grid=history.grid,
        occupancy=torch.cat([history.occupancy, labels], dim=1)[:, -number:],
    )


@torch.no_grad()
def with_own_history(model: WorldModel, clip: SceneClip) -> SceneClip:
    """A clip that starts at the first future frame, whose observed frames are the model's own forecast.

    The model meets in training what it feeds on in rollouts. Clips with too few future frames stay as they are.
    """
    number = clip.num_history
    if clip.num_future <= number:
        return clip
    own = model.forecast(clip.history(), clip.future_poses()[:, :number], clip.future_times_s()[:, :number]).labels
    later = clip._map(lambda tensor: tensor[:, number:], command=clip.command)
    occupancy = torch.cat([own, later.occupancy[:, number:]], dim=1)
    return replace(later, occupancy=occupancy, tokens=None)
