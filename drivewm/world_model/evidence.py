"""Evidence: what streams tell of space, column by column, for the decoders of other streams to read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from drivewm.geometry import VoxelGrid
from drivewm.structures import OCC3D
from drivewm.tokenizers.point_cloud import PointCloud


class Evidence(Protocol):
    """What one stream tells of J frames, each in its own ego frame."""

    def on(self, grid: VoxelGrid) -> Tensor:
        """Of the columns of a grid, `(J, K, X, Y)`; 0 where nothing is known."""


@dataclass(frozen=True)
class SolidVoxels:
    """Labels: observed, predicted or drawn.

    Attributes:
        labels: `(J, X, Y, Z)` uint8; `num_classes` where nothing is known.
        grid: of the labels.
    """

    labels: Tensor
    grid: VoxelGrid

    def on(self, grid: VoxelGrid) -> Tensor:
        """Is there something in each voxel, by the label at its centre: `(J, Z, X, Y)`, 1 or -1."""
        known = torch.where(self.labels == OCC3D.free, -1.0, 1.0).masked_fill(self.labels >= OCC3D.num_classes, 0.0)
        for axis, (number, own_number) in enumerate(zip(grid.shape, self.grid.shape, strict=True)):
            centres = grid.origin_m[axis] + (torch.arange(number, dtype=torch.float64) + 0.5) * grid.voxel_m
            index = ((centres - self.grid.origin_m[axis]) / self.grid.voxel_m).floor().long().to(known.device)
            inside = ((index >= 0) & (index < own_number)).view(-1, *[1] * (2 - axis))
            known = known.index_select(axis + 1, index.clamp(0, own_number - 1)) * inside
        return known.permute(0, 3, 1, 2)


@dataclass(frozen=True)
class SolidPoints:
    """Points that rays met. Where rays met nothing is not told.

    Attributes:
        cloud: of J frames.
    """

    cloud: PointCloud

    def on(self, grid: VoxelGrid) -> Tensor:
        """Is there a point in each voxel: `(J, Z, X, Y)`, 1 where there is."""
        low = torch.as_tensor(grid.origin_m, device=self.cloud.points.device).float()
        return self.cloud.met_in(low, torch.full_like(low, grid.voxel_m), grid.shape).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class Lifted:
    """What views showed last, lifted into a bird's-eye view; see `Lift`.

    Attributes:
        cells: `(J, P, C)` of its positions.
        columns: `(J, K, x, y)` of its columns, finer than the positions.
    """

    cells: Tensor
    columns: Tensor

    def on(self, grid: VoxelGrid) -> Tensor:
        """`(J, K, X, Y)`, of a grid with the range of the bird's-eye view."""
        return F.interpolate(self.columns, grid.shape[:2])

    def __add__(self, other: Lifted) -> Lifted:
        return Lifted(self.cells + other.cells, self.columns + other.columns)

    def __getitem__(self, frames) -> Lifted:
        """Some of the frames, as a tensor of that shape is indexed."""
        return Lifted(self.cells[frames], self.columns[frames])

    def with_blind_twin(self) -> Lifted:
        """See `Memory`."""
        return Lifted(*(torch.cat([part, torch.zeros_like(part)]) for part in (self.cells, self.columns)))
