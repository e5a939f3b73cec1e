"""Ego-MLP: a planner that sees nothing of the scene (after AD-MLP, Zhai et al., 2023).

It is the yardstick of open-loop scores: who continues the past motion comes close to the driven path without a look.
Unlike AD-MLP it is given the route and the red light on it, since all planners here are.
"""

from __future__ import annotations

import torch
from mmengine.model import BaseModel
from torch import nn

from drivewm.geometry import se2
from drivewm.planning.open_loop import driven, open_loop_samples
from drivewm.planning.path import RoutePath
from drivewm.planning.profile import ACCELERATION_MPS2, CONTROLS, PathDriver, as_plan
from drivewm.planning.proposals import planning_loss
from drivewm.structures import EgoState, History, Route, SceneClip, Trajectory
from drivewm.structures.route import ROUTE_POINTS

_POSITION_M, _SPEED, _ACCELERATION, _LIGHT_M = 20.0, 10.0, 3.0, 15.0  # bring the inputs to order one
_USUAL_SPEED = 5.0  # m/s: of an ego whose speed is not known


class EgoMLP(BaseModel):
    """Three linear layers from the route, and the ego's motion if it is to see that, to a plan along the route.

    Args:
        ego_status: are the past poses, speed, acceleration and yaw rate inputs (as AD-MLP's)? Without them the plan
            depends on the route and its next red light alone.
        num_history: observed keyframes; their poses are inputs with `ego_status`.
        hidden: width of the layers.
        max_lateral_m: bound of the predicted sideways displacement.
        data_preprocessor: moves clips to the model's device.
    """

    grid = None  # it sees no voxels
    specs = ()

    def __init__(
        self,
        ego_status: bool = True,
        num_history: int = 3,
        hidden: int = 256,
        max_lateral_m: float = 0.5,
        data_preprocessor: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor)
        if num_history < 2:
            raise ValueError(f"num_history is {num_history}, expected at least 2: motion needs two frames")
        self.ego_status, self.num_history, self.max_lateral_m = ego_status, num_history, max_lateral_m
        inputs = 3 * ROUTE_POINTS + 3 + (3 * (num_history - 1) + 3 if ego_status else 0)
        self.layers = nn.Sequential(
            nn.Linear(inputs, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, CONTROLS + 1),
        )
        nn.init.normal_(self.layers[-1].weight, std=0.02)
        nn.init.zeros_(self.layers[-1].bias)

    @property
    def planner_name(self) -> str:
        """How tables call it."""
        return "ego_mlp" if self.ego_status else "ego_mlp_blind"

    def plan(self, history: History, route: Route | None) -> Trajectory:
        """Poses `(B, 8, 3)` in the ego frame at t0; of the history only the poses count, with `ego_status`.

        Raises:
            ValueError: the history or the route has another length than the model is made for.
        """
        if history.num_frames != self.num_history:
            raise ValueError(f"the history has {history.num_frames} frames, expected num_history = {self.num_history}")
        route = _nowhere(history) if route is None else route
        if route.points.shape[1] != ROUTE_POINTS:
            raise ValueError(f"the route has {route.points.shape[1]} points, expected {ROUTE_POINTS}")
        ego = EgoState.from_history(history)
        # The path's blend back to the route depends on the speed: it must not tell a planner that is blind to it.
        speed = ego.speed if self.ego_status else torch.full_like(ego.speed, _USUAL_SPEED)
        path = RoutePath.along(route, speed)
        light = torch.exp(-route.stop_m.to(speed) / _LIGHT_M)
        features = [
            (path.points / _POSITION_M).flatten(1),
            route.valid.to(speed),
            torch.stack([path.start_offset, path.start_slope, light], dim=-1),
        ]
        if self.ego_status:
            past = se2.from_matrix(history.poses_in_t0()[:, :-1])
            scaled = torch.cat([past[..., :2] / _POSITION_M, past[..., 2:]], dim=-1)
            motion = [ego.speed / _SPEED, ego.acceleration / _ACCELERATION, ego.yaw_rate]
            features += [scaled.flatten(1), torch.stack(motion, dim=-1)]
        raw = self.layers(torch.cat(features, dim=-1)).float()
        if not self.ego_status:
            speed = speed * torch.exp(raw[:, -1])  # a guess: nothing tells
        wish, low, high = torch.tanh(raw[:, :-1]), *ACCELERATION_MPS2
        acceleration, lateral = wish[:, :-1], self.max_lateral_m * wish[:, -1:]
        controls = torch.cat([torch.where(acceleration > 0, high, -low) * acceleration, lateral], dim=1)
        return as_plan(PathDriver(path, speed).poses(controls[:, None])[:, 0])

    def forward(self, clip: SceneClip, mode: str = "tensor"):
        """mmengine's entry: "loss" (`planning_loss`), "predict" (for `OpenLoopPlanningMetric`), "tensor" (poses)."""
        plan = self.plan(clip.history(), clip.route)
        if mode == "loss":
            return planning_loss(plan, driven(clip))
        if mode == "predict":
            return open_loop_samples(clip, {self.planner_name: plan})
        return plan.poses


def _nowhere(history: History) -> Route:
    device = history.T_global_ego.device
    return Route.cat([Route.nowhere()] * len(history)).to(device)
