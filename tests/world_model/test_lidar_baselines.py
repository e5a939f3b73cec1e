"""LiDAR baselines in worlds in which they are right."""

import numpy as np
import pytest
import torch

from drivewm.evaluation.metrics import LidarForecastMetric
from drivewm.geometry import VoxelGrid, se3
from drivewm.structures import BoxTracks, SceneClip
from drivewm.world_model.lidar_baselines import (
    copy_last_points,
    ego_warped_points,
    ray_points,
    raycast_history,
)
from drivewm.world_model.lidar_predictions import lidar_beside_baselines, true_points, true_rays

T_EGO_LIDAR = se3.from_xyzyaw(0.9, 0.0, 1.8, -np.pi / 2)
SMALL = VoxelGrid((-40.0, -40.0, -4.0, 40.0, 40.0, 4.0), 0.2)
FRAMES, HISTORY = 9, 3


def walls(batch=2, speed_mps=4.0):
    """An ego that drives and turns between fixed walls, of which each frame measures other points."""
    rng, times = np.random.default_rng(0), 0.5 * np.arange(FRAMES)
    T_global_ego = se3.from_xyzyaw(speed_mps * times, 0.2 * times, 0.0, 0.1 * times)
    clouds = []
    for frame in range(FRAMES):
        x, z = rng.uniform(-25, 35, 4000), rng.uniform(0, 3, 4000)
        world = np.stack([x, np.where(rng.random(4000) < 0.5, 8.0, -8.0), z], axis=-1)
        clouds.append(se3.transform_points(se3.inverse(T_global_ego[frame]), world))
    points = np.concatenate([np.stack(clouds), np.full((FRAMES, 4000, 1), 0.5)], axis=-1).astype(np.float32)
    padded = np.pad(points, [(0, 0), (0, 7), (0, 0)])
    valid = np.arange(4007) < 4000

    def repeat(array, dtype=torch.float32):
        return torch.from_numpy(np.ascontiguousarray(array)).to(dtype).expand(batch, *array.shape).clone()

    return SceneClip(
        timestamp_us=repeat((1e6 * times).astype(np.int64), torch.int64),
        T_global_ego=repeat(T_global_ego, torch.float64),
        scene=tuple(f"scene-{b}" for b in range(batch)),
        sample_token=tuple(f"token-{b}" for b in range(batch)),
        points=repeat(padded),
        points_valid=repeat(np.tile(valid, (FRAMES, 1)), torch.bool),
        T_ego_lidar=repeat(np.tile(T_EGO_LIDAR, (FRAMES, 1, 1))),
        num_history=HISTORY,
    )


def test_copies_are_the_last_cloud_unmoved_and_moved():
    clip = walls()
    last = clip.points[0, HISTORY - 1, :4000].numpy()
    copies = copy_last_points(clip.history(), clip.future_poses())
    moved = ego_warped_points(clip.history(), clip.future_poses())
    assert len(copies) == len(moved) == 2 and len(copies[0]) == len(moved[0]) == 6
    for f in range(6):
        np.testing.assert_array_equal(copies[1][f], last)
        in_global = se3.transform_points(clip.T_global_ego[0, HISTORY + f].numpy(), moved[0][f][:, :3])
        np.testing.assert_allclose(np.abs(in_global[:, 1]), 8.0, atol=1e-3)  # on the walls
        assert moved[0][f].dtype == np.float32


def test_cast_rays_end_on_the_walls_that_were_seen():
    clip = walls(batch=1)
    sensor, rays = clip.T_ego_lidar[:, HISTORY:], true_rays(clip)
    depths = raycast_history(clip.history(), clip.future_poses(), sensor, rays, SMALL)
    for f, truth in enumerate(true_points(clip)[0]):
        expected = np.linalg.norm(se3.transform_points(se3.inverse(T_EGO_LIDAR), truth), axis=-1)
        hit = np.isfinite(depths[0][f])
        # 12000 points on 360 m2 leave few voxels of 0.2 m empty; a ray may slip through one, or end in one beside it.
        assert hit.mean() > 0.9
        assert np.median(np.abs(depths[0][f] - expected)[hit]) < 0.15
        points = ray_points(rays[0][f], depths[0][f], T_EGO_LIDAR)
        assert points.shape == (hit.sum(), 3)
        in_global = se3.transform_points(clip.T_global_ego[0, HISTORY + f].numpy(), points)
        assert np.median(np.abs(np.abs(in_global[:, 1]) - 8.0)) < 0.1


def test_a_ray_that_meets_nothing_has_no_return():
    clip = walls(batch=1)
    up = [[np.array([[0.0, 0, 1], [0, 0, -1]])] * 6]
    depths = raycast_history(clip.history(), clip.future_poses(), clip.T_ego_lidar[:, HISTORY:], up, SMALL)
    assert np.isinf(depths[0]).all()
    assert ray_points(up[0][0], depths[0][0], T_EGO_LIDAR).shape == (0, 3)
    clip.points_valid[:] = False
    rays = [[np.eye(3)] * 6]
    nothing = raycast_history(clip.history(), clip.future_poses(), clip.T_ego_lidar[:, HISTORY:], rays, SMALL)
    assert np.isinf(nothing[0]).all()


def test_the_depth_is_that_of_the_points_in_the_voxel():
    clip = walls(batch=1, speed_mps=0.0)
    clip.T_global_ego[:] = torch.eye(4)
    clip.points_valid[:, :, 1:] = False
    clip.points[:, :, 0, :3] = torch.from_numpy(se3.transform_points(T_EGO_LIDAR, np.array([[10.15, 0.01, 0.01]])))[0]
    depths = raycast_history(
        clip.history(), clip.future_poses(), clip.T_ego_lidar[:, HISTORY:], [[np.eye(3)] * 6], SMALL
    )
    np.testing.assert_allclose(depths[0], [[10.15, np.inf, np.inf]] * 6, atol=1e-5)


def test_the_future_is_not_seen():
    clip, other = walls(batch=1), walls(batch=1)
    other.points[:, HISTORY:] += 3.0
    other.boxes = BoxTracks.empty(1, FRAMES)
    rays, sensor = true_rays(clip), clip.T_ego_lidar[:, HISTORY:]
    args = (clip.future_poses(), sensor, rays, SMALL)
    np.testing.assert_array_equal(
        raycast_history(clip.history(), *args)[0][5], raycast_history(other.history(), *args)[0][5]
    )


def test_beside_the_truth_in_a_table():
    """In a still world, ray casting and the warped copy beat the unmoved copy."""
    clip = walls()
    boxes = BoxTracks.empty(2, FRAMES, 1)
    for frame in range(FRAMES):  # one that drives along the wall
        boxes.center[:, frame, 0] = torch.tensor([5.0, 8.0, 1.0])
    boxes.size[:], boxes.valid[:] = torch.tensor([6.0, 4.0, 4.0]), True
    clip.boxes = boxes
    samples = lidar_beside_baselines(clip, {"model": true_points(clip)}, SMALL)
    metric = LidarForecastMetric(resamples=10)
    metric.process(None, samples)
    out = metric.evaluate(size=2)
    error = {name: out[f"lidar/{name}/l1_median/avg_3s"] for name in metric.report["predictors"]}
    assert list(error) == ["model", "copy_last", "ego_warped_copy", "raycast_history"]
    assert error["model"] < 1e-4 and error["raycast_history"] < 0.2 < error["copy_last"]
    assert out["lidar/ego_warped_copy/cd_in/avg_3s"] < out["lidar/copy_last/cd_in/avg_3s"]
    assert out["lidar/model/moving_missed/avg_3s"] == 0 < out["lidar/copy_last/moving_missed/avg_3s"]
    assert "raycast_history" in metric.text()


def test_what_is_missing_is_named():
    clip = walls(batch=1)
    clip.T_ego_lidar = None
    with pytest.raises(ValueError, match="need history.T_ego_lidar"):
        copy_last_points(clip.history(), clip.future_poses())
