"""RayRaster: where a spinning LiDAR looks, also where nothing comes back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from drivewm.geometry.transform import transform_points
from drivewm.structures.rays import Rays


@dataclass(frozen=True)
class RayRaster:
    """Elevation (rows, the highest first) by azimuth (columns, all around), in the LiDAR frame.

    Point clouds do not tell which rays were fired and lost. But where no point lies in a cell or next to it, none of
    the cell's rays came back, provided that cells are not finer than the sensor's rays.

    Attributes:
        rows, columns: number of cells.
        lowest_deg, highest_deg: of the sensor's field of view.
    """

    rows: int = 32
    columns: int = 360
    lowest_deg: float = -30.67
    highest_deg: float = 10.67

    def __post_init__(self) -> None:
        if self.rows < 1 or self.columns < 3:
            raise ValueError(f"a raster of rays needs a row and three columns, got {self.rows} x {self.columns}")
        if not -90 < self.lowest_deg < self.highest_deg < 90:
            raise ValueError(f"lowest_deg {self.lowest_deg} must lie below highest_deg {self.highest_deg}")

    def directions(self) -> Tensor:
        """Unit vectors `(rows, columns, 3)` through the cells' middles."""
        high, low = math.radians(self.highest_deg), math.radians(self.lowest_deg)
        elevation = high - (high - low) * (torch.arange(self.rows) + 0.5) / self.rows
        azimuth = 2 * math.pi * (torch.arange(self.columns) + 0.5) / self.columns - math.pi
        elevation, azimuth = torch.meshgrid(elevation, azimuth, indexing="ij")
        flat = elevation.cos()
        return torch.stack([flat * azimuth.cos(), flat * azimuth.sin(), elevation.sin()], dim=-1)

    def rays(self, T_frame_lidar: Tensor) -> Rays:
        """Rays `(J, rows * columns)` of sensors at `T_frame_lidar (J, 4, 4)`."""
        ahead = self.directions().flatten(0, 1).to(T_frame_lidar)
        origins = T_frame_lidar[:, None, :3, 3].expand(-1, len(ahead), -1)
        return Rays(origins, transform_points(T_frame_lidar, ahead) - origins)

    def returned(self, points: Tensor, valid: Tensor) -> Tensor:
        """Cells `(J, rows, columns)` bool in which points `(J, N, 3)` [m, LiDAR frame] lie, of those that are valid."""
        x, y, z = points.unbind(-1)
        elevation = torch.rad2deg(torch.atan2(z, torch.hypot(x, y)))
        row = ((self.highest_deg - elevation) / (self.highest_deg - self.lowest_deg) * self.rows).floor().long()
        column = ((torch.atan2(y, x) / (2 * math.pi) + 0.5) * self.columns).floor().long() % self.columns
        inside = valid & (row >= 0) & (row < self.rows)
        # What is outside falls into a cell behind the last one.
        cell = torch.where(inside, row * self.columns + column, self.rows * self.columns)
        found = torch.zeros(len(points), self.rows * self.columns + 1, dtype=torch.bool, device=points.device)
        return found.scatter_(1, cell, True)[:, :-1].unflatten(1, (self.rows, self.columns))

    def look(self, points: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Cells `(J, rows, columns)` bool from which, and from around which, nothing came back; and those with returns.

        Arguments as for `returned`. A frame without any point says nothing: none of its cells is silent.
        """
        returned = self.returned(points, valid)
        around = F.pad(returned.float()[:, None], (1, 1, 0, 0), mode="circular")
        near = F.max_pool2d(F.pad(around, (0, 0, 1, 1)), 3, stride=1)[:, 0] > 0
        return ~near & valid.any(1)[:, None, None], returned
