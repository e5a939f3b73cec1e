"""Trunk: the denoisers of all streams in step, and what they learn of each other in between."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import reduce
from operator import add

import torch
from torch import Tensor, nn

from drivewm.world_model.denoiser import Denoiser, Motion
from drivewm.world_model.exchange import EXCHANGES, Before, links_between, past_of
from drivewm.world_model.lift import Lift
from drivewm.world_model.memory import Memory


class Trunk(nn.Module):
    """At each depth, attention within every stream at full cost, then an exchange across streams at a bounded one.

    What views showed last, which without depth could not be moved to its place, is lifted into bird's-eye views
    before, and looked up by the geometric exchange.

    Each stream keeps weights of its own, as in MM-DiT (Esser et al., 2024); exchanges start as the identity, so that
    the streams begin as models of their own. A stream that does not take part costs nothing; one alone that recalls
    nothing exchanges nothing.

    Args:
        denoisers: of the streams, by name.
        exchange: keyword arguments of an exchange, `type` its name in `EXCHANGES`.

    Raises:
        ValueError: there is no such exchange, or the denoisers differ in width or depth.
    """

    def __init__(self, denoisers: dict[str, Denoiser], exchange: dict) -> None:
        super().__init__()
        options = dict(exchange)
        if (kind := options.pop("type", None)) not in EXCHANGES:
            raise ValueError(f"exchange.type must be one of {', '.join(EXCHANGES)}, got {kind!r}")
        sizes = {name: (denoiser.dim, denoiser.heads, len(denoiser.blocks)) for name, denoiser in denoisers.items()}
        if len(set(sizes.values())) != 1:
            raise ValueError(f"streams must agree in width, heads and depth, got {sizes}")
        dim, heads, self.depth = next(iter(sizes.values()))
        self.denoisers = nn.ModuleDict(denoisers)
        flat = {name: denoiser.flat for name, denoiser in denoisers.items()}
        self.geometric = EXCHANGES[kind].geometric
        needed = len(denoisers) > 1 or (self.geometric and not all(flat.values()))
        readers, views = ([name for name, own in flat.items() if own is as_flat] for as_flat in (True, False))
        lifts = {f"{reader}_of_{source}": Lift(dim) for reader in readers for source in views}
        self.lifts = nn.ModuleDict(lifts)
        exchanges = [EXCHANGES[kind](flat, dim, heads, **options) for _ in range(self.depth if needed else 0)]
        self.exchanges = nn.ModuleList(exchanges)

    def taking_part(self, remembered: Iterable[str], outputs: Sequence[str]) -> tuple[str, ...]:
        """Streams to run when some are remembered and some asked for: others know the past of views by `lift`."""
        return tuple(name for name in remembered if name in outputs or self.denoisers[name].flat)

    def lift(self, memory: dict[str, Memory]) -> dict[str, Memory]:
        """The memories of some streams, those of bird's-eye views with what the views among them showed last."""
        recalled, lifted = self._recalled(memory), dict(memory)
        for reader, own in memory.items():
            if recalled and self.denoisers[reader].flat:
                cells = self.denoisers[reader].places(own)
                parts = [self.lifts[f"{reader}_of_{source}"](*found, cells) for source, found in recalled.items()]
                lifted[reader] = replace(own, lifted=reduce(add, parts))
        return lifted

    def _recalled(self, memory: dict[str, Memory]) -> dict[str, tuple[Tensor, Before]]:
        found = {name: self.denoisers[name].recalled(own) for name, own in memory.items()}
        return {name: own for name, own in found.items() if own is not None}

    def hidden(self, tokens: dict[str, Tensor], memory: dict[str, Memory], motion: Motion) -> dict[str, Tensor]:
        """Corrupted tokens `(J, N)` of the streams that take part -> their last hidden state `(J, P, C)`.

        `memory` may be of further streams, whose past others have already (see `lift`).
        """
        taking_part = {name: self.denoisers[name] for name in tokens}
        x = {name: d.embed(tokens[name], memory[name]) for name, d in taking_part.items()}
        condition = {name: d.condition(motion) for name, d in taking_part.items()}
        exchanging, links, recalled = len(x) > 1, None, {}
        if self.geometric:
            past = {past_of(name): own for name, own in self._recalled(memory).items() if name in tokens}
            recalled, exchanging = {name: features for name, (features, _) in past.items()}, exchanging or bool(past)
        if exchanging and self.geometric:
            places = {name: d.places(memory[name]) for name, d in taking_part.items()}
            with torch.no_grad():
                links = links_between(places, motion.pose.device, {name: where for name, (_, where) in past.items()})
        for depth in range(self.depth):
            x = {name: d.attend(depth, x[name], condition[name], memory[name]) for name, d in taking_part.items()}
            if exchanging:
                x = self.exchanges[depth](x, links, recalled)
        return {name: d.norm(x[name]) for name, d in taking_part.items()}

    def forward(
        self,
        tokens: dict[str, Tensor],
        memory: dict[str, Memory],
        motion: Motion,
        outputs: Sequence[str] | None = None,
    ) -> dict[str, Tensor]:
        """Corrupted tokens `(J, N)` -> logits `(J, N, V)` of the clean ones, of the streams `outputs`; None: of all."""
        hidden = self.hidden(tokens, memory, motion)
        return {
            name: self.denoisers[name].logits(hidden[name], tokens[name], memory[name])
            for name in (tokens if outputs is None else outputs)
        }
