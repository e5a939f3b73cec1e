"""Point clouds: voxelization and Chamfer distance of LiDAR sweeps, against libraries made for it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from benchmarks.measure import NotHere, Row, compare
from drivewm.evaluation.functional.nearest import mutual_nearest
from drivewm.geometry import VoxelGrid, se3
from drivewm.geometry.voxelize import Voxelizer
from drivewm.simulation import Town, TownSimulator, make_scenarios

GRID = VoxelGrid((-70.4, -70.4, -3.2, 70.4, 70.4, 3.2), 0.2)
"""704 x 704 x 32 voxels."""


def chamfer_pykdtree() -> Row:
    """Nearest neighbours both ways between two sweeps, half a second apart, against pykdtree with its building.

    One thread each: set OMP_NUM_THREADS=1, since pykdtree asks with OpenMP.
    """
    try:
        from pykdtree.kdtree import KDTree
    except ImportError as error:
        raise NotHere(f"pykdtree cannot be imported ({error})") from None
    return _chamfer(lambda a, b: KDTree(b).query(a)[0], goal=2.0)


def chamfer_scipy() -> Row:
    """The same against scipy's cKDTree, on one thread."""
    from scipy.spatial import cKDTree

    return _chamfer(lambda a, b: cKDTree(b).query(a)[0], goal=None)


def voxelize(count: int, goal: float) -> Row:
    """So many points into 0.2 m voxels, against spconv's PointToVoxel on a CPU, told to keep one point a voxel.

    Points lie well inside of their voxels: spconv decides in float32, so that on borders it may differ.
    """
    try:
        from cumm import tensorview
        from spconv.utils import Point2VoxelCPU3d
    except ImportError as error:
        raise NotHere(f"spconv cannot be imported ({error})") from None
    points, ours = _points(count), Voxelizer(GRID)
    theirs = Point2VoxelCPU3d([GRID.voxel_m] * 3, list(GRID.range_m), points.shape[1], count, 1)
    taken = tensorview.from_numpy(points)

    def check(found: np.ndarray, expected: np.ndarray) -> None:
        if not np.array_equal(found, expected[:, ::-1]):  # theirs are z, y, x
            raise AssertionError(f"{len(found)} and {len(expected)} voxels, which are not the same in the same order")

    return compare(lambda: ours(points).index, lambda: theirs.point_to_voxel(taken)[1].numpy(), check, goal)


def _points(count: int) -> np.ndarray:
    """Points `(count, 4)` float32 as dense near the sensor as a sweep, in voxels that come again and again."""
    rng = np.random.default_rng(0)
    distance, angle = 68.0 * rng.random(count) ** 2, rng.uniform(0, 2 * np.pi, count)
    places = np.stack([distance * np.cos(angle), distance * np.sin(angle), rng.uniform(-3, 3, count)], axis=-1)
    cells, _ = GRID.to_index(places)
    points = GRID.to_center(cells) + rng.uniform(-0.4, 0.4, (count, 3)) * GRID.voxel_m
    return np.concatenate([points, rng.random((count, 1))], axis=-1).astype(np.float32)


def _chamfer(distances, goal: float | None) -> Row:
    a, b = _sweeps()

    def check(ours: tuple[np.ndarray, np.ndarray], theirs: tuple[np.ndarray, np.ndarray]) -> None:
        for squared, distance in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(np.sqrt(squared), distance, rtol=1e-4, atol=1e-5)

    return compare(lambda: mutual_nearest(a, b), lambda: (distances(a, b), distances(b, a)), check, goal)


@lru_cache(maxsize=1)
def _sweeps() -> tuple[np.ndarray, np.ndarray]:
    """Two sweeps of the town, half a second apart, in the LiDAR frame of the first: about 32,000 points each."""
    town = Town.generate(0, "benchmark-town")
    simulator, rng = TownSimulator(town), np.random.default_rng(0)
    simulator.reset(make_scenarios(town, 1, 0, 20.0)[0])
    first = simulator.lidar(rng)
    T_global_first = simulator.T_global_ego() @ first.T_ego_lidar
    for _ in range(5):
        simulator.step(simulator.expert_control())
    second = simulator.lidar(rng)
    T_first_second = se3.inverse(T_global_first) @ simulator.T_global_ego() @ second.T_ego_lidar
    moved = se3.transform_points(T_first_second, second.points[:, :3].astype(np.float64))
    return first.points[:, :3].astype(np.float32), moved.astype(np.float32)
