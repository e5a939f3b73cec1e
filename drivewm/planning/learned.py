"""The learned planner: a world model that was trained with a trajectory head, asked for its plan."""

from __future__ import annotations

from typing import Protocol

import torch

from drivewm.structures.clip import History
from drivewm.structures.planning import PlanningInput
from drivewm.structures.route import Route
from drivewm.structures.trajectory import Trajectory


class PlanningModel(Protocol):
    """A trained model that plans from what was observed.

    Attributes:
        planner_name: how tables call it.
    """

    planner_name: str

    def plan(self, history: History, route: Route | None) -> Trajectory:
        """Poses `(B, 8, 3)` in the ego frame at t0."""
        ...


class LearnedPlanner:
    """Asks `model` for its plan, without gradients and in bfloat16, as it was trained.

    The model should be in evaluation mode.
    """

    def __init__(self, model: PlanningModel):
        self.model = model
        self.name = model.planner_name

    def plan(self, inputs: PlanningInput) -> Trajectory:
        """Poses `(B, 8, 3)` on the CPU, wherever the model runs."""
        device = inputs.history.T_global_ego.device.type
        with torch.inference_mode(), torch.autocast(device, dtype=torch.bfloat16):
            plan = self.model.plan(inputs.history, inputs.route)
        return Trajectory(plan.poses.float().cpu(), plan.valid.cpu(), plan.dt_s)
