"""Trajectory: absolute poses in one frame, never per-step deltas."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Trajectory:
    """Where the rear axle will be.

    Attributes:
        poses: `(B, F, 3)` x, y [m], yaw [rad] in the ego frame at t0; pose i is `(i + 1) * dt_s` after t0.
        valid: `(B, F)` bool.
        dt_s: time between poses [s].

    Raises:
        ValueError: on a wrong shape, a step that is not positive, or valid poses that are not finite.
    """

    poses: Tensor
    valid: Tensor
    dt_s: float

    def __post_init__(self) -> None:
        if self.poses.ndim != 3 or self.poses.shape[-1] != 3:
            raise ValueError(f"Trajectory.poses must have shape (B, F, 3), got {tuple(self.poses.shape)}")
        if self.valid.shape != self.poses.shape[:2] or self.valid.dtype != torch.bool:
            raise ValueError(
                f"Trajectory.valid must be bool of shape {tuple(self.poses.shape[:2])}, got {self.valid.dtype} "
                f"of shape {tuple(self.valid.shape)}"
            )
        if not self.dt_s > 0:
            raise ValueError(f"Trajectory.dt_s must be positive, got {self.dt_s}")
        if not torch.isfinite(self.poses[self.valid]).all():
            raise ValueError("Trajectory.poses holds NaN or infinity where valid is true")

    @classmethod
    def from_poses(cls, poses: Tensor, dt_s: float) -> Trajectory:
        """A trajectory whose poses `(B, F, 3)` are all valid."""
        return cls(poses, torch.ones(poses.shape[:2], dtype=torch.bool, device=poses.device), dt_s)
