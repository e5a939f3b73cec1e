"""Pictures of what a world model makes of a clip, beside the truth and the ego-warped copy."""

from __future__ import annotations

from pathlib import Path

import torch

from drivewm.structures import SceneClip
from drivewm.visualization.clips import draw_forecast
from drivewm.world_model import WorldModel, ego_warped_copy


@torch.inference_mode()
def draw_model_forecast(model: WorldModel, clip: SceneClip, out_dir: str | Path, seed: int = 0) -> dict[str, Path]:
    """Draw the forecast, one imagined future and the ego-warped copy of a clip (B = 1) under the driven motion.

    `seed` picks the imagined future. Files and errors as for `draw_forecast`.
    """
    past, poses, times_s = clip.history(), clip.future_poses(), clip.future_times_s()
    forecasts = {
        "model": model.forecast(past, poses, times_s).labels,
        "imagined": model.imagine(past, poses, times_s, torch.Generator(poses.device).manual_seed(seed)),
        "ego_warped_copy": ego_warped_copy(past, poses),
    }
    return draw_forecast(clip, {name: frames[0].cpu().numpy() for name, frames in forecasts.items()}, out_dir)
