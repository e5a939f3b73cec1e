"""Knowledge: how much a dream still says about where the ego is."""

from __future__ import annotations

import numpy as np

from drivewm.dynamics.bicycle import VehicleParameters
from drivewm.geometry.voxel_grid import VoxelGrid
from drivewm.structures.labels import OCC3D

_AROUND_M = 1.0


class Knowledge:
    """Watches the frames of an episode: of which columns do they say anything at all, be it road or what stands there?

    Args:
        grid: of the frames.
        vehicle: the ego. Its surroundings reach 1 m beyond its footprint.

    Attributes:
        lost: why the dream is over before its time; None as long as it is not.
    """

    def __init__(self, grid: VoxelGrid, vehicle: VehicleParameters) -> None:
        x, y = np.moveaxis(grid.centers()[:, :, 0, :2], -1, 0)
        center_m, half_m = vehicle.rear_axle_to_center_m, (vehicle.length_m / 2, vehicle.width_m / 2)
        self._around = (np.abs(x - center_m) <= half_m[0] + _AROUND_M) & (np.abs(y) <= half_m[1] + _AROUND_M)
        if not self._around.any():
            raise ValueError(f"the ego lies outside of the grid {grid}: nothing can be known around it")
        self._least_around, self._least = 1.0, 1.0
        self.lost: str | None = None

    def add(self, occupancy: np.ndarray | None) -> None:
        """The next frame `(X, Y, Z)` in the ego frame; None where the world model gave what is no number."""
        if occupancy is None:
            self.lost = "the world model gave NaN or infinity"
            return
        known = (occupancy != OCC3D.free).any(-1)
        self._least_around = min(self._least_around, float(known[self._around].mean()))
        self._least = min(self._least, float(known.mean()))
        if not known[self._around].any():
            self.lost = "nothing is known around the ego: no road, and nothing that stands there"

    def to_dict(self) -> dict:
        """For records: why it was lost, and the smallest shares of known columns around the ego and in whole frames."""
        shares = {"least_known_around_ego": self._least_around, "least_known": self._least}
        return {"lost": self.lost, **{name: round(share, 4) for name, share in shares.items()}}
