"""LiDAR forecasts of a clip, beside baselines and truth: what the metric of a test run takes."""

from __future__ import annotations

import numpy as np

from drivewm.evaluation.forecast.record import BASELINES
from drivewm.evaluation.functional.moving import moving_boxes
from drivewm.evaluation.lidar_forecast.report import REFERENCE
from drivewm.geometry import VoxelGrid, se3
from drivewm.structures import SceneClip
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
        clouds: predictor -> for each clip and future frame `(N, 3)` float32 [m], in that frame's own ego frame.
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


def true_points(clip: SceneClip) -> Frames:
    """What the sensor measured in each future frame: `(N, 3)` float32 [m], that frame's own ego frame."""
    return [
        [clip.points[b, t][clip.points_valid[b, t], :3].cpu().numpy() for t in range(clip.num_history, clip.num_frames)]
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
            se3.transform_points(T, points.astype(np.float64)) for T, points in zip(T_lidar_ego, frames, strict=True)
        ]
        rays.append([offset / np.maximum(np.linalg.norm(offset, axis=-1, keepdims=True), 1e-9) for offset in offsets])
    return rays
