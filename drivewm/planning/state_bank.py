"""StateBank: planner states of a frozen world model, each computed once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from drivewm.planning.state import PlannerState

_BLOCK = 128
"""States that are kept in one piece of memory: single ones, between the large tensors of the passes that make them,
would keep the allocator from using that memory again."""


class StateBank:
    """Remembers states in bfloat16 on the CPU."""

    def __init__(self) -> None:
        self._place: dict[str, int] = {}
        self._blocks: list[list[Tensor]] = []
        self._like: PlannerState | None = None

    def states(self, names: Sequence[str], make: Callable[[list[int]], PlannerState]) -> PlannerState:
        """The states of these names, as one batch in float32 on the CPU.

        Args:
            names: tell states apart.
            make: the states of the names with these numbers, which are not known yet.
        """
        new = list({name: i for i, name in enumerate(names) if name not in self._place}.values())
        if new:
            self._add([names[i] for i in new], make(new))
        places = [self._place[name] for name in names]
        rows = [[part[place % _BLOCK] for part in self._blocks[place // _BLOCK]] for place in places]
        return self._like.with_tensors(*(torch.stack(parts).float() for parts in zip(*rows, strict=True)))

    def _add(self, names: list[str], states: PlannerState) -> None:
        self._like, parts = states, [part.detach().cpu() for part in states.tensors()]
        for row, name in enumerate(names):
            place = len(self._place)
            if place // _BLOCK == len(self._blocks):
                self._blocks.append([torch.empty(_BLOCK, *part.shape[1:], dtype=torch.bfloat16) for part in parts])
            for kept, part in zip(self._blocks[-1], parts, strict=True):
                kept[place % _BLOCK] = part[row]
            self._place[name] = place
