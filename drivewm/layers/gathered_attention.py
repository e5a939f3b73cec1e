"""Attention of each position to a few rows of a table, which are found by their index."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drivewm.layers import _gather_kernels


class GatheredAttention(nn.Module):
    """Multi-head attention of each position to M rows of a table, each with a learned word on which of the M it is."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.out = nn.Linear(dim, dim), nn.Linear(dim, dim)

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, index: Tensor, there: Tensor, place: Tensor) -> Tensor:
        """What each position hears.

        Args:
            x: `(B, N, C)`.
            keys, values: `(B, S, C)`, the table.
            index: `(B, N, M)` int64 of the rows that each position looks at.
            there: `(B, N, M)` bool, false for rows to be left out; one a position must be true.
            place: `(M, C)`, added to the keys.

        Returns:
            `(B, N, C)`.
        """
        q, keys, values, place = (t.unflatten(-1, (self.heads, -1)) for t in (self.q(x), keys, values, place))
        return self.out(gathered_attention(q, keys, values, index, there, place).flatten(2))


def gathered_attention(q: Tensor, keys: Tensor, values: Tensor, index: Tensor, there: Tensor, place: Tensor) -> Tensor:
    """Queries `(B, N, H, D)` to table rows `(B, S, H, D)` at `index (B, N, M)`, as in `GatheredAttention`.

    On a CPU by a kernel that copies no rows; elsewhere `gathered_attention_torch`.
    """
    if q.device.type != "cpu":
        return gathered_attention_torch(q, keys, values, index, there, place)
    # The kernel knows no half precision.
    dtype = torch.promote_types(q.dtype, torch.float32)
    bias = torch.einsum("bnhd,mhd->bnhm", q, place.to(q.dtype)).to(dtype) * q.shape[-1] ** -0.5
    bias = bias.masked_fill(~there[:, :, None], -torch.inf)
    heard = _Gathered.apply(*(t.to(dtype).contiguous() for t in (q, keys, values)), index.contiguous(), bias)
    return heard.to(values.dtype)


def gathered_attention_torch(
    q: Tensor, keys: Tensor, values: Tensor, index: Tensor, there: Tensor, place: Tensor
) -> Tensor:
    """The readable twin: the same with the rows gathered into tensors of their own."""
    k, v = (gathered_rows(t.flatten(2), index).unflatten(-1, q.shape[2:]) for t in (keys, values))
    scores = torch.einsum("bnhd,bnmhd->bnhm", q, k + place.to(k.dtype)) * q.shape[-1] ** -0.5
    weights = scores.float().masked_fill(~there[:, :, None], -torch.inf).softmax(-1).to(v.dtype)
    return torch.einsum("bnhm,bnmhd->bnhd", weights, v)


def gathered_rows(table: Tensor, index: Tensor) -> Tensor:
    """Rows of a table `(B, S, C)` at `index (B or 1, N, M)`: `(B, N, M, C)`."""
    first = table.shape[1] * torch.arange(len(table), device=index.device)[:, None, None]
    return F.embedding(first + index, table.flatten(0, 1))


def gathered_there(table: Tensor, index: Tensor, there: Tensor) -> Tensor:
    """As `gathered_rows`, zero where none is `there (B or 1, N, M)`, which is told behind: `(B, N, M, C + 1)`."""
    there = there.expand(len(table), -1, -1)[..., None].to(table.dtype)
    return torch.cat([gathered_rows(table, index) * there, there], dim=-1)


class _Gathered(torch.autograd.Function):
    """Softmax attention with additive bias `(B, N, H, M)` to gathered rows, by numba."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, keys: Tensor, values: Tensor, index: Tensor, bias: Tensor) -> Tensor:
        weights, out = torch.zeros_like(bias), torch.zeros_like(q)
        _gather_kernels.attend(*(t.detach().numpy() for t in (q, keys, values, index, bias, weights, out)))
        ctx.save_for_backward(q, keys, values, index, weights, out)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, keys, values, index, weights, out = ctx.saved_tensors
        gradients = [torch.zeros_like(t) for t in (q, keys, values, weights)]
        arrays = (q, keys, values, index, weights, out, grad.contiguous(), *gradients)
        _gather_kernels.attend_backward(*(t.detach().numpy() for t in arrays))
        return *gradients[:3], None, gradients[3]
