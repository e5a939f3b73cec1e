"""Points of several frames, and the same points seen from another frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from drivewm.geometry.transform import transform_points
from drivewm.structures import History, SceneClip


@dataclass
class PointCloud:
    """Padded points of frames, each in its own frame; `...` is `(B, T)` or `(J,)`.

    Attributes:
        points: `(..., N, 4)` x, y, z [m], intensity 0..255.
        valid: `(..., N)` bool.
        time_s: `(..., N)` [s] relative to the frame's stamp, or None where all are of one sweep.
    """

    points: Tensor
    valid: Tensor
    time_s: Tensor | None = None

    @classmethod
    def of(cls, frames: SceneClip | History) -> PointCloud:
        """The sweeps `(B, T)` of a clip."""
        return cls(frames.points, frames.points_valid, frames.points_time_s)

    @classmethod
    def empty(cls, frames: int, device: torch.device) -> PointCloud:
        """J frames in which nothing was seen."""
        return cls(torch.zeros(frames, 0, 4, device=device), torch.zeros(frames, 0, dtype=torch.bool, device=device))

    @classmethod
    def stack(cls, clouds: list[PointCloud]) -> PointCloud:
        """F clouds of J frames each, all with times, as `(J, F)` frames."""
        parts = ([getattr(cloud, name) for cloud in clouds] for name in ("points", "valid", "time_s"))
        return cls(*(torch.stack(part, dim=1) for part in parts))

    @property
    def lead(self) -> tuple[int, ...]:
        """`...` of the shapes."""
        return tuple(self.valid.shape[:-1])

    def __getitem__(self, frames) -> PointCloud:
        """Some of the frames, as a tensor of that shape is indexed."""
        return self._map(lambda tensor: tensor[frames])

    def flatten(self, first: int = 0, last: int = 1) -> PointCloud:
        """`(B, T)` frames as B * T."""
        return self._map(lambda tensor: tensor.flatten(first, last))

    def _map(self, function: Callable[[Tensor], Tensor]) -> PointCloud:
        time_s = None if self.time_s is None else function(self.time_s)
        return PointCloud(function(self.points), function(self.valid), time_s)

    def met_in(self, low: Tensor, size: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Of J frames `(J, *shape)` float32: 1 in the cells in which any valid point lies.

        The cells divide the first D axes, one for each number of `shape`; from `low (D,)` [m], `size (D,)` [m] each.
        """
        cell = ((self.points[..., : len(shape)] - low) / size).floor().long()
        inside = ((cell >= 0) & (cell < torch.tensor(shape, device=cell.device))).all(-1) & self.valid
        row, cells = cell[..., 0], shape[0]
        for axis in range(1, len(shape)):
            row, cells = row * shape[axis] + cell[..., axis], cells * shape[axis]
        # What is outside falls into a cell behind the last one.
        met = torch.zeros(len(row), cells + 1, device=row.device).scatter_(1, torch.where(inside, row, cells), 1.0)
        return met[:, :-1].unflatten(1, shape)

    def pick(self, place: Tensor) -> PointCloud:
        """The valid points of these numbers, `place (..., K)` int64 counted from 0 in each frame: `(..., K)` points.

        Beyond the last valid point of a frame there is none.
        """
        if self.valid.shape[-1] == 0:  # nothing was met in any of the frames
            nothing = torch.zeros(place.shape, dtype=self.points.dtype, device=place.device)
            points = nothing[..., None].expand(*place.shape, self.points.shape[-1])
            return PointCloud(points, nothing.bool(), None if self.time_s is None else nothing)
        count = self.valid.sum(-1, keepdim=True)
        # Valid points first; a stable sort keeps their order, and is the same everywhere.
        order = (~self.valid).to(torch.uint8).argsort(dim=-1, stable=True)
        row = order.gather(-1, place.clamp_max(self.valid.shape[-1] - 1))
        points = self.points.gather(-2, row[..., None].expand(*row.shape, self.points.shape[-1]))
        return PointCloud(points, place < count, None if self.time_s is None else self.time_s.gather(-1, row))

    def thinned(self, number: int) -> PointCloud:
        """At most `number` of the valid points of each frame, evenly spread over their order."""
        count = self.valid.sum(-1, keepdim=True)
        slot = torch.arange(number, device=count.device)
        return self.pick(torch.where(count > number, slot * count // number, slot))

    def moved(self, T_target_source: Tensor, age_s: Tensor, chosen: Tensor) -> PointCloud:
        """The points of T frames together, seen from one frame for each of B clips: J = B, N = T times as many.

        Args:
            T_target_source: `(B, T, 4, 4)` [m].
            age_s: `(B, T)` [s] by which each frame precedes the target.
            chosen: `(B, T)` bool, frames to take; the points of the others are not valid.
        """
        time_s = -age_s[..., None].expand_as(self.valid)
        if self.time_s is not None:
            time_s = time_s + self.time_s
        points = transform_points(T_target_source, self.points)
        return PointCloud(points.flatten(1, 2), (self.valid & chosen[..., None]).flatten(1, 2), time_s.flatten(1, 2))
