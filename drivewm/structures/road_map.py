"""The map: lanes, the connectors that join them in intersections, and where one may drive."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Lane:
    """A lane or a connector inside an intersection.

    Attributes:
        lane_id: its key in `RoadMap.lanes`.
        centerline: `(N, 2)` float64 [m], global frame, in driving direction.
        width_m: full width [m].
        successors: lanes that one may drive on to at its end.
        intersection: the intersection that this connector belongs to; None for a lane between intersections.
    """

    lane_id: int
    centerline: np.ndarray
    width_m: float
    successors: tuple[int, ...]
    intersection: int | None = None

    def __post_init__(self) -> None:
        if self.centerline.ndim != 2 or self.centerline.shape[1] != 2 or len(self.centerline) < 2:
            raise ValueError(
                f"lane {self.lane_id}: centerline must have shape (N >= 2, 2), got {self.centerline.shape}"
            )


@dataclass(frozen=True)
class RoadMap:
    """Lanes and the drivable area of one location.

    Attributes:
        lanes: by id.
        drivable: `(H, W)` bool raster; H runs along global x and W along global y.
        origin_m: global x, y of the raster's lower corner [m].
        resolution_m: edge of a raster cell [m].
    """

    lanes: dict[int, Lane]
    drivable: np.ndarray
    origin_m: tuple[float, float]
    resolution_m: float

    def is_drivable(self, points: np.ndarray) -> np.ndarray:
        """Which global points `(..., 2)` [m] lie on the drivable area: bool `(...)`. Outside of the raster: no."""
        cell = np.floor((np.asarray(points, np.float64) - np.array(self.origin_m)) / self.resolution_m)
        inside = np.all((cell >= 0) & (cell < np.array(self.drivable.shape)), axis=-1)
        row, column = np.moveaxis(np.where(inside[..., None], cell, 0).astype(np.int64), -1, 0)
        return inside & self.drivable[row, column]
