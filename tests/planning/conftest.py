"""Synthetic observations: an ego on a route, with or without something ahead."""

import numpy as np
import pytest
import torch

from drivewm.geometry import se2, se3
from drivewm.structures import OCC3D, BoxTracks, EgoState, History, PlanningInput, Route

CAR = (4.6, 1.9, 1.6)


def observe(speed, route=None, boxes=(), pose=(0.0, 0.0, 0.0), frames=3, red_lights=None):
    """A `PlanningInput` with B = 1.

    `route` (P, 2) and `boxes` [(x, y, yaw, speed)] are given in the global frame, as is the ego's `pose` at t0.
    """
    pose = np.asarray(pose, np.float64)
    steps = 0.5 * np.arange(1 - frames, 1)
    poses = se2.compose(pose, np.stack([speed * steps, 0 * steps, 0 * steps], axis=-1))
    T = se3.from_se2(poses)
    tracks = BoxTracks.empty(1, frames, len(boxes))
    for slot, (x, y, yaw, box_speed) in enumerate(boxes):
        local = se2.relative(pose, np.array([x, y, yaw]))
        tracks.center[0, :, slot] = torch.tensor([local[0], local[1], CAR[2] / 2])
        tracks.size[0, :, slot] = torch.tensor(CAR)
        tracks.yaw[0, :, slot] = float(local[2])
        tracks.velocity[0, :, slot] = box_speed * torch.tensor([np.cos(local[2]), np.sin(local[2])])
        tracks.label[0, :, slot] = OCC3D.index("car")
        tracks.track[0, :, slot] = slot
        tracks.valid[0, :, slot] = True
    cut = None if route is None else Route.ahead(np.asarray(route), pose, red_lights=red_lights)
    history = History(
        timestamp_us=torch.from_numpy((500_000 * np.arange(frames)).astype(np.int64))[None],
        T_global_ego=torch.from_numpy(T)[None],
        scene=("synthetic",),
        sample_token=("t0",),
        boxes=tracks,
        route=cut,
    )
    ego = EgoState(torch.tensor([float(speed)]), torch.zeros(1), torch.zeros(1))
    return PlanningInput(history, ego, (None,), cut)


@pytest.fixture(name="observe")
def observe_fixture():
    return observe


@pytest.fixture
def straight_route():
    return np.stack([np.linspace(-20, 120, 281), np.zeros(281)], axis=-1)


@pytest.fixture
def bend_route():
    """20 m straight, then a left turn of 90 degrees with a radius of 12 m, then straight."""
    angle = np.linspace(0, np.pi / 2, 60)
    turn = np.stack([20 + 12 * np.sin(angle), 12 * (1 - np.cos(angle))], axis=-1)
    before = np.stack([np.linspace(-20, 19.5, 80), np.zeros(80)], axis=-1)
    after = np.stack([np.full(100, 32.0), np.linspace(12.5, 62, 100)], axis=-1)
    return np.concatenate([before, turn, after])
