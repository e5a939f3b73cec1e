"""Constant velocity: straight ahead at the present speed. The smallest planner, and the bar to clear."""

from __future__ import annotations

import torch

from drivewm.planning.protocol import PLAN_DT_S, PLAN_STEPS
from drivewm.structures.planning import PlanningInput
from drivewm.structures.trajectory import Trajectory


class ConstantVelocityPlanner:
    """Keeps speed and heading, whatever is ahead.

    A planner of your own looks like this: a `name`, and a `plan` that turns a batch of observations into
    poses in the ego frame at t0 (x forward, y left, yaw to the left; pose i is `(i + 1) * PLAN_DT_S` after
    t0).
    """

    name = "constant_velocity"

    def plan(self, inputs: PlanningInput) -> Trajectory:
        """Poses `(B, 8, 3)` on the x axis."""
        speed = inputs.ego_state.speed
        times_s = PLAN_DT_S * torch.arange(1, PLAN_STEPS + 1, dtype=speed.dtype, device=speed.device)
        x = speed[:, None] * times_s
        poses = torch.stack([x, torch.zeros_like(x), torch.zeros_like(x)], dim=-1)
        return Trajectory.from_poses(poses, PLAN_DT_S)
