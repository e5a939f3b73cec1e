"""Where the maps come from that plans are scored against: three ideas of the future under one interface."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from drivewm.geometry import se2
from drivewm.planning.joint import DrivingModel
from drivewm.planning.protocol import PLAN_STEPS, STEPS_S
from drivewm.planning.scene_maps import SceneMaps
from drivewm.planning.state import PlannerState
from drivewm.structures import History


class World(Protocol):
    """One idea of what is to come.

    Attributes:
        depends_on_plan: are there maps of their own for each plan?
    """

    depends_on_plan: bool

    def maps(self, history: History, foreseen: PlannerState, poses: Tensor) -> SceneMaps:
        """Of the 8 steps of plans, the same for all of them, or 8 K, plan after plan.

        Args:
            history: the observed frames.
            foreseen: the action-free future at `STEPS_S`, which proposals were made from.
            poses: `(B, K, 8, 3)` of the plans in the ego frame at t0.
        """
        ...


class ActionFreeWorld:
    """What comes whatever the ego does: the pass of the world model that the head reads serves all plans.

    Others do not react to the plan, which is wrong; but neither does the model believe that others give way because the
    ego goes, as models do that have only seen drivers who went when others gave way (causal confusion).
    """

    depends_on_plan = False

    def maps(self, history: History, foreseen: PlannerState, poses: Tensor) -> SceneMaps:
        """In the ego frame at t0, with what comes near; see `World`."""
        return foreseen.coming.doubted(foreseen.maps.moments([0]))


class ConditionedWorld:
    """What comes if the ego drives the plan: a pass of the world model for each plan, all in one batch.

    Each map is as seen from the plan's own pose. A plan that is changed sees the scene elsewhere in the map; that part
    of the gradient goes through the lookup, exactly. The rest, how the scene itself changes with what the ego does,
    goes through soft tokens into the motion that the denoiser is told.

    Args:
        model: in evaluation mode.
    """

    depends_on_plan = True

    def __init__(self, model: DrivingModel) -> None:
        self.model = model

    def maps(self, history: History, foreseen: PlannerState, poses: Tensor) -> SceneMaps:
        """In the frames of the poses; see `World`. Differentiable in the poses."""
        batch, plans = poses.shape[:2]
        pose = poses.flatten(1, 2).float()
        times_s = torch.tensor(STEPS_S, device=pose.device).repeat(plans).expand(batch, -1)
        with torch.autocast(pose.device.type, dtype=torch.bfloat16):
            forecast = self.model.expect(self.model.outlook(history, se2.to_matrix(pose), times_s))
        return SceneMaps.of_forecast(forecast, pose.detach(), self.model.grid)


class CopyLastWorld:
    """Everything stays as it was at t0: the baseline that needs no model."""

    depends_on_plan = False

    def maps(self, history: History, foreseen: PlannerState, poses: Tensor) -> SceneMaps:
        """In the ego frame at t0; see `World`."""
        return foreseen.maps.moments([0] * PLAN_STEPS)
