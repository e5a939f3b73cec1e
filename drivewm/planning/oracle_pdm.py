"""The PDM-like planner, told where everybody is going and what the episode's own driver would do. Privileged."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from drivewm.geometry import se2, se3
from drivewm.planning.idm import IDMPlanner
from drivewm.planning.log_replay import driven_ahead
from drivewm.planning.pdm import PDMPlanner
from drivewm.planning.protocol import PLAN_DT_S, PLAN_STEPS
from drivewm.structures.planning import Oracle, PlanningInput
from drivewm.structures.trajectory import Trajectory


class OraclePDMPlanner(PDMPlanner):
    """The ceiling of what proposing and scoring can reach: no forecast errors.

    Args:
        oracle: of the one episode that it drives.
        idm: makes the proposals' speed profiles.
    """

    name, privileged = "oracle_pdm", True

    def __init__(self, oracle: Oracle, idm: IDMPlanner | None = None):
        super().__init__(idm)
        self.oracle = oracle

    def plan(self, inputs: PlanningInput) -> Trajectory:
        """The best-scored of 19 proposals; poses `(1, 8, 3)`."""
        self._future = self.oracle.future()
        return super().plan(inputs)

    def proposals(self, inputs: PlanningInput) -> tuple[Tensor, Tensor]:
        """The driver's own path first, then those of the PDM-like planner: `(1, 19, 8, 3)` and progress `(1, 19)`."""
        poses, progress = super().proposals(inputs)
        own = driven_ahead(self._future, inputs)
        made_m = torch.linalg.norm(torch.diff(own[..., :2], dim=1, prepend=torch.zeros(1, 1, 2)), dim=-1).sum(1)
        return torch.cat([own[:, None], poses], dim=1), torch.cat([made_m[:, None], progress], dim=1)

    def expected(self, inputs: PlanningInput, b: int) -> tuple[np.ndarray, np.ndarray]:
        """Where the others will be at the plan's steps, in the ego frame: boxes `(8, M, 7)`, velocities `(8, M, 2)`."""
        future = self._future
        steps = round(PLAN_DT_S / future.dt_s) * np.arange(1, PLAN_STEPS + 1)
        steps = np.minimum(steps, len(future.poses) - 1)
        agents = future.agents
        present = agents.valid[steps].all(0)
        boxes, velocity = agents.boxes[steps][:, present].copy(), agents.velocity[steps][:, present]
        now = se3.to_se2(inputs.history.T_global_ego[b, -1].double().numpy())
        boxes[..., [0, 1, 6]] = se2.relative(now, boxes[..., [0, 1, 6]])
        return boxes, se2.transform_points(np.array([0.0, 0.0, -now[2]]), np.nan_to_num(velocity))
