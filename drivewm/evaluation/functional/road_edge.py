"""How far from the edge of the road."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt, map_coordinates

from drivewm.structures.road_map import RoadMap


class RoadEdge:
    """Signed distances to the edge of a map's drivable area, looked up in a raster.

    The edge runs between cells; distances are exact there to about half a cell.
    """

    def __init__(self, road_map: RoadMap) -> None:
        # Nothing is drivable outside of the raster.
        drivable = np.pad(road_map.drivable, 1)
        if not drivable.any():
            raise ValueError("RoadMap.drivable has no drivable cell, expected some")
        cells = np.where(drivable, 0.5 - distance_transform_edt(drivable), distance_transform_edt(~drivable) - 0.5)
        self._distance = cells * road_map.resolution_m
        self._origin = np.array(road_map.origin_m) - road_map.resolution_m
        self._resolution_m = road_map.resolution_m

    def distance(self, points: np.ndarray) -> np.ndarray:
        """`(...)` [m] of global points `(..., 2)`: negative on the road. Outside of the raster: of its border."""
        points = np.asarray(points, np.float64)
        cell = (points.reshape(-1, 2) - self._origin) / self._resolution_m - 0.5
        return map_coordinates(self._distance, cell.T, order=1, mode="nearest").reshape(points.shape[:-1])
