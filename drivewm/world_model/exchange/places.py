"""Places: where the positions of a stream are, and which positions of another stream lie there too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from drivewm.geometry import VoxelGrid
from drivewm.geometry.transform import transform_points

HEIGHTS_M = (0.2, 0.8, 1.6, 3.0)
"""Above the ground, at which a cell looks for cameras."""
NEIGHBOURS = 3
"""Cells along each axis, around the own one, at which a cell looks for another bird's-eye view."""

Links = dict[tuple[str, str], tuple[Tensor, Tensor]]
"""By reader and source: `index (J or 1, P, K)` int64 of the source's positions that each of the reader's P positions
looks at, and `there` bool of the same shape, false where the source has none."""


def past_of(stream: str) -> str:
    """Name, as a source, of what a stream recalls of an earlier frame."""
    return f"past_{stream}"


class Places(Protocol):
    """Where the P positions of a stream are.

    Attributes:
        flat: positions are columns, which have no height.
    """

    flat: bool

    def points(self, flat: bool, device: torch.device) -> Tensor:
        """`(J or 1, P, K, 3)` [m, ego frame] where to look for a source that is flat, or is not."""

    def at(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Index `(...)` of the position in which points `(J or 1, P, K, 3)` [m, ego frame] lie, and is there one?"""


@dataclass(frozen=True)
class Cells:
    """The columns of a bird's-eye view, in rows of H * W.

    Attributes:
        grid: the range that they share.
        shape: cells `(H, W)` along x and y.
    """

    grid: VoxelGrid
    shape: tuple[int, int]

    flat = True

    def points(self, flat: bool, device: torch.device) -> Tensor:
        """Of a flat source, the own centre and those of the cells around; else points above the own: `(1, P, K, 3)`."""
        low, size = self._box(device)
        steps = torch.arange(NEIGHBOURS, device=device) - NEIGHBOURS // 2
        rows, columns = (torch.arange(n, device=device) for n in self.shape)
        own = torch.cartesian_prod(rows, columns)[:, None] + torch.cartesian_prod(steps, steps)
        if not flat:
            middle = low + (own[:, len(steps) ** 2 // 2] + 0.5) * size
            heights = torch.tensor(HEIGHTS_M, device=device)
            xy = middle[:, None].expand(-1, len(heights), -1)
            return torch.cat([xy, heights.expand(len(xy), -1)[..., None]], dim=-1)[None]
        xy = low + (own + 0.5) * size
        return torch.cat([xy, torch.zeros_like(xy[..., :1])], dim=-1)[None]

    def at(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """See `Places`."""
        low, size = self._box(points.device)
        x, y = ((points[..., :2] - low) / size).floor().long().unbind(-1)
        there = (x >= 0) & (x < self.shape[0]) & (y >= 0) & (y < self.shape[1])
        return torch.where(there, x * self.shape[1] + y, 0), there

    def _box(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Lower corner and size of a cell `(2,)` [m]."""
        low, extent = (torch.as_tensor(v[:2], dtype=torch.float32) for v in (self.grid.origin_m, self.grid.extent_m))
        return low.to(device), (extent / torch.tensor(self.shape)).to(device)


@dataclass(frozen=True)
class Before:
    """Where the positions of an earlier frame are for the frames to predict, as if nothing had moved but the ego.

    Attributes:
        places: in the earlier frame.
        T_earlier_target: `(J, 4, 4)` [m].
    """

    places: Places
    T_earlier_target: Tensor

    @property
    def flat(self) -> bool:
        """See `Places`."""
        return self.places.flat

    def at(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """See `Places`."""
        frames, (positions, looks) = len(self.T_earlier_target), points.shape[1:3]
        moved = transform_points(self.T_earlier_target, points.expand(frames, -1, -1, -1).flatten(1, 2))
        return self.places.at(moved.unflatten(1, (positions, looks)))


def links_between(places: dict[str, Places], device: torch.device, past: dict[str, Before] | None = None) -> Links:
    """Which positions of each other stream the positions of each look at, and of the past those that are not flat.

    Into flat ones the past is lifted (`Lift`).
    """
    return {
        (reader, source): there.at(here.points(there.flat, device))
        for reader, here in places.items()
        for source, there in (places if here.flat else places | (past or {})).items()
        if source != reader
    }
