"""GeometricExchange: each position looks at what the other streams say of the same place."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from drivewm.layers.gathered_attention import GatheredAttention, gathered_there
from drivewm.world_model.exchange.places import HEIGHTS_M, NEIGHBOURS, Links, past_of
from drivewm.world_model.exchange.sightlines import DISTANCES_M

_HEARD_DIM = 64


class GeometricExchange(nn.Module):
    """Each position hears of few entries of the other streams, found by geometry (`links_between`), both ways.

    A cell hears of the cells around it and of the tokens that see points above it; where these are does not depend on
    what is there, so each place has weights of its own, as in a convolution. A token of a view does not know how far it
    sees: it attends to places along its ray, the idea of BEVFormer's spatial cross-attention (Li et al., 2022) turned
    round, and to what views showed last along its epipolar line. Cost: tokens times places. It starts as the identity.

    Args:
        streams: those that may take part, by name: are their places flat?
        dim, heads: of their features.
    """

    geometric = True

    def __init__(self, streams: dict[str, bool], dim: int, heads: int) -> None:
        super().__init__()
        cells, views = ([name for name, own in streams.items() if own is flat] for flat in (True, False))
        self.say = nn.ModuleDict({name: nn.Linear(dim, _HEARD_DIM) for name in streams})
        self.hear = nn.ModuleDict(
            {
                f"{reader}_of_{source}": nn.Linear(_looks(streams[source]) * (_HEARD_DIM + 1), dim)
                for reader in cells
                for source in streams
                if source != reader
            }
        )
        sources = [*(name for name in streams if views not in ([], [name])), *map(past_of, views)]
        self.tell = nn.ModuleDict({name: nn.Linear(dim, 2 * dim) for name in sources})
        self.listen = nn.ModuleDict({name: GatheredAttention(dim, heads) for name in views})
        # Which of the places it is that an entry comes from.
        self.place = nn.ParameterDict(
            {
                f"{reader}_of_{source}": nn.Parameter(torch.randn(len(DISTANCES_M), dim) * 0.02)
                for reader in views
                for source in sources
                if source != reader
            }
        )
        self.null = nn.ParameterDict({name: nn.Parameter(torch.randn(2, dim) * 0.02) for name in views})
        self.norm = nn.LayerNorm(dim, elementwise_affine=False)
        for last in (*self.hear.values(), *(attention.out for attention in self.listen.values())):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(
        self, features: dict[str, Tensor], links: Links, recalled: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Features `(J, P, C)` of streams, each with its own P -> the same, having heard of each other and of what is
        `recalled (J, P, C)` of their past, by `past_of` their names."""
        normed = {name: self.norm(x) for name, x in (features | (recalled or {})).items()}
        heard = {}
        for name in features:
            found = {source: links[name, source] for source in normed if (name, source) in links}
            heard[name] = (self._listen if name in self.listen else self._hear)(name, normed, found)
        return {name: x + heard[name] for name, x in features.items()}

    def _hear(self, reader: str, normed: dict[str, Tensor], links: dict[str, tuple[Tensor, Tensor]]) -> Tensor | int:
        """What cells hear, `(J, P, C)`, of each source by itself."""
        heard = 0
        for source, (index, there) in links.items():
            entries = gathered_there(self.say[source](normed[source]), index, there)
            heard = heard + self.hear[f"{reader}_of_{source}"](entries.flatten(2))
        return heard

    def _listen(self, reader: str, normed: dict[str, Tensor], links: dict[str, tuple[Tensor, Tensor]]) -> Tensor:
        """What views hear, `(J, P, C)`. The first row of their table says nothing and is always there."""
        x, null = normed[reader], self.null[reader]
        table, place = [null.flatten().to(x.dtype).expand(len(x), 1, -1)], [torch.zeros_like(null[:1])]
        index = [torch.zeros(*x.shape[:2], 1, dtype=torch.long, device=x.device)]
        there, rows = [index[0] == 0], 1
        for source, found in links.items():
            where, known = (part.expand(len(x), -1, -1) for part in found)
            index.append(rows + where)
            there.append(known)
            place.append(self.place[f"{reader}_of_{source}"])
            table.append(self.tell[source](normed[source]))
            rows += normed[source].shape[1]
        keys, values = torch.cat(table, dim=1).chunk(2, dim=-1)
        return self.listen[reader](x, keys, values, torch.cat(index, -1), torch.cat(there, -1), torch.cat(place))


def _looks(flat_source: bool) -> int:
    """At how many places a cell looks."""
    return NEIGHBOURS**2 if flat_source else len(HEIGHTS_M)
