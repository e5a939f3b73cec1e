"""Submanifold convolution over the voxels that hold anything (Graham et al., 2018): by spconv, or by torch anywhere.

Both give the same numbers. spconv is made for CUDA; without it, or on another device, each of the 27 neighbours of a
voxel is looked up in a map of the grid, which costs less than a dense convolution by the share of empty voxels.
"""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

HAS_SPCONV = importlib.util.find_spec("spconv") is not None


@dataclass
class SparseVoxels:
    """Features of the V voxels that hold anything, of J frames.

    Attributes:
        features: `(V, C)`.
        index: `(V, 4)` int64: frame, x, y, z; each voxel once.
        frames: J.
        shape: voxels of the grid along x, y, z.
    """

    features: Tensor
    index: Tensor
    frames: int
    shape: tuple[int, int, int]


class SubmanifoldConv(nn.Module):
    """A 3x3x3 convolution whose output stands where its input does; what is empty counts as zero.

    Args:
        in_dim, out_dim: features.
        backend: "spconv", "torch", or "auto": spconv on CUDA where it is installed, else torch.
    """

    def __init__(self, in_dim: int, out_dim: int, backend: str = "auto") -> None:
        super().__init__()
        if backend not in ("auto", "spconv", "torch"):
            raise ValueError(f"backend must be auto, spconv or torch, got {backend!r}")
        if backend == "spconv" and not HAS_SPCONV:
            raise ImportError('backend "spconv" needs it installed: pip install drivewm[sparse]')
        self.backend = backend
        self.weight = nn.Parameter(torch.randn(out_dim, 3, 3, 3, in_dim) / math.sqrt(9 * in_dim))  # a third is empty
        self.bias = nn.Parameter(torch.zeros(out_dim))

    def forward(self, voxels: SparseVoxels) -> SparseVoxels:
        """Features `(V, in)` -> `(V, out)`, in float32."""
        spconv = self.backend == "spconv" or (self.backend == "auto" and HAS_SPCONV and voxels.features.is_cuda)
        # spconv refuses frames without any voxel.
        convolve = self._by_spconv if spconv and len(voxels.index) else self._by_torch
        with torch.autocast(voxels.features.device.type, enabled=False):
            features = convolve(replace(voxels, features=voxels.features.float()))
        return replace(voxels, features=features + self.bias)

    def _by_torch(self, voxels: SparseVoxels) -> Tensor:
        number = len(voxels.index)
        device = voxels.index.device
        # Row of each voxel of the grid, with a border of one that is empty; row `number` holds zeros.
        rows = torch.full((voxels.frames, *(n + 2 for n in voxels.shape)), number, device=device)
        frame, x, y, z = voxels.index.unbind(1)
        rows[frame, x + 1, y + 1, z + 1] = torch.arange(number, device=device)
        padded = torch.cat([voxels.features, voxels.features.new_zeros(1, voxels.features.shape[1])])
        out = voxels.features.new_zeros(number, len(self.weight))
        for i in range(3):
            for j in range(3):
                for k in range(3):
                    out = out + padded[rows[frame, x + i, y + j, z + k]] @ self.weight[:, i, j, k].T
        return out

    def _by_spconv(self, voxels: SparseVoxels) -> Tensor:
        from spconv.pytorch import ConvAlgo, SparseConvTensor, SubMConv3d

        # Made anew, around our own weight: a checkpoint does not depend on what is installed.
        conv = SubMConv3d(self.weight.shape[-1], len(self.weight), 3, bias=False, algo=ConvAlgo.Native)
        conv.weight = self.weight
        # It reads its arguments as if they were contiguous, and gives nonsense where they are not.
        index, features = voxels.index.int().contiguous(), voxels.features.contiguous()
        return conv(SparseConvTensor(features, index, list(voxels.shape), voxels.frames)).features


class SparseBlock(nn.Module):
    """Pre-activation residual block of two submanifold convolutions; it starts as the identity.

    Args:
        dim: features.
        backend: as for `SubmanifoldConv`.
    """

    def __init__(self, dim: int, backend: str = "auto") -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(2))
        self.convs = nn.ModuleList(SubmanifoldConv(dim, dim, backend) for _ in range(2))
        nn.init.zeros_(self.convs[-1].weight)

    def forward(self, voxels: SparseVoxels) -> SparseVoxels:
        """The same voxels with other features."""
        out = voxels
        for norm, conv in zip(self.norms, self.convs, strict=True):
            out = conv(replace(out, features=nn.functional.silu(norm(out.features))))
        return replace(out, features=voxels.features + out.features)
