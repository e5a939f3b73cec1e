"""What is predicted for a clip, beside baselines and truth: what the metric of a test run takes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from drivewm.evaluation.forecast.record import BASELINES, CEILING
from drivewm.structures import SceneClip
from drivewm.world_model.baselines import copy_last, ego_warped_copy, newly_seen, warp_history
from drivewm.world_model.rollout import roll_out

if TYPE_CHECKING:
    from drivewm.world_model.model import WorldModel

SEED = 0
"""Of the imagined future that is scored."""


def predict(model: WorldModel, clip: SceneClip) -> list[dict]:
    """A model's predictions, one dict a clip, as `OccupancyForecastMetric` takes it.

    Beside the forecast stand the baselines and the ceiling: the true future frames, encoded, and decoded as the
    forecast's tokens are. No forecast in these tokens can be expected to do better. Probabilities are there where one
    forecast reaches far enough; further frames are rolled out.
    """
    history, times_s = clip.history(), clip.future_times_s()[:, : model.predicted_frames]
    T_t0_ego = model.ego_motion(clip)[:, : model.predicted_frames]
    forecast = None
    start = now_s(T_t0_ego.device)
    if T_t0_ego.shape[1] <= model.horizon:
        forecast = model.forecast(history, T_t0_ego, times_s)
        labels = forecast.labels
    else:
        labels = torch.cat([f.labels for f in roll_out(model, history, T_t0_ego, times_s)], dim=1)
    seconds = (now_s(T_t0_ego.device) - start) / len(clip)
    forecasts = {"model": labels, CEILING: model.stream.decode_true(clip, T_t0_ego, times_s)}
    if model.score_imagined:
        generator = torch.Generator(T_t0_ego.device).manual_seed(SEED)
        forecasts["imagined"] = model.imagine(history, T_t0_ego, times_s, generator)
    samples = beside_baselines(clip, forecasts, T_t0_ego)
    probabilities = None if forecast is None else forecast.probabilities()
    for b, sample in enumerate(samples):
        sample.update(ego_pose=model.ego_pose, seconds=seconds)
        if probabilities is not None:
            sample["probabilities"] = {"model": probabilities[b]}
    return samples


def beside_baselines(clip: SceneClip, forecasts: dict[str, Tensor], T_t0_ego: Tensor) -> list[dict]:
    """Forecasts beside the copies under the same ego motion, one dict a clip as `OccupancyForecastMetric` takes it.

    Args:
        clip: history and truth, with occupancy.
        forecasts: predictor -> `(B, F, X, Y, Z)` uint8 of the first F future frames, each in its own ego frame.
        T_t0_ego: `(B, F, 4, 4)` float32, the ego motion that they were made under.
    """
    history, seen = clip.history(), warp_history(clip.history(), T_t0_ego)
    copies = (copy_last(history, T_t0_ego), ego_warped_copy(history, T_t0_ego, seen))
    forecasts = forecasts | dict(zip(BASELINES, copies, strict=True))
    unseen, times_s = newly_seen(seen), clip.future_times_s()
    future = slice(clip.num_history, clip.num_history + T_t0_ego.shape[1])
    return [
        {
            "forecasts": {name: frames[b] for name, frames in forecasts.items()},
            "truth": clip.occupancy[b, future],
            "visible": None if clip.visible is None else clip.visible[b, future],
            "newly_seen": unseen[b],
            "times_s": times_s[b, : T_t0_ego.shape[1]],
            "T_t0_ego": T_t0_ego[b],
            "scene": clip.scene[b],
            "sample_token": clip.sample_token[b],
        }
        for b in range(len(clip))
    ]


def now_s(device: torch.device) -> float:
    """Seconds of a clock, once the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
