"""SceneMaps: what a driver minds of a scene to come, in bird's-eye view, however it was predicted."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from drivewm.geometry import VoxelGrid, se2
from drivewm.structures import OCC3D, OccupancyForecast

_HEIGHT_M = (-0.2, 2.4)
"""Voxels whose centres lie between are in a vehicle's way; above it are bridges and the crowns of trees."""
_DOUBT, _DOUBT_GROWS = 0.8, 2  # of its neighbourhood, from so many moments on
_DRIVEABLE = OCC3D.index("driveable_surface")
_HARMLESS = (*OCC3D.ground, OCC3D.free)


@dataclass
class SceneMaps:
    """Maps of F moments, each in a frame of its own.

    Attributes:
        blocked: `(B, F, X, Y)` in [0, 1], how likely anything stands there that a vehicle would hit.
        drivable: `(B, F, X, Y)` in [0, 1], how likely the ground is made to be driven on.
        pose: `(B, F, 3)` x, y [m], yaw [rad] of each map's frame in the ego frame at t0.
        grid: range of the maps.
    """

    blocked: Tensor
    drivable: Tensor
    pose: Tensor
    grid: VoxelGrid

    @classmethod
    def of_forecast(cls, forecast: OccupancyForecast, pose: Tensor, grid: VoxelGrid) -> SceneMaps:
        """Of class probabilities, differentiable; `pose (B, F, 3)` or one that is broadcast to it."""
        probabilities, (low, high) = forecast.probabilities(torch.float32), _layers(grid)
        harmless = probabilities[:, :, _HARMLESS, ..., low:high].sum(2)
        blocked = (1 - harmless).amax(-1)
        drivable = probabilities[:, :, _DRIVEABLE].amax(-1)
        return cls(blocked, drivable, pose.expand(*probabilities.shape[:2], 3), grid)

    @classmethod
    def of_labels(cls, labels: Tensor, pose: Tensor, grid: VoxelGrid) -> SceneMaps:
        """Of classes `(B, F, X, Y, Z)` uint8; what is `OCC3D.num_classes` was not seen, so nothing is there."""
        low, high = _layers(grid)
        known = labels < OCC3D.num_classes
        harmless = torch.isin(labels, labels.new_tensor(_HARMLESS)) | ~known
        blocked = (~harmless[..., low:high]).any(-1).float()
        drivable = (labels == _DRIVEABLE).any(-1).float()
        return cls(blocked, drivable, pose.expand(*labels.shape[:2], 3), grid)

    def at(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the maps say at points `(B, F, P, 2)` [m, ego frame at t0], those of moment f being looked up in map f.

        Bilinear, and so differentiable in the points.

        Returns:
            `blocked`, `drivable` (0 outside of the grid) and `known`, 1 inside of it, each `(B, F, P)`.
        """
        local = se2.transform_points(se2.inverse(self.pose), points)
        low, extent = (torch.as_tensor(v[:2], dtype=local.dtype) for v in (self.grid.origin_m, self.grid.extent_m))
        where = 2 * (local - low.to(local.device)) / extent.to(local.device) - 1
        maps = torch.stack([self.blocked, self.drivable, torch.ones_like(self.blocked)], dim=2).flatten(0, 1).float()
        # grid_sample wants (along Y, along X)
        found = F.grid_sample(maps, where.float().flatten(0, 1).flip(-1)[:, :, None], align_corners=False)
        return tuple(found[..., 0].unflatten(0, points.shape[:2]).unbind(2))

    def doubted(self, now: SceneMaps) -> SceneMaps:
        """These maps, in which what is next to something that moved there since `now` is likely to be blocked, too.

        Where things will be is known to about a voxel, and the decoder draws each in one place: who passes a step
        before somebody, or behind, would seem to be safe. What stays where it is may be passed closely.

        Args:
            now: the present, one moment in the same frame.
        """
        moved = (self.blocked.float() - now.blocked.float()).relu()
        number = torch.arange(1, moved.shape[1] + 1, device=moved.device)
        doubt = _DOUBT * (number / _DOUBT_GROWS).clamp_max(1)[:, None, None]
        blocked = torch.maximum(self.blocked.float(), doubt * F.max_pool2d(moved, 3, 1, 1))
        return SceneMaps(blocked, self.drivable, self.pose, self.grid)

    def moments(self, chosen: Tensor | slice | list[int]) -> SceneMaps:
        """Some of the F moments."""
        return SceneMaps(self.blocked[:, chosen], self.drivable[:, chosen], self.pose[:, chosen], self.grid)


def _layers(grid: VoxelGrid) -> tuple[int, int]:
    """First and one past the last layer of voxels that are in a vehicle's way."""
    _, _, z = grid.shape
    centers = grid.origin_m[2] + grid.voxel_m * (torch.arange(z) + 0.5)
    inside = ((centers > _HEIGHT_M[0]) & (centers < _HEIGHT_M[1])).nonzero()[:, 0]
    if len(inside) == 0:
        raise ValueError(f"no voxel of the grid is in the way of a vehicle: {grid} has none between {_HEIGHT_M} m")
    return int(inside[0]), int(inside[-1]) + 1
