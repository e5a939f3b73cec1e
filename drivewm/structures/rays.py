"""Rays: where a sensor looks, which is all that rendering asks of it. Any sensor, any pose."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from drivewm.geometry import VoxelGrid


@dataclass
class Rays:
    """R rays in each of J frames.

    Attributes:
        origins: `(J, R, 3)` float32 [m].
        directions: `(J, R, 3)` float32, unit length.
    """

    origins: Tensor
    directions: Tensor

    def __post_init__(self) -> None:
        if self.origins.shape != self.directions.shape or self.origins.ndim != 3 or self.origins.shape[-1] != 3:
            raise ValueError(
                f"origins and directions must both be (J, R, 3), got {tuple(self.origins.shape)} and "
                f"{tuple(self.directions.shape)}"
            )
        length = self.directions.norm(dim=-1)
        if not ((length - 1).abs() < 1e-3).all():
            raise ValueError(f"directions of rays must have unit length, got {length.min():g} to {length.max():g}")

    @classmethod
    def towards(cls, points: Tensor, T_frame_lidar: Tensor) -> tuple[Rays, Tensor]:
        """The rays that met `points (J, R, 3)` [m], and how far away those are, `(J, R)` [m].

        The sensor stands at `T_frame_lidar (J, 4, 4)`. A point that lies in the sensor itself is ahead.
        """
        origins = T_frame_lidar[:, None, :3, 3].expand_as(points)
        offset = points - origins
        depth_m = offset.norm(dim=-1)
        forward = torch.tensor([1.0, 0.0, 0.0], dtype=points.dtype, device=points.device)
        away = (depth_m > 1e-6)[..., None]
        return cls(origins, torch.where(away, offset / depth_m.clamp_min(1e-6)[..., None], forward)), depth_m

    def at(self, depth_m: Tensor) -> Tensor:
        """Points `(J, R, 3)` [m] at `depth_m (J, R)` along the rays."""
        return self.origins + depth_m[..., None] * self.directions

    def span(self, grid: VoxelGrid) -> tuple[Tensor, Tensor]:
        """Depths `(J, R)` [m] at which the rays enter and leave the grid's box; equal where they miss it."""
        low = torch.as_tensor(grid.range_m[:3], device=self.origins.device, dtype=self.origins.dtype)
        high = torch.as_tensor(grid.range_m[3:], device=self.origins.device, dtype=self.origins.dtype)
        # A direction of zero along an axis: infinite of either sign, or undefined on the border; then another decides.
        slope = torch.where(self.directions.abs() < 1e-9, 1e-9, self.directions)
        a, b = (low - self.origins) / slope, (high - self.origins) / slope
        near = torch.minimum(a, b).amax(-1).clamp_min(0)
        far = torch.maximum(a, b).amin(-1)
        return near, torch.maximum(far, near)
