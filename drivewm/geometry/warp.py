"""Move voxel grids and bird's-eye-view features from one ego frame into another.

Each output cell looks up its content in the source frame (inverse warping), so nothing has holes. torch, batched, on
any device; features are warped differentiably.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from drivewm.geometry.voxel_grid import VoxelGrid


def _cell_centers(grid: VoxelGrid, shape: tuple[int, ...], device: torch.device) -> list[Tensor]:
    """Centre coordinates [m] along each axis when the grid's box is split into `shape` cells."""
    return [
        torch.arange(n, device=device, dtype=torch.float32)
        .add_(0.5)
        .mul_(grid.extent_m[axis] / n)
        .add_(grid.origin_m[axis])
        for axis, n in enumerate(shape)
    ]


def warp_voxels(voxels: Tensor, T_dst_src: Tensor, grid: VoxelGrid, fill: int) -> Tensor:
    """Nearest-neighbour warp of voxel labels into another ego frame.

    Args:
        voxels: `(B, X, Y, Z)`, any dtype, in frame src.
        T_dst_src: `(B, 4, 4)` [m]: the motion between the frames.
        grid: the grid of both frames.
        fill: label of the voxels that lie outside of the source grid.

    Returns:
        `(B, X, Y, Z)` in frame dst.
    """
    if tuple(voxels.shape[1:]) != grid.shape:
        raise ValueError(f"voxels have shape {tuple(voxels.shape[1:])}, but the grid has {grid.shape}")
    x, y, z = _cell_centers(grid, grid.shape, voxels.device)
    centers = torch.stack(torch.meshgrid(x, y, z, indexing="ij"), dim=-1).reshape(-1, 3)
    T_src_dst = torch.linalg.inv(T_dst_src.double()).float()
    source = centers @ T_src_dst[:, :3, :3].transpose(1, 2) + T_src_dst[:, None, :3, 3]
    # The tiny shift keeps an identity warp exact although cell centres are rounded to float32.
    cell = torch.floor(
        (source - torch.as_tensor(grid.origin_m, dtype=torch.float32, device=voxels.device)) / grid.voxel_m + 1e-4
    )
    shape = torch.tensor(grid.shape, device=voxels.device)
    inside = ((cell >= 0) & (cell < shape)).all(-1)
    cell = cell.long().clamp_min_(0).minimum(shape - 1)
    flat = (cell[..., 0] * grid.shape[1] + cell[..., 1]) * grid.shape[2] + cell[..., 2]
    moved = voxels.reshape(len(voxels), -1).gather(1, flat)
    return torch.where(inside, moved, torch.as_tensor(fill, dtype=voxels.dtype, device=voxels.device)).reshape(
        voxels.shape
    )


def warp_bev(features: Tensor, T_dst_src: Tensor, grid: VoxelGrid) -> tuple[Tensor, Tensor]:
    """Bilinear warp of bird's-eye-view features into another ego frame (planar: height, roll and pitch are ignored).

    Args:
        features: `(B, C, H, W)` in frame src; H runs along x and W along y over the grid's whole range.
        T_dst_src: `(B, 4, 4)` [m].
        grid: gives the range; H and W need not be its shape.

    Returns:
        features `(B, C, H, W)` in frame dst (zero outside of the source) and valid `(B, 1, H, W)` in [0, 1], the
        share of each cell that the source covers.
    """
    batch, _, height, width = features.shape
    x, y = _cell_centers(grid, (height, width), features.device)
    centers = torch.stack(torch.meshgrid(x, y, indexing="ij"), dim=-1).reshape(-1, 2)
    T_src_dst = torch.linalg.inv(T_dst_src.double()).float()
    source = centers @ T_src_dst[:, :2, :2].transpose(1, 2) + T_src_dst[:, None, :2, 3]
    low, extent = (
        torch.as_tensor(v[:2], dtype=torch.float32, device=features.device) for v in (grid.origin_m, grid.extent_m)
    )
    normalized = (2 * (source - low) / extent - 1).reshape(batch, height, width, 2)
    # grid_sample wants (last axis, second-last axis), that is (y, x).
    sampling = normalized.flip(-1).to(features.dtype)
    padded = torch.cat([features, features.new_ones(batch, 1, height, width)], dim=1)
    moved = F.grid_sample(padded, sampling, mode="bilinear", padding_mode="zeros", align_corners=False)
    return moved[:, :-1], moved[:, -1:]
