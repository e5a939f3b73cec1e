"""Move voxel grids and bird's-eye-view features from one ego frame into another.

Each output cell looks up its content in the source frame (inverse warping), so nothing has holes. Batched, on any
device: labels on a CPU by a numba kernel, everything else in torch. Features are warped differentiably.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from drivewm.geometry import _warp_kernels
from drivewm.geometry.voxel_grid import VoxelGrid

_BITS = 24
_FARTHEST = 2.0**36
"""[voxels]; in units of 2^-24 voxels, three of them still fit into 64 bits."""


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
    return warp_newest(voxels[:, None], T_dst_src[:, None, None], grid, fill)[:, 0]


def warp_newest(sources: Tensor, T_dst_src: Tensor, grid: VoxelGrid, fill: int) -> Tensor:
    """Warp several frames into the same one, where each voxel takes the label of the first that covers it.

    Args:
        sources: `(B, S, X, Y, Z)`, any dtype, frame s in its own ego frame; the newest first. A voxel whose label is
            `fill` covers nothing.
        T_dst_src: `(B, F, S, 4, 4)` [m]: the motions to each of F frames.
        grid: the grid of all frames.
        fill: label of the voxels that no source covers.

    Returns:
        `(B, F, X, Y, Z)`.
    """
    if tuple(sources.shape[2:]) != grid.shape:
        raise ValueError(f"voxels have shape {tuple(sources.shape[2:])}, but the grid has {grid.shape}")
    if sources.device.type != "cpu" or sources.dtype != torch.uint8:
        return warp_newest_reference(sources, T_dst_src, grid, fill)
    axes = [part.numpy() for part in _source_cells(T_dst_src.cpu(), grid)]
    out = torch.full((*T_dst_src.shape[:2], *grid.shape), fill, dtype=sources.dtype)
    frames, moved = sources.contiguous().numpy(), out.numpy()
    for b, f in np.ndindex(*moved.shape[:2]):
        _warp_kernels.newest(frames[b], *(part[b, f] for part in axes), _BITS, np.uint8(fill), moved[b, f])
    return out


def warp_newest_reference(sources: Tensor, T_dst_src: Tensor, grid: VoxelGrid, fill: int) -> Tensor:
    """`warp_newest` voxel by voxel in torch, on any device: the kernel's readable twin, equal to the bit."""
    (batch, number), future = sources.shape[:2], T_dst_src.shape[1]
    along_x, along_y, along_z = (part.to(sources.device) for part in _source_cells(T_dst_src, grid))
    flat = sources.reshape(batch, number, 1, -1).expand(-1, -1, future, -1)
    out = torch.full((batch, future, *grid.shape), fill, dtype=sources.dtype, device=sources.device)
    for s in range(number):
        position = along_x[:, :, s, :, :, None, None] + along_y[:, :, s, :, None, :, None]
        cell = (position + along_z[:, :, s, :, None, None, :]) >> _BITS
        shape = torch.tensor(grid.shape, device=cell.device)[:, None, None, None]
        covered = ((cell >= 0) & (cell < shape)).all(2) & (out == fill)
        x, y, z = cell.clamp_min_(0).minimum(shape - 1).unbind(2)
        index = (x * grid.shape[1] + y) * grid.shape[2] + z
        out = torch.where(covered, flat[:, s].gather(2, index.flatten(2)).view_as(out), out)
    return out


def _source_cells(T_dst_src: Tensor, grid: VoxelGrid) -> tuple[Tensor, Tensor, Tensor]:
    """Where the voxel centres of dst lie in src, counted in voxels from the corner of the grid, as a sum over the axes.

    A rigid motion is linear, so that position is a part that depends on x alone, plus those of y and of z. In whole
    numbers, units of `2 ** -_BITS` voxels, the sum is the same on every machine.

    Args:
        T_dst_src: `(..., 4, 4)` [m].
        grid: the grid of both frames.

    Returns:
        `(..., 3, X)`, `(..., 3, Y)`, `(..., 3, Z)` int64.
    """
    T_src_dst = torch.linalg.inv(T_dst_src.double())
    R, origin = T_src_dst[..., :3, :3], torch.as_tensor(grid.origin_m, device=T_dst_src.device)
    # The tiny shift keeps content in place where a motion by half a voxel puts centres on a border.
    shift = (R @ origin + T_src_dst[..., :3, 3] - origin) / grid.voxel_m + 1e-4
    parts = []
    for axis, number in enumerate(grid.shape):
        part = R[..., axis, None] * (torch.arange(number, device=R.device) + 0.5)
        part = part + shift[..., None] if axis == 2 else part
        parts.append((part.clamp(-_FARTHEST, _FARTHEST) * 2**_BITS).round().long())
    return parts[0], parts[1], parts[2]


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
