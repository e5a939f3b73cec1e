"""GeometricExchange: each position looks at what the other streams say of the same place."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from drivewm.layers.gathered_attention import GatheredAttention
from drivewm.world_model.exchange.places import HEIGHTS_M, NEIGHBOURS, Links, past_of
from drivewm.world_model.exchange.sightlines import DISTANCES_M


class GeometricExchange(nn.Module):
    """Attention of each position to few entries of the other streams, found by geometry (`links_between`).

    The idea of BEVFormer's spatial cross-attention (Li et al., 2022), between all streams and both ways. Tokens of
    views also look at what views showed last, along their epipolar lines. Cost: tokens times places looked at. It
    starts as the identity.

    Args:
        streams: those that may take part, by name: are their places flat?
        dim, heads: of their features.
    """

    geometric = True

    def __init__(self, streams: dict[str, bool], dim: int, heads: int) -> None:
        super().__init__()
        sources = streams | {past_of(name): False for name, flat in streams.items() if not flat}
        self.tell = nn.ModuleDict({name: nn.Linear(dim, 2 * dim) for name in sources})
        self.listen = nn.ModuleDict({name: GatheredAttention(dim, heads) for name in streams})
        # Which of the places it is that an entry comes from.
        self.place = nn.ParameterDict(
            {
                f"{reader}_of_{source}": nn.Parameter(torch.randn(_looks(flat, flat_source), dim) * 0.02)
                for reader, flat in streams.items()
                for source, flat_source in (streams if flat else sources).items()
                if source != reader
            }
        )
        self.null = nn.ParameterDict({name: nn.Parameter(torch.randn(2, dim) * 0.02) for name in streams})
        self.norm = nn.LayerNorm(dim, elementwise_affine=False)
        for attention in self.listen.values():
            nn.init.zeros_(attention.out.weight)
            nn.init.zeros_(attention.out.bias)

    def forward(
        self, features: dict[str, Tensor], links: Links, recalled: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Features `(J, P, C)` of streams, each with its own P -> the same, having heard of each other and of what is
        `recalled (J, P, C)` of their past, by `past_of` their names."""
        normed = {name: self.norm(x) for name, x in features.items()}
        told = normed | {name: self.norm(x) for name, x in (recalled or {}).items()}
        said = {name: self.tell[name](x) for name, x in told.items()}
        return {name: x + self._heard(name, normed[name], said, links) for name, x in features.items()}

    def _heard(self, reader: str, x: Tensor, said: dict[str, Tensor], links: Links) -> Tensor:
        """What the reader hears, `(J, P, C)`. The first row of its table says nothing and is always there."""
        null = self.null[reader]
        table, place = [null.flatten().to(x.dtype).expand(len(x), 1, -1)], [torch.zeros_like(null[:1])]
        index = [torch.zeros(*x.shape[:2], 1, dtype=torch.long, device=x.device)]
        there, rows = [index[0] == 0], 1
        for source in said:
            if (reader, source) not in links:
                continue
            where, known = (part.expand(len(x), -1, -1) for part in links[reader, source])
            index.append(rows + where)
            there.append(known)
            place.append(self.place[f"{reader}_of_{source}"])
            table.append(said[source])
            rows += said[source].shape[1]
        keys, values = torch.cat(table, dim=1).chunk(2, dim=-1)
        return self.listen[reader](x, keys, values, torch.cat(index, -1), torch.cat(there, -1), torch.cat(place))


def _looks(flat: bool, flat_source: bool) -> int:
    """At how many places a position looks."""
    if not flat:
        return len(DISTANCES_M)
    return NEIGHBOURS**2 if flat_source else len(HEIGHTS_M)
