"""A small street to draw, and a clip and an episode in it."""

import numpy as np
import pytest
import torch

from drivewm.geometry import VoxelGrid
from drivewm.structures import OCC3D, AgentTracks, BoxTracks, Lane, RoadMap, Rollout, SceneClip


@pytest.fixture(scope="package")
def grid() -> VoxelGrid:
    return VoxelGrid.centered((24, 24, 6), 1.0)


@pytest.fixture
def street(grid) -> np.ndarray:
    """Road in the first layer, a car ahead of the ego, a house to its left: `(X, Y, Z)` uint8."""
    occupancy = np.full(grid.shape, OCC3D.free, np.uint8)
    occupancy[:, :, 0] = OCC3D.index("driveable_surface")
    occupancy[18:21, 11:13, 1:3] = OCC3D.index("car")
    occupancy[8:16, 19:23, 1:5] = OCC3D.index("manmade")
    return occupancy


@pytest.fixture
def clip(grid, street) -> SceneClip:
    """Two observed and six future frames; the car comes nearer by a voxel a frame."""
    frames = 8
    occupancy = np.stack([street] * frames)
    for t in range(frames):
        occupancy[t, 18:21, 11:13, 1:3] = OCC3D.free
        occupancy[t, 18 - t : 21 - t, 11:13, 1:3] = OCC3D.index("car")
    poses = torch.eye(4, dtype=torch.float64).repeat(1, frames, 1, 1)
    poses[0, :, 0, 3] = torch.arange(frames) * 1.0
    points = torch.rand(1, frames, 50, 4, generator=torch.Generator().manual_seed(0)) * 8
    return SceneClip(
        timestamp_us=torch.arange(frames)[None] * 500_000,
        T_global_ego=poses,
        scene=("scene-0007",),
        sample_token=("token",),
        grid=grid,
        occupancy=torch.from_numpy(occupancy)[None],
        boxes=BoxTracks.empty(1, frames, 2),
        points=points,
        points_valid=torch.ones(1, frames, 50, dtype=torch.bool),
        num_history=2,
    )


@pytest.fixture
def rollout() -> Rollout:
    """Ten steps along a straight road with one car ahead; the raster is drivable where |y| < 4 m."""
    steps = 10
    poses = np.stack([np.arange(steps) * 1.0, np.zeros(steps), np.zeros(steps)], axis=-1)
    boxes = np.tile([30.0, 0.0, 0.7, 4.5, 1.9, 1.5, 0.0], (steps, 1, 1))
    agents = AgentTracks(
        boxes, np.zeros((steps, 1, 2)), np.array([OCC3D.index("car")]), np.array([5]), np.ones((steps, 1), bool)
    )
    y = -40 + np.arange(160) * 0.5
    road = RoadMap(
        {0: Lane(0, np.array([[-40.0, 0.0], [80.0, 0.0]]), 4.0, ())},
        np.broadcast_to(np.abs(y) < 4, (240, 160)),
        (-40.0, -40.0),
        0.5,
    )
    return Rollout(
        0.1, poses, np.full(steps, 10.0), np.zeros(steps), 4.6, 1.9, 1.4, agents, road, np.array([[0.0, 0], [70, 0]])
    )
