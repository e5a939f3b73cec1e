"""PlannerState: what a planner is told of the past and of the future that the world model expects."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from drivewm.planning.scene_maps import SceneMaps
from drivewm.structures import History
from drivewm.world_model import WorldModel


@dataclass
class PlannerState:
    """S moments, all in the ego frame at t0.

    Attributes:
        hidden: `(B, S, C, H, W)` the world model's own features; H runs along x and W along y of its grid.
        maps: of S + 1 moments, the observed present first.
        times_s: S times after t0 [s].
    """

    hidden: Tensor
    maps: SceneMaps
    times_s: tuple[float, ...]

    @property
    def coming(self) -> SceneMaps:
        """The S maps without the present."""
        return self.maps.moments(slice(1, None))

    def at(self, times_s: tuple[float, ...]) -> PlannerState:
        """Some of the moments. ValueError if one is not among them."""
        missing = [t for t in times_s if t not in self.times_s]
        if missing:
            raise ValueError(f"the state has no moments at {missing} s, only at {self.times_s} s")
        chosen = [self.times_s.index(t) for t in times_s]
        return PlannerState(self.hidden[:, chosen], self.maps.moments([0, *(1 + i for i in chosen)]), tuple(times_s))

    def tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Features, and what is blocked, drivable and the frame of the maps."""
        return self.hidden, self.maps.blocked, self.maps.drivable, self.maps.pose

    def with_tensors(self, hidden: Tensor, blocked: Tensor, drivable: Tensor, pose: Tensor) -> PlannerState:
        """Another state of the same moments and grid; arguments as `tensors` gives them."""
        return PlannerState(hidden, SceneMaps(blocked, drivable, pose, self.maps.grid), self.times_s)

    def select(self, rows: Tensor) -> PlannerState:
        """The states `rows (B',)` of the batch."""
        return self.with_tensors(*(tensor[rows] for tensor in self.tensors()))

    def to(self, device: torch.device | str) -> PlannerState:
        """The same on another device."""
        return self.with_tensors(*(tensor.to(device) for tensor in self.tensors()))


def planner_state(model: WorldModel, history: History, times_s: tuple[float, ...], future: bool = True) -> PlannerState:
    """The action-free future, as the model expects it whatever the ego does.

    A gradient reaches the model's trunk through `hidden`; the maps are for reading.

    Args:
        model: of occupancy.
        history: the observed frames.
        times_s: S moments after t0 [s].
        future: false asks for the present instead, S times: what is left is the state of the past.
    """
    now, device = observed_maps(history), history.T_global_ego.device
    if not future:
        outlook = model.action_free(history, torch.zeros(1, device=device))
        hidden = _as_map(model, outlook.hidden).expand(-1, len(times_s), -1, -1, -1)
        return PlannerState(hidden, now.moments([0] * (len(times_s) + 1)), times_s)
    outlook = model.action_free(history, torch.tensor(times_s, device=device))
    with torch.no_grad():
        coming = SceneMaps.of_forecast(model.expect(outlook), now.pose, model.grid)
    return PlannerState(_as_map(model, outlook.hidden), joined(now, coming), times_s)


def observed_maps(history: History) -> SceneMaps:
    """What was observed at t0, as maps of one moment."""
    occupancy = history.occupancy[:, -1:]
    pose = torch.zeros(len(history), 1, 3, device=occupancy.device)
    return SceneMaps.of_labels(occupancy, pose, history.grid)


def joined(first: SceneMaps, second: SceneMaps) -> SceneMaps:
    """The moments of both, in that order."""
    return SceneMaps(
        torch.cat([first.blocked, second.blocked], dim=1),
        torch.cat([first.drivable, second.drivable], dim=1),
        torch.cat([first.pose, second.pose], dim=1),
        first.grid,
    )


def _as_map(model: WorldModel, hidden: Tensor) -> Tensor:
    """`(B, S, P, C)` -> `(B, S, C, H, W)`."""
    return hidden.transpose(2, 3).unflatten(3, model.denoiser.shape)
