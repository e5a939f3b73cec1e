"""Agents that do not react: they repeat what they did while the expert drove."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from drivewm.simulation.simulator import TownSimulator


class Replay:
    """What all agents did in an episode, step by step."""

    def __init__(self) -> None:
        self._steps: list[tuple[dict[str, np.ndarray], ...]] = []

    def add(self, simulator: TownSimulator) -> None:
        """Take down where the agents are now."""
        parts = (simulator.traffic, simulator.traffic.drift, simulator.walkers, simulator.actors)
        self._steps.append(tuple({k: v.copy() for k, v in _arrays(part).items()} for part in parts))

    def show(self, simulator: TownSimulator, step: int) -> None:
        """Put the agents where they were; at the end they stay there."""
        parts = (simulator.traffic, simulator.traffic.drift, simulator.walkers, simulator.actors)
        for part, recorded in zip(parts, self._steps[min(step, len(self._steps) - 1)], strict=True):
            for name, values in _arrays(part).items():
                values[...] = recorded[name]


def _arrays(part: object) -> dict[str, np.ndarray]:
    return {name: value for name, value in vars(part).items() if isinstance(value, np.ndarray)}
