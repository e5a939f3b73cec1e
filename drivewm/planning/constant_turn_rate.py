"""Constant turn rate: on along the present arc at the present speed."""

from __future__ import annotations

import torch

from drivewm.planning.protocol import PLAN_DT_S, PLAN_STEPS
from drivewm.structures.planning import PlanningInput
from drivewm.structures.trajectory import Trajectory


class ConstantTurnRatePlanner:
    """Keeps speed and yaw rate, whatever is ahead."""

    name = "constant_turn_rate"

    def plan(self, inputs: PlanningInput) -> Trajectory:
        """Poses `(B, 8, 3)` on a circle through the rear axle."""
        speed, rate = inputs.ego_state.speed[:, None], inputs.ego_state.yaw_rate[:, None]
        times_s = PLAN_DT_S * torch.arange(1, PLAN_STEPS + 1, dtype=speed.dtype, device=speed.device)
        yaw = rate * times_s
        # The chord of an arc of length v t that turns by yaw: v t sin(yaw / 2) / (yaw / 2), half way between headings.
        chord = speed * times_s * torch.sinc(yaw / (2 * torch.pi))
        poses = torch.stack([chord * torch.cos(yaw / 2), chord * torch.sin(yaw / 2), yaw], dim=-1)
        return Trajectory.from_poses(poses, PLAN_DT_S)
