"""Log replay: drives where the episode's own driver goes next. Privileged."""

from __future__ import annotations

import torch
from torch import Tensor

from drivewm.geometry import se2, se3
from drivewm.planning.protocol import PLAN_DT_S, PLAN_STEPS
from drivewm.structures.planning import Oracle, PlanningInput
from drivewm.structures.rollout import Rollout
from drivewm.structures.trajectory import Trajectory


class LogReplayPlanner:
    """Follows what was recorded; in the town, what the expert would do from here.

    Args:
        oracle: of the one episode that it drives.
    """

    name, privileged = "log_replay", True

    def __init__(self, oracle: Oracle):
        self.oracle = oracle

    def plan(self, inputs: PlanningInput) -> Trajectory:
        """Poses `(1, 8, 3)`."""
        return Trajectory.from_poses(driven_ahead(self.oracle.future(), inputs), PLAN_DT_S)


def driven_ahead(future: Rollout, inputs: PlanningInput) -> Tensor:
    """Where the ego is at the plan's steps of a future that begins now: poses `(1, 8, 3)` in the ego frame at t0."""
    every = round(PLAN_DT_S / future.dt_s)
    poses = future.poses[every::every][:PLAN_STEPS]
    now = se3.to_se2(inputs.history.T_global_ego[0, -1].double().numpy())
    return torch.from_numpy(se2.relative(now, poses))[None].float()
