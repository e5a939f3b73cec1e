"""LiDAR forecasts of a clip, beside baselines and truth: what the metric of a test run takes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from drivewm.evaluation.forecast.record import BASELINES
from drivewm.evaluation.functional.moving import moving_boxes
from drivewm.evaluation.lidar_forecast.report import REFERENCE
from drivewm.geometry import VoxelGrid, se3
from drivewm.geometry.transform import transform_points
from drivewm.structures import RayRaster, SceneClip
from drivewm.world_model.lidar_baselines import (
    RAY_GRID,
    Frames,
    copy_last_points,
    ego_warped_points,
    ray_points,
    raycast_history,
)


def lidar_beside_baselines(
    clip: SceneClip,
    clouds: dict[str, Frames],
    grid: VoxelGrid = RAY_GRID,
) -> list[dict]:
    """Forecasts beside the baselines under the driven ego motion, one dict a clip as `LidarForecastMetric` takes it.

    Rays are cast where the true future frames have returns, as 4D-Occ asks of every predictor.

    Args:
        clip: history and truth, with points and `T_ego_lidar`; moving boxes are scored apart where it has boxes.
        clouds: predictor -> for each clip and future frame `(N, 3)` float32 [m], in that frame's own ego frame, or
            `(N, 4)` with intensity.
        grid: of the ray casting baseline.
    """
    history, T_t0_ego, future = clip.history(), clip.future_poses(), slice(clip.num_history, None)
    T_ego_lidar, truth, rays = clip.T_ego_lidar[:, future], true_points(clip), true_rays(clip)
    depths = raycast_history(history, T_t0_ego, T_ego_lidar, rays, grid)
    sensor = T_ego_lidar.double().cpu().numpy()
    cast = [
        [ray_points(*ray_depth, T) for *ray_depth, T in zip(rays[b], depths[b], sensor[b], strict=True)]
        for b in range(len(clip))
    ]
    copies = (copy_last_points(history, T_t0_ego), ego_warped_points(history, T_t0_ego))
    clouds = clouds | dict(zip(BASELINES, copies, strict=True)) | {REFERENCE: cast}
    samples = []
    for b in range(len(clip)):
        sample = {
            "clouds": {name: frames[b] for name, frames in clouds.items()},
            "truth": truth[b],
            "times_s": clip.future_times_s()[b],
            "T_t0_ego": T_t0_ego[b],
            "T_ego_lidar": T_ego_lidar[b],
            "T_t0_lidar": clip.T_ego_lidar[b, clip.num_history - 1],
            "scene": clip.scene[b],
            "sample_token": clip.sample_token[b],
        }
        if clip.boxes is not None:
            boxes = clip.boxes
            poses = (
                np.linalg.inv(clip.T_global_ego[b, clip.num_history - 1].cpu().numpy())
                @ clip.T_global_ego[b].cpu().numpy()
            )
            moving = moving_boxes(
                *(getattr(boxes, name)[b].cpu().numpy() for name in ("center", "track", "valid")),
                poses,
                clip.timestamp_us[b].cpu().numpy() / 1e6,
            )
            sample |= {"boxes": boxes.boxes()[b, future], "boxes_moving": moving[future]}
        samples.append({"lidar": sample})
    return samples


def add_silence(samples: list[dict], silent: dict[str, Tensor], raster: RayRaster) -> None:
    """Say in the samples of `lidar_beside_baselines` from where nothing comes back: predicted, copied and true.

    Args:
        samples: one a clip.
        silent: predictor -> `(B, F, rows, columns)` bool.
        raster: of the sensor.
    """
    for b, sample in enumerate(sample["lidar"] for sample in samples):
        T_lidar_ego = torch.linalg.inv(torch.as_tensor(sample["T_ego_lidar"]).float().cpu())

        def look(clouds: list[np.ndarray], T_lidar_ego: Tensor = T_lidar_ego) -> tuple[Tensor, Tensor]:
            frames = []
            for T, cloud in zip(T_lidar_ego, clouds, strict=True):
                points = transform_points(T, torch.from_numpy(cloud[None, :, :3]))
                frames.append(raster.look(points, torch.ones(points.shape[:2], dtype=torch.bool)))
            silent_cells, returned_cells = zip(*frames, strict=True)
            return torch.cat(silent_cells), torch.cat(returned_cells)

        copies = {name: look(sample["clouds"][name])[0] for name in BASELINES}
        sample["silent"] = {name: cells[b].cpu() for name, cells in silent.items()} | copies
        sample["silent_truth"], sample["returned_truth"] = look(sample["truth"])


def true_points(clip: SceneClip) -> Frames:
    """What the sensor measured in each future frame: `(N, 4)` float32 [m] in that frame's own ego frame, intensity."""
    return [
        [clip.points[b, t][clip.points_valid[b, t], :4].cpu().numpy() for t in range(clip.num_history, clip.num_frames)]
        for b in range(len(clip))
    ]


def true_rays(clip: SceneClip) -> Frames:
    """Directions of the returns of each future frame: `(R, 3)` float64 unit vectors, that frame's LiDAR frame.

    Rays that did not come back are not among them: 4D-Occ scores returns alone.
    """
    rays: Frames = []
    for b, frames in enumerate(true_points(clip)):
        T_lidar_ego = se3.inverse(clip.T_ego_lidar[b, clip.num_history :].double().cpu().numpy())
        offsets = [
            se3.transform_points(T, points[:, :3].astype(np.float64))
            for T, points in zip(T_lidar_ego, frames, strict=True)
        ]
        rays.append([offset / np.maximum(np.linalg.norm(offset, axis=-1, keepdims=True), 1e-9) for offset in offsets])
    return rays
