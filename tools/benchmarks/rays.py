"""Ray casting through a changing occupancy grid (200 x 200 x 16, one LiDAR sweep of 34,688 rays)."""

from __future__ import annotations

import numpy as np

from benchmarks.measure import NotHere, Row, compare
from benchmarks.scenes import lidar_rays, street
from drivewm.geometry import OCC3D_GRID
from drivewm.geometry.raycast import cast_rays
from drivewm.structures import OCC3D

MAX_RANGE_M = 70.0


def against_open3d() -> Row:
    """open3d's RaycastingScene (Embree), with its building: the grid of a moving scene is new at each frame.

    The mesh has the faces between occupied and free voxels only, which is less to build than whole cubes.
    """
    try:
        import open3d
    except (ImportError, OSError) as error:
        raise NotHere(f"open3d cannot be imported ({error})") from None
    occupied, (origin, directions) = street() != OCC3D.free, lidar_rays()
    rays = np.concatenate([np.broadcast_to(origin, directions.shape), directions], axis=1).astype(np.float32)

    def build_and_cast() -> np.ndarray:
        scene = open3d.t.geometry.RaycastingScene()
        vertices, triangles = exposed_faces(occupied)
        scene.add_triangles(open3d.core.Tensor(vertices), open3d.core.Tensor(triangles))
        depth = scene.cast_rays(open3d.core.Tensor(rays))["t_hit"].numpy()
        return np.where(depth <= MAX_RANGE_M, depth, np.inf)

    return compare(
        lambda: cast_rays(occupied, OCC3D_GRID, origin, directions, MAX_RANGE_M)[0],
        build_and_cast,
        lambda a, b: _check_depths(a, b, tolerance_m=2e-3, share=0.999),
        goal=20.0,
    )


def against_sampling() -> Row:
    """Walking along every ray in steps of a quarter of a voxel, all rays at once in NumPy."""
    occupied, (origin, directions) = street() != OCC3D.free, lidar_rays()
    step_m = OCC3D_GRID.voxel_m / 4

    def walk() -> np.ndarray:
        depth, active = np.full(len(directions), np.inf), np.arange(len(directions))
        for t in np.arange(0.0, MAX_RANGE_M, step_m):
            index, inside = OCC3D_GRID.to_index(origin + t * directions[active])
            hit = inside & occupied[index[:, 0], index[:, 1], index[:, 2]]
            depth[active[hit]] = t
            active = active[inside & ~hit]  # the sensor is inside: who has left the grid does not return
        return depth

    def check(ours: np.ndarray, walked: np.ndarray) -> None:
        """A walker sees a voxel up to a step late, and steps over a corner now and then; it is never early."""
        if (walked < ours - 1e-9).any():
            raise AssertionError("a sample lies in an occupied voxel that the exact ray had not met yet")
        _check_depths(ours, walked, tolerance_m=step_m, share=0.95)

    return compare(lambda: cast_rays(occupied, OCC3D_GRID, origin, directions, MAX_RANGE_M)[0], walk, check, goal=None)


def exposed_faces(occupied: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices `(V, 3)` float32 [m] and triangles `(T, 3)` uint32 of the faces between occupied and free voxels."""
    corners = []
    padded = np.pad(occupied, 1)
    inner = (slice(1, -1),) * 3
    for axis in range(3):
        for side in (0, 1):
            neighbour = np.roll(padded, 1 if side == 0 else -1, axis)[inner]
            cells = np.argwhere(occupied & ~neighbour)
            u, v = (np.eye(3, dtype=np.int64)[(axis + k) % 3] for k in (1, 2))
            low = cells + side * np.eye(3, dtype=np.int64)[axis]
            corners.append(np.stack([low, low + u, low + u + v, low + v], axis=1))
    quads = np.concatenate(corners)
    vertices = (OCC3D_GRID.origin_m + quads.reshape(-1, 3) * OCC3D_GRID.voxel_m).astype(np.float32)
    first = 4 * np.arange(len(quads), dtype=np.uint32)[:, None]
    triangles = np.concatenate([first + np.array([0, 1, 2], np.uint32), first + np.array([0, 2, 3], np.uint32)])
    return vertices, triangles


def _check_depths(a: np.ndarray, b: np.ndarray, tolerance_m: float, share: float) -> None:
    with np.errstate(invalid="ignore"):
        agree = (a == b) | (np.abs(a - b) <= tolerance_m)  # infinities are equal
    if agree.mean() < share:
        raise AssertionError(f"only {agree.mean():.2%} of depths agree within {tolerance_m} m, expected {share:.2%}")
