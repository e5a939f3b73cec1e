"""Stop: brake at once and stand. It never hits anything by itself, and must lose on progress."""

from __future__ import annotations

import torch

from drivewm.planning.protocol import PLAN_DT_S, PLAN_STEPS
from drivewm.structures.planning import PlanningInput
from drivewm.structures.trajectory import Trajectory


class StopPlanner:
    """Brakes at `deceleration` [m/s^2] along the present heading until it stands."""

    name = "stop"

    def __init__(self, deceleration: float = 3.0):
        if not deceleration > 0:
            raise ValueError(f"deceleration is {deceleration}, expected a positive number of m/s^2")
        self.deceleration = deceleration

    def plan(self, inputs: PlanningInput) -> Trajectory:
        """Poses `(B, 8, 3)` on the x axis."""
        speed = inputs.ego_state.speed.clamp_min(0)[:, None]
        times_s = PLAN_DT_S * torch.arange(1, PLAN_STEPS + 1, dtype=speed.dtype, device=speed.device)
        braking_s = torch.minimum(times_s, speed / self.deceleration)
        x = speed * braking_s - 0.5 * self.deceleration * braking_s**2
        poses = torch.stack([x, torch.zeros_like(x), torch.zeros_like(x)], dim=-1)
        return Trajectory.from_poses(poses, PLAN_DT_S)
