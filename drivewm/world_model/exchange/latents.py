"""LatentExchange: a few learned latents read all streams and are read by all."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from drivewm.layers.attention import CrossAttention


class LatentExchange(nn.Module):
    """Cross-attention to a few latents and back, as in Perceiver IO (Jaegle et al., 2022) and RIN (Jabri et al., 2023).

    Cost: tokens times latents. It starts as the identity.

    Args:
        streams: those that may take part, by name; what they are does not matter.
        dim, heads: of their features.
        latents: how many.
    """

    geometric = False

    def __init__(self, streams: Iterable[str], dim: int, heads: int, latents: int = 32) -> None:
        super().__init__()
        streams = tuple(streams)
        self.latents = nn.Parameter(torch.randn(latents, dim) * 0.02)
        self.gather = CrossAttention(dim, heads)
        self.think = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))
        self.tell = nn.ModuleDict({name: nn.Linear(dim, 2 * dim) for name in streams})
        self.told = nn.Linear(dim, 2 * dim)
        self.listen = nn.ModuleDict({name: CrossAttention(dim, heads) for name in streams})
        self.norm = nn.LayerNorm(dim, elementwise_affine=False)
        for attention in self.listen.values():
            nn.init.zeros_(attention.out.weight)
            nn.init.zeros_(attention.out.bias)

    def forward(
        self, features: dict[str, Tensor], links: None = None, recalled: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Features `(J, P, C)` of at least two streams, each with its own P -> the same, having heard of each other.

        Of what is recalled latents could not tell where it was; each stream remembers its own past.
        """
        normed = {name: self.norm(x) for name, x in features.items()}
        said = torch.cat([self.tell[name](x) for name, x in normed.items()], dim=1)
        latents = self.latents.expand(len(said), -1, -1)
        latents = latents + self.gather(self.norm(latents), *said.chunk(2, dim=-1))
        latents = latents + self.think(latents)
        heard = self.told(self.norm(latents)).chunk(2, dim=-1)
        return {name: x + self.listen[name](normed[name], *heard) for name, x in features.items()}
