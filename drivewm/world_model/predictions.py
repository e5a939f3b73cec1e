"""What is predicted for a clip, beside baselines and truth: what the metrics of a test run take."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from drivewm.evaluation.forecast.record import BASELINES
from drivewm.structures import History, SceneClip
from drivewm.world_model.baselines import copy_last, ego_warped_copy, newly_seen, warp_history
from drivewm.world_model.observation import see
from drivewm.world_model.rollout import roll_out

if TYPE_CHECKING:
    from drivewm.world_model.model import WorldModel

SEED = 0
"""Of the imagined future that is scored."""


@dataclass
class Answer:
    """What a model said of one stream when it was asked for the future of a clip.

    Attributes:
        clip: with as many future frames as were asked for.
        history: what the model was shown of it; streams may be absent.
        T_t0_ego: `(B, F, 4, 4)` float32, the ego motion that the forecast was made under.
        ego_pose: whose that is.
        forecasts: one for each stretch of a rollout.
        seen: what the stream had observed, in the F frames; see `Stream.see`.
        imagined: one imagined future, or None where none was asked for.
        present: what it made of t0, `(B, 1, ...)`, of voxels that it was not shown; else None.
        seconds: that the forecast of all streams took, a clip.
    """

    clip: SceneClip
    history: History
    T_t0_ego: Tensor
    ego_pose: str
    forecasts: list[Any]
    seen: Any
    imagined: Tensor | None
    present: Any | None
    seconds: float


def predict(model: WorldModel, clip: SceneClip) -> list[dict]:
    """A model's predictions of all streams that it is asked for, one dict a clip, as their metrics take them.

    Baselines stand beside the forecasts. They see the clip's whole history, also that of streams which `model.inputs`
    hides from the model.
    """
    future = clip.num_future if model.predicted_frames is None else min(model.predicted_frames, clip.num_future)
    clip = clip.with_future(future)
    history, times_s, T_t0_ego = clip.history(), clip.future_times_s(), model.ego_motion(clip)[:, :future]
    for name in set(model.streams) - set(model.inputs):
        history = model.streams[name].without(history)
    start = now_s(T_t0_ego.device)
    stretches = roll_out(model, history, T_t0_ego, times_s, model.outputs)
    seconds = (now_s(T_t0_ego.device) - start) / len(clip)
    imagined = {}
    if model.score_imagined:
        generator = torch.Generator(T_t0_ego.device).manual_seed(SEED)
        imagined = model.imagined(history, T_t0_ego, times_s, generator, model.outputs)
    present = present_forecast(model, history)
    samples: list[dict] = [{} for _ in range(len(clip))]
    for name in model.outputs:
        stream, forecasts = model.streams[name], [stretch[name] for stretch in stretches]
        seen = see(stream, history, T_t0_ego, times_s)
        extra = imagined.get(name), present if name == "occupancy" else None
        answer = Answer(clip, history, T_t0_ego, model.ego_pose, forecasts, seen, *extra, seconds)
        for sample, own in zip(samples, stream.samples(answer), strict=True):
            sample.update(own)
    return samples


def present_forecast(model: WorldModel, history: History) -> Any | None:
    """What the model makes of t0 itself in voxels, if it is asked for them and the history lacks them."""
    if "occupancy" not in model.outputs or model.streams["occupancy"].is_in(history):
        return None
    times_s = torch.zeros(len(history), 1, device=history.T_global_ego.device)
    return model.forecast(history, torch.eye(4).to(times_s).expand(len(history), 1, 4, 4), times_s)


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
