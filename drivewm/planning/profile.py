"""Controls that a vehicle can carry out, laid along a path: what proposals are made of and what refinement changes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from drivewm.planning.path import RoutePath
from drivewm.planning.protocol import PLAN_DT_S, PLAN_STEPS
from drivewm.structures.trajectory import Trajectory

ACCELERATION_MPS2 = (-6.0, 2.5)
"""What a plan may ask for: emergency braking at the lower end."""
CONTROLS = PLAN_STEPS + 1
"""Acceleration in each step [m/s^2], then the sideways offset [m, to the left]."""
KNOTS = 4
"""At so many times accelerations are chosen; in between they change evenly, as a driver's foot moves."""
_SLIP_M = 8.0


@dataclass
class PathDriver:
    """Drives along the paths of B egos.

    Attributes:
        path: to follow.
        speed: `(B,)` at t0 [m/s].
    """

    path: RoutePath
    speed: Tensor

    def poses(self, controls: Tensor) -> Tensor:
        """Where controls `(B, M, CONTROLS)` lead: `(B, M, 8, 3)` in the ego frame at t0.

        Accelerations are brought into `ACCELERATION_MPS2`, the ego never goes backwards, and one that stands does not
        slip sideways. Differentiable, also where the ego stands: a gradient can make it set off.
        """
        progress = self.progress(controls)
        lateral = controls[..., -1:] * (1 - torch.exp(-progress / _SLIP_M))
        return self.path.poses(progress.flatten(1), lateral.flatten(1)).unflatten(1, progress.shape[1:])

    def progress(self, controls: Tensor) -> Tensor:
        """Distance `(B, M, 8)` covered at the end of each step [m]."""
        now = self.speed.clamp_min(0)[:, None].expand(controls.shape[:2])
        covered, made = torch.zeros_like(now), []
        for acceleration in controls[..., :-1].clamp(*ACCELERATION_MPS2).unbind(-1):
            wish = now + PLAN_DT_S * acceleration
            after = wish + (wish.clamp_min(0) - wish).detach()  # at standstill the gradient passes as if it moved
            covered = covered + PLAN_DT_S * 0.5 * (now + after)
            now = after
            made.append(covered)
        return torch.stack(made, dim=-1)


def between_knots(knots: Tensor) -> Tensor:
    """Accelerations `(..., 8)` of all steps from those at the knots `(..., KNOTS)`, which begin and end with them."""
    flat = F.interpolate(knots.flatten(0, -2)[:, None], PLAN_STEPS, mode="linear", align_corners=True)
    return flat.view(*knots.shape[:-1], PLAN_STEPS)


def as_plan(poses: Tensor) -> Trajectory:
    """Poses `(B, 8, 3)` as a plan."""
    return Trajectory.from_poses(poses, PLAN_DT_S)
