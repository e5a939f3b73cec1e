"""Points to bird's-eye-view maps: a small PointNet for each voxel, and a stem that convolves only what there is."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from drivewm.geometry import VoxelGrid
from drivewm.layers.sparse import SparseVoxels

_INTENSITY = 255.0


class PointNet(nn.Module):
    """Points -> features of the voxels that they lie in (Qi et al., 2017, in each voxel).

    Args:
        grid: points outside of it are left out.
        dim: features of a voxel.
    """

    def __init__(self, grid: VoxelGrid, dim: int) -> None:
        super().__init__()
        self.grid = grid
        self.points = nn.Sequential(nn.Linear(5, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.voxels = nn.Sequential(nn.Linear(dim + 1, dim), nn.SiLU())

    def forward(self, points: Tensor, valid: Tensor, time_s: Tensor | None = None) -> SparseVoxels:
        """What the voxels hold.

        Args:
            points: `(J, N, 4)` x, y, z [m] in the grid's frame, intensity 0..255.
            valid: `(J, N)` bool.
            time_s: `(J, N)` [s] of the points relative to the frame's stamp; 0 if not given.
        """
        cells = (points[..., :3] - points.new_tensor(self.grid.origin_m)) / self.grid.voxel_m
        shape = torch.tensor(self.grid.shape, device=points.device)
        kept = valid & (cells >= 0).all(-1) & (cells < shape).all(-1)
        frame, point = kept.nonzero(as_tuple=True)
        cells = cells[frame, point]
        x, y, z = cells.long().unbind(-1)
        flat = ((frame * shape[0] + x) * shape[1] + y) * shape[2] + z
        occupied, owner = flat.unique(return_inverse=True)
        age = torch.zeros_like(cells[:, :1]) if time_s is None else -time_s[frame, point, None]
        own = torch.cat([cells - cells.floor() - 0.5, points[frame, point, 3:4] / _INTENSITY, age], dim=1)
        values = self.points(own)
        most = values.new_zeros(len(occupied), values.shape[1])
        most = most.scatter_reduce(0, owner[:, None].expand_as(values), values, "amax", include_self=False)
        count = torch.bincount(owner, minlength=len(occupied)).to(most.dtype).log1p()
        features = self.voxels(torch.cat([most, count[:, None]], dim=1))
        columns = torch.stack(torch.unravel_index(occupied, (len(points), *self.grid.shape)), dim=1)
        return SparseVoxels(features, columns, len(points), self.grid.shape)


class PatchStem(nn.Module):
    """A convolution by whole columns of `patch` x `patch` voxels with as large a stride, at the cost of what is there.

    The same as folding height into the channels of a dense volume, as the occupancy tokenizer does, but nearly all
    voxels of a sweep are empty: each of the others adds what its place in the column makes of its features.

    Args:
        dim: features of a voxel.
        height: voxels in a column.
        out: channels of the map.
        patch: edge of a patch.
    """

    def __init__(self, dim: int, height: int, out: int, patch: int) -> None:
        super().__init__()
        self.patch, self.height = patch, height
        places = patch * patch * height
        self.weight = nn.Parameter(torch.randn(places, dim, out) / (4 * dim) ** 0.5)  # about four voxels a column
        self.bias = nn.Parameter(torch.zeros(out))

    def forward(self, voxels: SparseVoxels) -> Tensor:
        """`(J, out, X / patch, Y / patch)`."""
        p = self.patch
        x_cells, y_cells = voxels.shape[0] // p, voxels.shape[1] // p
        frame, x, y, z = voxels.index.unbind(1)
        place = ((x % p) * p + y % p) * self.height + z
        column = (frame * x_cells + x // p) * y_cells + y // p
        order = place.argsort()
        sizes = torch.bincount(place, minlength=len(self.weight)).tolist()
        rows = voxels.features[order].split(sizes)
        parts = torch.cat([row @ weight.to(row.dtype) for row, weight in zip(rows, self.weight, strict=True)])
        out = self.bias.to(parts.dtype).expand(voxels.frames * x_cells * y_cells, -1).index_add(0, column[order], parts)
        return out.view(voxels.frames, x_cells, y_cells, -1).permute(0, 3, 1, 2)
