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
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class TemporalAttention(nn.Module):
    """Each cell looks at the same place in earlier frames, which were warped into this one, and at a learned null
    entry.

    The null entry is what remains where nothing was observed: outside of every earlier frame, or without any history.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.kv, self.out = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)
        self.null = nn.Parameter(torch.randn(2, dim) * 0.02)

    def keys_values(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values `(B, N, M + 1, heads, C / heads)` of memory `(B, N, M, C)`.

        They are computed once per frame to predict, not in every denoising step.
        """
        keys, values = self.kv(memory).chunk(2, dim=-1)
        null = self.null.to(keys.dtype)[:, None, None, None].expand(-1, *keys.shape[:2], 1, -1)
        keys, values = torch.cat([keys, null[0]], dim=2), torch.cat([values, null[1]], dim=2)
        return keys.unflatten(-1, (self.heads, -1)), values.unflatten(-1, (self.heads, -1))

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, visible: Tensor) -> Tensor:
        """`(B, N, C)`, keys and values as above, visible `(B, N, M)` bool -> `(B, N, C)`."""
        q = self.q(x).unflatten(-1, (self.heads, 1, -1)).flatten(0, 1)
        # One query a cell against few entries: plain products beat a batched attention kernel.
        keys, values = keys.flatten(0, 1), values.flatten(0, 1)
        scores = torch.einsum("chqd,cmhd->chm", q, keys) * q.shape[-1] ** -0.5
        hidden = ~F.pad(visible.flatten(0, 1), (0, 1), value=True)[:, None]
        weights = scores.float().masked_fill(hidden, -torch.inf).softmax(-1).to(values.dtype)
        mixed = torch.einsum("chm,cmhd->chd", weights, values)
        return self.out(mixed.flatten(1).unflatten(0, x.shape[:2]))


class Block(nn.Module):
    """Spatial attention, temporal attention and MLP, each with adaptive layer norm and a gate.

    Adaptive norm as in DiT (Peebles and Xie, 2023), whose gates start closed; ours start half open, since it learns
    faster.
    """

    def __init__(self, dim: int, heads: int, condition_dim: int, expansion: int = 3) -> None:
        super().__init__()
        self.spatial, self.temporal = SpatialAttention(dim, heads), TemporalAttention(dim, heads)
        self.mlp = nn.Sequential(nn.Linear(dim, expansion * dim), nn.GELU(), nn.Linear(expansion * dim, dim))
        self.norm = nn.LayerNorm(dim, elementwise_affine=False)
        self.modulation = nn.Linear(condition_dim, 9 * dim)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)
        with torch.no_grad():
            self.modulation.bias.view(3, 3, dim)[:, 2] = 0.5

    def forward(self, x: Tensor, condition: Tensor, keys: Tensor, values: Tensor, visible: Tensor) -> Tensor:
        """Tokens `(B, N, C)`, condition `(B, D)`, warped memory as in `TemporalAttention` -> `(B, N, C)`."""
        layers = (self.spatial, lambda h: self.temporal(h, keys, values, visible), self.mlp)
        for layer, part in zip(layers, self.modulation(condition).unflatten(-1, (3, 1, 3, -1)).unbind(1), strict=True):
            shift, scale, gate = part.unbind(2)
            x = x + gate * layer(self.norm(x) * (1 + scale) + shift)
        return x
