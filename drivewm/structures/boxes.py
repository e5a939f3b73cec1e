"""BoxTracks: the boxes of all agents in each frame of a clip."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass
class BoxTracks:
    """Boxes of T frames, each in its frame's own ego frame; M slots, unused ones not valid.

    Attributes:
        center: `(B, T, M, 3)` float32 [m].
        size: `(B, T, M, 3)` float32 length, width, height [m].
        yaw: `(B, T, M)` float32 [rad].
        velocity: `(B, T, M, 2)` float32 [m/s] over ground, along the ego frame's axes; NaN where unknown.
        label: `(B, T, M)` int64 classes of `OCC3D`.
        track: `(B, T, M)` int64, the same for one instance throughout a scene.
        valid: `(B, T, M)` bool.
    """

    center: Tensor
    size: Tensor
    yaw: Tensor
    velocity: Tensor
    label: Tensor
    track: Tensor
    valid: Tensor

    def __post_init__(self) -> None:
        lead = tuple(self.valid.shape)
        for name, tail in (
            ("center", (3,)),
            ("size", (3,)),
            ("yaw", ()),
            ("velocity", (2,)),
            ("label", ()),
            ("track", ()),
        ):
            if tuple(getattr(self, name).shape) != lead + tail:
                raise ValueError(
                    f"BoxTracks.{name} must have shape {lead + tail} (as valid says), "
                    f"got {tuple(getattr(self, name).shape)}"
                )

    @classmethod
    def empty(cls, batch: int, frames: int, slots: int = 0) -> BoxTracks:
        """No boxes."""
        lead = (batch, frames, slots)
        zeros = torch.zeros
        return cls(
            zeros(*lead, 3),
            zeros(*lead, 3),
            zeros(lead),
            zeros(*lead, 2),
            zeros(lead, dtype=torch.int64),
            zeros(lead, dtype=torch.int64),
            zeros(lead, dtype=torch.bool),
        )

    def boxes(self) -> Tensor:
        """`(B, T, M, 7)` centre, size, yaw, as `drivewm.geometry.boxes` takes them."""
        return torch.cat([self.center, self.size, self.yaw[..., None]], dim=-1)

    def map(self, function) -> BoxTracks:
        """Apply a function of one tensor to each field."""
        return BoxTracks(*(function(getattr(self, f.name)) for f in fields(self)))
