"""Returns in occupied voxels, against a loop over points."""

import numpy as np

from drivewm.evaluation.functional.agreement import returns_in_occupied
from drivewm.geometry import VoxelGrid
from drivewm.structures import OCC3D

GRID = VoxelGrid((-4.0, -4.0, -1.0, 4.0, 4.0, 3.0), 0.5)


def by_hand(points, labels, reach, raised_m):
    hits = total = 0
    for point in points:
        cell = np.floor((point[:3] - GRID.origin_m) / GRID.voxel_m).astype(int)
        if (cell < 0).any() or (cell >= GRID.shape).any() or point[2] < raised_m:
            continue
        if labels[tuple(cell)] == OCC3D.num_classes:
            continue
        near = labels[tuple(slice(max(c - reach, 0), c + reach + 1) for c in cell)]
        hits += bool(((near != OCC3D.free) & (near != OCC3D.num_classes)).any())
        total += 1
    return [hits, total]


def test_returns_are_counted_as_a_loop_counts_them():
    rng = np.random.default_rng(0)
    labels = np.full(GRID.shape, OCC3D.free, np.uint8)
    labels[rng.random(GRID.shape) < 0.02] = OCC3D.index("car")
    labels[rng.random(GRID.shape) < 0.1] = OCC3D.num_classes
    points = rng.uniform(-5, 5, (400, 4))
    for reach in (0, 1, 2):
        for raised_m in (-np.inf, 0.6):
            found = returns_in_occupied(points, labels, GRID, reach, raised_m)
            assert found.tolist() == by_hand(points, labels, reach, raised_m)


def test_returns_off_a_wall_agree_with_it_and_not_with_one_elsewhere():
    labels = np.full(GRID.shape, OCC3D.free, np.uint8)
    labels[12] = OCC3D.index("manmade")  # x in [2, 2.5)
    y = np.linspace(-3.9, 3.9, 50)
    wall = np.stack([np.full_like(y, 2.2), y, np.full_like(y, 1.0)], axis=-1)
    assert returns_in_occupied(wall, labels, GRID).tolist() == [50, 50]
    assert returns_in_occupied(wall - [2.0, 0.0, 0.0], labels, GRID).tolist() == [0, 50]
