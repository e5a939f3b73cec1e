"""The one definition of a voxel grid: range, voxel size, shape and indexing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class VoxelGrid:
    """A box of cubic voxels in the ego frame, indexed `[x, y, z]`.

    Cells are half open: voxel i along an axis holds `low + i * voxel_m <= value < low + (i + 1) * voxel_m`.

    Attributes:
        range_m: x, y, z of the lower corner, then of the upper corner [m].
        voxel_m: edge of a voxel [m].

    Raises:
        ValueError: if the range is empty or not finite, the voxel is not positive, or an extent is not a whole
            number of voxels.
    """

    range_m: tuple[float, float, float, float, float, float]
    voxel_m: float

    def __post_init__(self) -> None:
        # Canonical types: a grid read from JSON (lists, ints) equals the one written.
        object.__setattr__(self, "range_m", tuple(float(v) for v in self.range_m))
        object.__setattr__(self, "voxel_m", float(self.voxel_m))
        if len(self.range_m) != 6 or not np.isfinite(self.range_m).all():
            raise ValueError(
                f"VoxelGrid.range_m must be 6 finite numbers (lower x, y, z, upper x, y, z), got {self.range_m}"
            )
        if not self.voxel_m > 0 or not np.isfinite(self.voxel_m):
            raise ValueError(f"VoxelGrid.voxel_m must be a positive length in metres, got {self.voxel_m}")
        cells = self.extent_m / self.voxel_m
        if np.any(self.extent_m <= 0) or np.any(np.abs(cells - np.round(cells)) > 1e-4):
            raise ValueError(
                f"VoxelGrid.range_m {self.range_m} spans {self.extent_m.tolist()} m, which is not a positive whole "
                f"number of voxels of {self.voxel_m} m"
            )

    @classmethod
    def centered(
        cls, shape: tuple[int, int, int], voxel_m: float, z_min_m: float = -1.0, x_min_m: float | None = None
    ) -> VoxelGrid:
        """A grid of `shape` voxels with the ego in the middle of y, starting at height `z_min_m` and, along x, at
        `x_min_m` (None: the ego is in the middle of x too)."""
        x, y, z = (int(n) * voxel_m for n in shape)
        behind = -x / 2 if x_min_m is None else x_min_m
        return cls((behind, -y / 2, z_min_m, round(behind + x, 6), y / 2, round(z_min_m + z, 6)), voxel_m)

    @property
    def origin_m(self) -> np.ndarray:
        """Lower corner (3,) [m]."""
        return np.array(self.range_m[:3])

    @property
    def extent_m(self) -> np.ndarray:
        """Edge lengths (3,) [m]."""
        return np.array(self.range_m[3:]) - self.origin_m

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along x, y, z."""
        x, y, z = np.round(self.extent_m / self.voxel_m).astype(int).tolist()
        return x, y, z

    def to_index(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Voxel of each point.

        Args:
            points: `(..., 3 + C)` [m], ego frame.

        Returns:
            index `(..., 3)` int64 (meaningless where outside) and inside `(...)` bool. NaN points are outside.
        """
        cells = np.floor((np.asarray(points, np.float64)[..., :3] - self.origin_m) / self.voxel_m)
        inside = np.all((cells >= 0) & (cells < np.array(self.shape)), axis=-1)
        return np.where(inside[..., None], cells, 0).astype(np.int64), inside

    def to_center(self, index: np.ndarray) -> np.ndarray:
        """Centres `(..., 3)` [m] of the voxels `index (..., 3)`."""
        return self.origin_m + (np.asarray(index, np.float64) + 0.5) * self.voxel_m

    def centers(self) -> np.ndarray:
        """Centres `(X, Y, Z, 3)` [m] of all voxels."""
        return self.to_center(np.stack(np.meshgrid(*(np.arange(n) for n in self.shape), indexing="ij"), axis=-1))


OCC3D_GRID = VoxelGrid((-40.0, -40.0, -1.0, 40.0, 40.0, 5.4), 0.4)
"""Occ3D-nuScenes' grid (Tian et al., 2023): 200 x 200 x 16 voxels of 0.4 m."""
