"""What a world model predicts for a clip, beside baselines and truth: what the metric of a test run takes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch

from drivewm.structures import SceneClip
from drivewm.world_model.baselines import copy_last, ego_warped_copy, newly_seen, warp_history
from drivewm.world_model.rollout import roll_out

if TYPE_CHECKING:
    from drivewm.world_model.model import WorldModel


def predict(model: WorldModel, clip: SceneClip) -> list[dict]:
    """One dict a clip, as `OccupancyForecastMetric` takes it.

    Beside the model's forecast stand, under the same ego motion, the baselines and "true_tokens": the true future
    frames, encoded, and decoded as the forecast's tokens are. No forecast in these tokens can be expected to do better.
    """
    history, times_s = clip.history(), clip.future_times_s()[:, : model.predicted_frames]
    T_t0_ego = model.ego_motion(clip)[:, : model.predicted_frames]
    future = slice(clip.num_history, clip.num_history + T_t0_ego.shape[1])
    probabilities = None
    start = _now(T_t0_ego.device)
    if T_t0_ego.shape[1] <= model.horizon:
        forecast = model.forecast(history, T_t0_ego, times_s)
        labels = forecast.labels
    else:
        labels = roll_out(model, history, T_t0_ego, times_s)
    seconds = (_now(T_t0_ego.device) - start) / len(clip)
    if T_t0_ego.shape[1] <= model.horizon:
        probabilities = forecast.probabilities()
    seen = warp_history(history, T_t0_ego)
    forecasts = {
        "model": labels,
        "copy_last": copy_last(history, T_t0_ego),
        "ego_warped_copy": ego_warped_copy(history, T_t0_ego, seen),
        "true_tokens": model.decode_true_tokens(clip, T_t0_ego, times_s),
    }
    unseen = newly_seen(seen)
    return [
        {
            "forecasts": {name: frames[b] for name, frames in forecasts.items()},
            "probabilities": {} if probabilities is None else {"model": probabilities[b]},
            "truth": clip.occupancy[b, future],
            "visible": None if clip.visible is None else clip.visible[b, future],
            "newly_seen": unseen[b],
            "times_s": times_s[b],
            "scene": clip.scene[b],
            "sample_token": clip.sample_token[b],
            "ego_pose": model.ego_pose,
            "seconds": seconds,
        }
        for b in range(len(clip))
    ]


def _now(device: torch.device) -> float:
    """Seconds of a clock, once the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
