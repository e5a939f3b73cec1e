"""Points of several frames, and the same points seen from another frame."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

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

    @property
    def lead(self) -> tuple[int, ...]:
        """`...` of the shapes."""
        return tuple(self.valid.shape[:-1])

    def flatten(self) -> PointCloud:
        """`(B, T)` frames as B * T."""
        return PointCloud(
            self.points.flatten(0, 1),
            self.valid.flatten(0, 1),
            None if self.time_s is None else self.time_s.flatten(0, 1),
        )

    def moved(self, T_target_source: Tensor, age_s: Tensor, chosen: Tensor) -> PointCloud:
        """The points of T frames together, seen from one frame for each of B clips: J = B, N = T times as many.

        Args:
            T_target_source: `(B, T, 4, 4)` [m].
            age_s: `(B, T)` [s] by which each frame precedes the target.
            chosen: `(B, T)` bool, frames to take; the points of the others are not valid.
        """
        xyz = self.points[..., :3] @ T_target_source[..., :3, :3].transpose(-1, -2) + T_target_source[..., None, :3, 3]
        time_s = -age_s[..., None].expand_as(self.valid)
        if self.time_s is not None:
            time_s = time_s + self.time_s
        points = torch.cat([xyz, self.points[..., 3:]], dim=-1)
        return PointCloud(points.flatten(1, 2), (self.valid & chosen[..., None]).flatten(1, 2), time_s.flatten(1, 2))
