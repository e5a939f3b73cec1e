"""Pictures of what a world model makes of a clip, beside the truth and the ego-warped copy."""

from __future__ import annotations

from pathlib import Path

import torch

from drivewm.structures import SceneClip
from drivewm.visualization.clips import draw_forecast
from drivewm.visualization.instants import draw_sample
from drivewm.visualization.point_forecasts import draw_point_forecast
from drivewm.world_model import WorldModel, ego_warped_copy
from drivewm.world_model.streams import CameraStream, LidarStream


@torch.inference_mode()
def draw_model_forecast(
    model: WorldModel, clip: SceneClip, out_dir: str | Path, seed: int = 0, points_as: str = "ply"
) -> dict[str, Path]:
    """Draw the forecast of a clip (B = 1) under the driven motion, beside truth and baselines.

    Of occupancy also one imagined future, that `seed` picks, and the ego-warped copy; of LiDAR ray casting of the past,
    and `points_as` is the format of its points. Files and errors as for `draw_forecast` and `draw_point_forecast`. Of
    views, and of several streams, that of each instant together: see `draw_sample`.
    """
    if len(model.streams) > 1 or isinstance(model.stream, CameraStream):
        (sample,) = model.predictions(clip)
        return draw_sample(clip, sample, model.grid, out_dir)
    if isinstance(model.stream, LidarStream):
        (sample,) = model.predictions(clip)
        clouds = sample["lidar"]["clouds"]
        shown = {name: clouds[name] for name in ("model", "model_drawn", "raycast_history")}
        return draw_point_forecast(clip, shown, out_dir, points_as=points_as)
    past, poses, times_s = clip.history(), clip.future_poses(), clip.future_times_s()
    forecasts = {
        "model": model.forecast(past, poses, times_s).labels,
        "imagined": model.imagine(past, poses, times_s, torch.Generator(poses.device).manual_seed(seed)),
        "ego_warped_copy": ego_warped_copy(past, poses),
    }
    return draw_forecast(clip, {name: frames[0].cpu().numpy() for name, frames in forecasts.items()}, out_dir)
