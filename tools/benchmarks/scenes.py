"""Inputs of the benchmarks: a made-up street at the size of Occ3D-nuScenes, and the rays of a 32-beam LiDAR."""

from __future__ import annotations

import numpy as np

from drivewm.geometry import OCC3D_GRID
from drivewm.structures import OCC3D


def street(seed: int = 0) -> np.ndarray:
    """Labels `(200, 200, 16)` uint8: a road, sidewalks, rows of buildings, trees and vehicles."""
    rng = np.random.default_rng(seed)
    labels = np.full(OCC3D_GRID.shape, OCC3D.free, np.uint8)
    size_x, size_y, size_z = OCC3D_GRID.shape
    labels[:, :, 1] = OCC3D.index("terrain")
    labels[:, 70:130, 1] = OCC3D.index("sidewalk")
    labels[:, 82:118, 1] = OCC3D.index("driveable_surface")
    for side in (slice(40, 66), slice(134, 160)):
        for x in range(0, size_x, 25):
            depth, height = int(rng.integers(8, 24)), int(rng.integers(8, size_z))
            labels[x : x + depth, side, 2:height] = OCC3D.index("manmade")
    for name, count, shape in (
        ("vegetation", 40, (4, 4, 9)),
        ("car", 25, (11, 5, 4)),
        ("truck", 4, (20, 6, 8)),
        ("pedestrian", 30, (1, 1, 4)),
    ):
        for _ in range(count):
            x, y = rng.integers(0, size_x - 20), rng.integers(70, 130)
            labels[x : x + shape[0], y : y + shape[1], 2 : 2 + shape[2]] = OCC3D.index(name)
    labels[95:106, 96:104, 2:8] = OCC3D.free  # where the ego stands
    return labels


def lidar_rays() -> tuple[np.ndarray, np.ndarray]:
    """Origin `(3,)` [m] and unit directions `(34688, 3)` of one sweep: 32 beams from -30 to 10 degrees."""
    elevation, azimuth = np.meshgrid(
        np.deg2rad(np.linspace(-30.0, 10.0, 32)), np.linspace(0.0, 2 * np.pi, 1084, endpoint=False), indexing="ij"
    )
    directions = np.stack(
        [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)], axis=-1
    )
    return np.array([0.94, 0.0, 1.84]), directions.reshape(-1, 3)
