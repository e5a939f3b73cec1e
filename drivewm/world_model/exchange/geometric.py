"""GeometricExchange: each position looks at what the other streams say of the same place."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drivewm.layers.attention import LocalAttention
from drivewm.world_model.exchange.places import HEIGHTS_M, NEIGHBOURS, Links
from drivewm.world_model.exchange.sightlines import DISTANCES_M


class GeometricExchange(nn.Module):
    """Attention of each position to few entries of the other streams, found by geometry (`links_between`).

    The idea of BEVFormer's spatial cross-attention (Li et al., 2022), between all streams and both ways. Cost: tokens
    times places looked at. It starts as the identity.

    Args:
        streams: those that may take part, by name: are their places flat?
        dim, heads: of their features.
    """

    geometric = True

    def __init__(self, streams: dict[str, bool], dim: int, heads: int) -> None:
        super().__init__()
        self.tell = nn.ModuleDict({name: nn.Linear(dim, 2 * dim) for name in streams})
        self.listen = nn.ModuleDict({name: LocalAttention(dim, heads) for name in streams})
        # Which of the places it is that an entry comes from.
        self.place = nn.ParameterDict(
            {
                f"{reader}_of_{source}": nn.Parameter(torch.randn(_looks(flat, flat_source), dim) * 0.02)
                for reader, flat in streams.items()
                for source, flat_source in streams.items()
                if source != reader
            }
        )
        self.null = nn.ParameterDict({name: nn.Parameter(torch.randn(2, dim) * 0.02) for name in streams})
        self.norm = nn.LayerNorm(dim, elementwise_affine=False)
        for attention in self.listen.values():
            nn.init.zeros_(attention.out.weight)
            nn.init.zeros_(attention.out.bias)

    def forward(self, features: dict[str, Tensor], links: Links) -> dict[str, Tensor]:
        """Features `(J, P, C)` of at least two streams, each with its own P -> the same, having heard of each other."""
        normed = {name: self.norm(x) for name, x in features.items()}
        said = {name: self.tell[name](x) for name, x in normed.items()}
        return {name: x + self._heard(name, normed[name], said, links) for name, x in features.items()}

    def _heard(self, reader: str, x: Tensor, said: dict[str, Tensor], links: Links) -> Tensor:
        null = self.null[reader].to(x.dtype)[:, None, None, None].expand(-1, *x.shape[:2], 1, -1)
        keys, values, visible = [null[0]], [null[1]], [torch.ones_like(x[..., :1], dtype=torch.bool)]
        for source in said:
            if source == reader:
                continue
            index, there = (part.expand(len(x), -1, -1) for part in links[reader, source])
            key, value = _rows(said[source], index).chunk(2, dim=-1)
            keys.append(key + self.place[f"{reader}_of_{source}"].to(key.dtype))
            values.append(value)
            visible.append(there)
        return self.listen[reader](x, torch.cat(keys, dim=2), torch.cat(values, dim=2), torch.cat(visible, dim=2))


def _looks(flat: bool, flat_source: bool) -> int:
    """At how many places a position looks."""
    if not flat:
        return len(DISTANCES_M)
    return NEIGHBOURS**2 if flat_source else len(HEIGHTS_M)


def _rows(features: Tensor, index: Tensor) -> Tensor:
    """Features `(J, N, C)` at `index (J, P, K)`: `(J, P, K, C)`."""
    first = torch.arange(len(features), device=index.device)[:, None, None] * features.shape[1]
    return F.embedding(first + index, features.flatten(0, 1))
