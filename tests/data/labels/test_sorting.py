"""What points belong to: against the NumPy twin, and cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from drivewm.data.labels.sorting import ALONE, DROPPED, FAR_M, STATIC, Sweep, sort_out, sort_out_reference
from drivewm.data.labels.tracks import SweepBoxes
from drivewm.data.labels.voting import UNLABELLED
from drivewm.geometry import se3
from drivewm.structures import OCC3D

ROAD, CAR, PERSON, OTHERS, TREE = (
    OCC3D.index(name) for name in ("driveable_surface", "car", "pedestrian", "others", "vegetation")
)
T_EGO_LIDAR = se3.from_xyzyaw(0.94, 0.0, 1.84, -np.pi / 2)
T_GLOBAL_EGO = se3.from_xyzyaw(800.0, 1200.0, 3.0, 0.7) @ se3.from_quaternion(
    np.array([1, 0.01, -0.02, 0]), np.zeros(3)
)


def boxes(rng: np.random.Generator, count: int, spread_m: float) -> SweepBoxes:
    center = rng.uniform(-spread_m, spread_m, (count, 3)) * [1, 1, 0.02]
    size, yaw = rng.uniform([0.5, 0.5, 1.0], [8.0, 3.0, 3.0], (count, 3)), rng.uniform(-4, 4, (count, 1))
    return SweepBoxes(
        np.concatenate([center + T_GLOBAL_EGO[:3, 3] + [0, 0, 0.9], size, yaw], axis=1),
        rng.permutation(2 * count)[:count].astype(np.int32),
        rng.choice([CAR, PERSON, OTHERS], count).astype(np.uint8),
        rng.uniform(0, 1, count),
        rng.random(count) < 0.7,
    )


@pytest.mark.parametrize(("count", "spread_m"), [(0, 1.0), (1, 5.0), (30, 25.0), (60, 110.0)])
def test_equal_to_the_reference(count, spread_m):
    rng = np.random.default_rng(count)
    around = boxes(rng, count, spread_m)
    points = rng.uniform(-1, 1, (6000, 5)) * [spread_m, spread_m, 3, 1, 1]
    if count:  # half of them near boxes
        chosen = around.boxes[rng.integers(0, count, 3000)]
        there = chosen[:, :3] + rng.uniform(-0.7, 0.7, (3000, 3)) * chosen[:, 3:6]
        points[:3000, :3] = se3.transform_points(se3.inverse(T_GLOBAL_EGO @ T_EGO_LIDAR), there)
    points = points.astype(np.float32)
    classes = rng.choice([ROAD, CAR, PERSON, OTHERS, TREE, UNLABELLED], len(points)).astype(np.uint8)
    sweep = Sweep(points, classes, T_EGO_LIDAR, T_GLOBAL_EGO)
    found, expected = sort_out(sweep, around), sort_out_reference(sweep, around)
    for name in ("points", "classes", "owner", "track"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    np.testing.assert_allclose(found.local, expected.local, atol=1e-5)
    assert count < 2 or len(np.unique(found.owner)) > 0.5 * count


def owner_of(point, kind: int, known: bool = True, label: int = CAR) -> int:
    """Owner of one point [m, ego frame], where a car 4 m long stands 10 m ahead and moves at 10 m/s."""
    lidar = se3.transform_points(se3.inverse(T_EGO_LIDAR), np.array([point], np.float64)).astype(np.float32)
    around = SweepBoxes(
        np.array([[10.0, 0.0, 0.75, 4.0, 2.0, 1.5, 0.0]]),
        np.array([7], np.int32),
        np.array([label], np.uint8),
        np.array([0.5]),
        np.array([known]),
    )
    sweep = Sweep(lidar, np.array([kind], np.uint8), T_EGO_LIDAR, np.eye(4))
    owner = sort_out(sweep, around).owner
    return int(owner[0]) if len(owner) else None


def test_in_a_box():
    assert owner_of((10, 0.5, 1.0), CAR) == 7
    assert owner_of((10, 0.5, 1.0), PERSON) == 7  # who sits in it
    assert owner_of((10, 0.5, 0.05), ROAD) == STATIC and owner_of((10, 0.5, 1.4), TREE) == STATIC
    assert owner_of((10, 0.5, 1.0), UNLABELLED) == 7
    assert owner_of((10, 0.5, 0.05), UNLABELLED) == DROPPED  # the road's or a wheel's
    assert owner_of((10, 0.5, 1.0), OTHERS) == STATIC and owner_of((10, 0.5, 1.0), OTHERS, label=OTHERS) == 7


def test_around_a_box_and_behind_it():
    assert owner_of((10, 1.05, 1.0), CAR) == 7 and owner_of((10, 1.2, 1.0), CAR) == ALONE
    assert owner_of((10, 1.2, 1.0), UNLABELLED) == DROPPED and owner_of((10, 1.4, 1.0), UNLABELLED) == STATIC
    assert owner_of((7.4, 0.0, 1.0), UNLABELLED) == DROPPED  # it was there when the beam came by
    assert owner_of((12.6, 0.0, 1.0), UNLABELLED) == STATIC
    assert owner_of((7.4, 0.0, 0.0), ROAD) == STATIC


def test_in_a_box_that_is_only_guessed():
    assert owner_of((10, 0.5, 1.0), CAR, known=False) == ALONE
    assert owner_of((10, 0.5, 1.0), UNLABELLED, known=False) == DROPPED
    assert owner_of((10, 0.5, 0.0), ROAD, known=False) == STATIC


def test_without_a_box():
    assert owner_of((20, 0, 1.0), CAR) == ALONE and owner_of((20, 0, 0), ROAD) == STATIC
    assert owner_of((FAR_M - 1, 0, 1.0), UNLABELLED) == STATIC and owner_of((FAR_M + 2, 0, 1.0), UNLABELLED) == DROPPED
    assert owner_of((FAR_M + 2, 0, 1.0), TREE) == STATIC


def test_the_ego_itself_is_left_out():
    assert owner_of((1.0, 0.5, 1.0), CAR) is None and owner_of((1.0, 1.5, 1.0), CAR) == ALONE
    assert owner_of((1.0, 0.5, 0.0), ROAD) == STATIC  # under it
