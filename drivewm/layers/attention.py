"""Attention blocks with adaptive layer norm."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SpatialAttention(nn.Module):
    """Multi-head attention among the tokens of a frame (Vaswani et al., 2017)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, N, C)` -> `(B, N, C)`."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.out(_attend(q, k, v).transpose(1, 2).flatten(2))


def _attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention of `(B, heads, N, D)`; plain products where a CPU is to find a gradient, with which it is slow else."""
    if q.device.type != "cpu" or not torch.is_grad_enabled():
        return F.scaled_dot_product_attention(q, k, v)
    return (q * q.shape[-1] ** -0.5 @ k.transpose(-1, -2)).softmax(-1) @ v


class CrossAttention(nn.Module):
    """Multi-head attention of some tokens to others, whose keys and values come from outside."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.out = nn.Linear(dim, dim), nn.Linear(dim, dim)

    def forward(self, x: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """`(B, N, C)`, keys and values `(B, M, C)` -> `(B, N, C)`."""
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (self.q(x), keys, values))
        return self.out(_attend(q, k, v).transpose(1, 2).flatten(2))


class LocalAttention(nn.Module):
    """Each cell looks at a few entries of its own, such as the same place in earlier frames, warped into this one.

    Keys and values come from outside: those of the past are the same for all layers and all denoising steps.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.out = nn.Linear(dim, dim), nn.Linear(dim, dim)

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, visible: Tensor) -> Tensor:
        """`(B, N, C)`, keys and values `(B, N, M, C)`, visible `(B, N, M)` bool with one true a cell -> `(B, N, C)`."""
        # One query a cell against few entries: plain products beat a batched attention kernel.
        q, k, v = (t.unflatten(-1, (self.heads, -1)) for t in (self.q(x), keys, values))
        scores = torch.einsum("bnhd,bnmhd->bnhm", q, k) * q.shape[-1] ** -0.5
        weights = scores.float().masked_fill(~visible[:, :, None], -torch.inf).softmax(-1).to(v.dtype)
        return self.out(torch.einsum("bnhm,bnmhd->bnhd", weights, v).flatten(2))


class Block(nn.Module):
    """Spatial attention, temporal attention and MLP, each with adaptive layer norm and a gate.

    Adaptive norm as in DiT (Peebles and Xie, 2023), whose gates start closed; ours start half open, since it learns
    faster.
    """

    def __init__(self, dim: int, heads: int, condition_dim: int, expansion: int = 2) -> None:
        super().__init__()
        self.spatial, self.temporal = SpatialAttention(dim, heads), LocalAttention(dim, heads)
        self.mlp = nn.Sequential(nn.Linear(dim, expansion * dim), nn.GELU(), nn.Linear(expansion * dim, dim))
        self.norm = nn.LayerNorm(dim, elementwise_affine=False)
        self.modulation = nn.Linear(condition_dim, 9 * dim)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)
        with torch.no_grad():
            self.modulation.bias.view(3, 3, dim)[:, 2] = 0.5

    def forward(self, x: Tensor, condition: Tensor, keys: Tensor, values: Tensor, visible: Tensor) -> Tensor:
        """Tokens `(B, N, C)`, condition `(B, D)`, warped memory as in `LocalAttention` -> `(B, N, C)`."""
        layers = (self.spatial, lambda h: self.temporal(h, keys, values, visible), self.mlp)
        for layer, part in zip(layers, self.modulation(condition).unflatten(-1, (3, 1, 3, -1)).unbind(1), strict=True):
            shift, scale, gate = part.unbind(2)
            x = x + gate * layer(self.norm(x) * (1 + scale) + shift)
        return x
