"""Labels of a made-up drive whose content is known: what stands is gathered, what moves stays in one piece."""

from __future__ import annotations

import numpy as np
import pytest

from drivewm.data.labels.cloud import SceneCloud, masked
from drivewm.data.labels.sorting import Sweep
from drivewm.data.labels.tracks import SweepBoxes, Track, boxes_at
from drivewm.data.labels.voting import UNLABELLED, Ballot
from drivewm.geometry import VoxelGrid, raycast, se3
from drivewm.structures import OCC3D

GRID = VoxelGrid.centered((50, 50, 8), 0.4)
ROAD, CAR, WALL = (OCC3D.index(name) for name in ("driveable_surface", "car", "manmade"))
T_EGO_LIDAR = se3.from_xyzyaw(0.94, 0.0, 1.84, -np.pi / 2)
FRAMES = 5
"""Keyframes 0, 2 and 4 have point classes, the sweeps in between have none."""
CAR_SIZE = np.array([4.0, 1.8, 1.6])


def ego(k: int) -> np.ndarray:
    return se3.from_xyzyaw(200.0 + 1.0 * k, 100.0, 0.0, 0.05 * k)


def car(k: float) -> np.ndarray:
    """It passes on the left, turning a little: box, global frame."""
    return np.array([202.0 + 2.5 * k, 105.0, 0.8, *CAR_SIZE, 0.1 * k])


def T_global_car(k: float) -> np.ndarray:
    return se3.from_xyzyaw(*car(k)[[0, 1, 2, 6]])


def car_points(k: int) -> np.ndarray:
    """Of its side a fifth a sweep: only all sweeps together show it whole. Global frame."""
    along = np.linspace(-1.9, 1.9, 60)[12 * k : 12 * k + 12]
    side = np.array([[x, -0.9, z] for x in along for z in (-0.5, 0.0, 0.5)])
    return se3.transform_points(T_global_car(k), side)


def sweeps() -> list[Sweep]:
    found = []
    for k in range(FRAMES):
        x, y = (v.ravel() for v in np.meshgrid(np.arange(190.1, 212, 0.2), np.arange(95.1, 109, 0.2)))
        road = np.column_stack([x, y, np.full(x.size, -0.1)])
        under = np.abs(se3.transform_points(se3.inverse(T_global_car(k)), road)) < CAR_SIZE / 2 + [0.4, 0.3, 1.0]
        road = road[~under.all(axis=1)]
        parts = [(road, ROAD), (car_points(k), CAR)]
        if k == 4:
            parts.append((np.array([[196.1, 93.1, 1.0]]), WALL))  # that no other sweep sees
        points = np.concatenate([p for p, _ in parts])
        lidar = se3.transform_points(se3.inverse(ego(k) @ T_EGO_LIDAR), points).astype(np.float32)
        classes = np.concatenate([np.full(len(p), c, np.uint8) for p, c in parts])
        found.append(Sweep(lidar, classes if k % 2 == 0 else np.full_like(classes, UNLABELLED), T_EGO_LIDAR, ego(k)))
    return found


def around() -> list[SweepBoxes]:
    times = np.arange(FRAMES) * 250_000
    return boxes_at([Track(CAR, times[::2], np.stack([car(k) for k in (0, 2, 4)]))], times)


@pytest.fixture(scope="module")
def cloud() -> SceneCloud:
    return SceneCloud(sweeps(), around())


def cells(k: int, points: np.ndarray) -> np.ndarray:
    """Flat voxels of global points in the grid of frame k."""
    index, inside = GRID.to_index(se3.transform_points(se3.inverse(ego(k)), points))
    return np.unique(np.ravel_multi_index(tuple(index[inside].T), GRID.shape))


@pytest.mark.parametrize("k", [0, 2, 4])
def test_a_moving_car_is_whole_and_leaves_no_trail(cloud, k):
    semantics = cloud.semantics(k, Ballot(GRID))
    T_now_then = [T_global_car(k) @ se3.inverse(T_global_car(j)) for j in range(FRAMES)]
    whole = np.concatenate([se3.transform_points(T, car_points(j)) for j, T in enumerate(T_now_then)])
    np.testing.assert_array_equal(np.flatnonzero(semantics == CAR), cells(k, whole))


def test_what_stands_is_gathered_from_all_sweeps(cloud):
    wall = np.array([[196.1, 93.1, 1.0]])
    for k in (0, 4):
        assert (cloud.semantics(k, Ballot(GRID)).reshape(-1)[cells(k, wall)] == WALL).all()
    assert not (cloud.semantics(2, Ballot(GRID), causal=True) == WALL).any()
    # Under the car of now there is road that other sweeps saw.
    under = se3.transform_points(T_global_car(0), np.array([[0.0, 0.0, -0.9]]))
    assert (cloud.semantics(0, Ballot(GRID)).reshape(-1)[cells(0, under)] == ROAD).all()
    assert (cloud.semantics(0, Ballot(GRID), causal=True).reshape(-1)[cells(0, under)] == OCC3D.free).all()


def test_causal_labels_look_only_back(cloud):
    first = SceneCloud(sweeps()[:3], around()[:3])
    np.testing.assert_array_equal(
        first.semantics(2, Ballot(GRID), causal=True), cloud.semantics(2, Ballot(GRID), causal=True)
    )
    causal = cloud.semantics(2, Ballot(GRID), causal=True)
    np.testing.assert_array_equal(np.flatnonzero(causal == CAR), cells(2, car_points(2)))


def test_rays_tell_what_is_seen(cloud):
    T = [se3.inverse(ego(2)) @ ego(k) @ T_EGO_LIDAR for k in range(FRAMES)]
    points = [sweep.points for sweep in sweeps()]
    own = raycast.carve(GRID, T[2][:3, 3], se3.transform_points(T[2], points[2].astype(np.float64)))
    np.testing.assert_array_equal(cloud.seen(2, GRID, ()), own)
    every = own.copy()
    for k in (0, 4):
        every |= raycast.carve(GRID, T[k][:3, 3], se3.transform_points(T[k], points[k].astype(np.float64)))
    seen = cloud.seen(2, GRID, (0, 4))
    assert (own & ~seen).sum() == 0 and (seen & ~every).sum() == 0
    # Rays of other times went through where the car is now: that says nothing about it.
    body = np.stack(np.meshgrid(np.arange(-1.5, 1.6, 0.3), [-0.3, 0.0, 0.3], [-0.3, 0.0, 0.3]), axis=-1).reshape(-1, 3)
    inside = se3.transform_points(T_global_car(2), body)
    hidden = cells(2, inside)
    assert every.reshape(-1)[hidden].any()
    np.testing.assert_array_equal(seen.reshape(-1)[hidden], own.reshape(-1)[hidden])
    semantics = cloud.semantics(2, Ballot(GRID))
    assert masked(semantics, seen)[semantics != OCC3D.free].all()
