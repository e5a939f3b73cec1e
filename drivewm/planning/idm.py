"""IDM lane follower: keeps to the route, keeps its distance, slows down for bends.

It reads the boxes of the last observed frame, so in the town it knows the agents exactly: the ceiling for
what a planner that has to see them can reach.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from drivewm.dynamics.bicycle import PACIFICA, VehicleParameters
from drivewm.dynamics.idm import IDMParameters, idm_acceleration
from drivewm.planning.path import RoutePath
from drivewm.planning.protocol import PLAN_DT_S, PLAN_STEPS
from drivewm.structures.planning import PlanningInput
from drivewm.structures.route import Route
from drivewm.structures.trajectory import Trajectory

EGO_IDM = IDMParameters(desired_speed=11.0, min_gap=3.0, headway=1.4, acceleration=1.4, deceleration=1.8)
"""More reserved than nuPlan's traffic: 1 m of gap leaves a tracked ego no room for error."""
_STEP_S = 0.1
_OUTLINE = 4  # points along each side of a box that are tested against the corridor
_LOOK_S = 0.5
_AT_LINE_M = 0.5
_GIVE_UP = 0.7  # of the hardest braking: lights that would need more are passed
_OVER_LINE_M = 1.0  # who stands a bit too far still waits
_MEET_S = 1.5  # two that pass a place closer in time than this are said to meet there


class IDMPlanner:
    """Follows the route, behind whatever is or will be in its corridor.

    Args:
        parameters: of the car-following model.
        margin_m: the corridor is the vehicle's width and this much more on each side.
        lateral_acceleration: comfortable in bends [m/s^2]; sets the speed for a curvature.
        lookahead_s: how long boxes are expected to go straight on; 0 heeds only what is in the corridor already.
        vehicle: own size.
    """

    name = "idm"

    def __init__(
        self,
        parameters: IDMParameters = EGO_IDM,
        margin_m: float = 0.3,
        lateral_acceleration: float = 2.0,
        lookahead_s: float = 3.0,
        vehicle: VehicleParameters = PACIFICA,
    ):
        self.parameters = parameters
        self.margin_m = margin_m
        self.lateral_acceleration = lateral_acceleration
        self.lookahead_s = lookahead_s
        self.vehicle = vehicle

    def plan(self, inputs: PlanningInput) -> Trajectory:
        """Poses `(B, 8, 3)` on the route; constant acceleration is replanned every 0.1 s against a leader
        that keeps its speed."""
        path = RoutePath.along(inputs.route, inputs.ego_state.speed.clamp_min(0))
        return Trajectory.from_poses(path.poses(self.progress(inputs, path)[:, 0]), PLAN_DT_S)

    def progress(self, inputs: PlanningInput, path: RoutePath, shares: Sequence[float] = (1.0,)) -> Tensor:
        """Arc lengths `(B, S, 8)` [m] that the ego reaches, at S shares of the desired speed."""
        speed = inputs.ego_state.speed.clamp_min(0)
        lead_arc, lead_speed = (of_lead[:, None] for of_lead in self._leader(inputs, path, speed))
        stop_arc = self._red_light(inputs.route, speed)[:, None]
        limit_arc = torch.arange(0, 60, 1, dtype=speed.dtype).expand(len(speed), -1)
        limit = self._speed_limit(limit_arc, path.curvature(limit_arc)).double().numpy()

        arc = np.zeros((len(speed), len(shares)))
        v = np.repeat(speed.double().numpy()[:, None], len(shares), axis=1)
        progress = []
        for step in range(round(PLAN_STEPS * PLAN_DT_S / _STEP_S)):
            station = np.minimum(arc.astype(int), limit.shape[1] - 1)
            desired = np.array(shares) * np.take_along_axis(limit, station, axis=1)
            gap = lead_arc + lead_speed * _STEP_S * step - arc - self._front_m
            behind = idm_acceleration(v, gap, lead_speed, self.parameters, desired)
            # A stop line is no bumper: one may come close to it.
            at_light = stop_arc - arc - self._front_m + self.parameters.min_gap - _AT_LINE_M
            acceleration = np.minimum(behind, idm_acceleration(v, at_light, 0.0, self.parameters, desired))
            next_v = np.maximum(v + acceleration * _STEP_S, 0.0)
            arc, v = arc + 0.5 * (v + next_v) * _STEP_S, next_v
            progress.append(arc)
        every = round(PLAN_DT_S / _STEP_S)
        return torch.from_numpy(np.stack(progress[every - 1 :: every], axis=-1)).to(speed)

    def _red_light(self, route: Route | None, speed: Tensor) -> np.ndarray:
        """Arc length of the next stop line `(B,)` [m]; inf without a red light, or where it is too late to stop."""
        if route is None:
            return np.full(len(speed), np.inf)
        stop, v = route.stop_m.double().numpy(), speed.double().numpy()
        room = np.maximum(stop - self._front_m, 0.0) + _OVER_LINE_M
        return np.where(v**2 > 2 * self.parameters.max_braking * _GIVE_UP * room, np.inf, stop)

    @property
    def _front_m(self) -> float:
        return self.vehicle.rear_axle_to_center_m + self.vehicle.length_m / 2

    def _leader(self, inputs: PlanningInput, path: RoutePath, speed: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """What the ego has to heed most: its arc length [m], inf if nothing, and its speed along the route, `(B,)`.

        Boxes that are in the corridor, and boxes that straight on would be in it about when the ego gets there.
        """
        batch, boxes = len(speed), inputs.history.boxes
        if boxes is None:
            raise ValueError("IDM needs history.boxes, but the history has none")
        if boxes.valid.shape[2] == 0:
            return np.full(batch, np.inf), np.zeros(batch)
        velocity = torch.nan_to_num(boxes.velocity[:, -1])[:, None]  # (B, 1, M, 2)
        times_s = torch.arange(0, self.lookahead_s + 1e-6, _LOOK_S, dtype=speed.dtype)
        arc = self._first_in_corridor(boxes.boxes()[:, -1], boxes.valid[:, -1], times_s[:, None, None] * velocity, path)
        yaw = path.poses(arc.flatten(1).nan_to_num(posinf=0.0))[..., 2].reshape(arc.shape)
        along = velocity[..., 0] * torch.cos(yaw) + velocity[..., 1] * torch.sin(yaw)

        arrival_s = (arc - self._front_m).clamp_min(0) / speed.clamp_min(1.0)[:, None, None]
        oncoming = along < -0.5 * velocity.norm(dim=-1)  # keeps to its own lane, also where it bends
        heeded = (arrival_s - times_s[:, None]).abs() < _MEET_S
        heeded &= ~oncoming & arc[:, :1].isinf()
        heeded[:, 0] = True
        arc = torch.where(heeded, arc, math.inf).flatten(1).double().numpy()
        along = along.clamp_min(0).flatten(1).double().numpy()
        own = speed.double().numpy()[:, None]
        worst = idm_acceleration(own, arc - self._front_m, along, self.parameters).argmin(1)[:, None]
        return np.take_along_axis(arc, worst, 1)[:, 0], np.take_along_axis(along, worst, 1)[:, 0]

    def _first_in_corridor(self, boxes: Tensor, valid: Tensor, moved: Tensor, path: RoutePath) -> Tensor:
        """Where boxes `(B, M, 7)`, displaced by `moved (B, T, M, 2)`, begin to fill the corridor: arc length
        `(B, T, M)` [m], inf where they do not."""
        half_width_m = self.vehicle.width_m / 2 + self.margin_m
        center = (boxes[:, None, :, :2] + moved).flatten(1, 2)  # (B, T M, 2)
        reach_m = half_width_m + (boxes[..., 3:5].norm(dim=-1) / 2)[:, None].expand(moved.shape[:-1]).flatten(1)
        near = path.is_near(center, reach_m) & valid[:, None].expand(moved.shape[:-1]).flatten(1)
        arc = torch.full(near.shape, math.inf, dtype=boxes.dtype)
        count = int(near.sum(1).max())
        if count:  # only these are looked at closely: of a street full of vehicles, few come close to the route
            picked = near.byte().topk(count, dim=1).indices
            outline = _outline(boxes)[:, None] + moved[..., None, :]  # (B, T, M, K, 2)
            points = outline.flatten(1, 2).gather(1, picked[..., None, None].expand(-1, -1, *outline.shape[-2:]))
            along, left = (value.reshape(points.shape[:-1]) for value in path.project(points.flatten(1, 2)))
            inside = (left.abs() < half_width_m) & (along > self._front_m - 1.0) & near.gather(1, picked)[..., None]
            arc.scatter_(1, picked, torch.where(inside, along, math.inf).amin(-1))
        return arc.reshape(moved.shape[:-1])

    def _speed_limit(self, arc: Tensor, curvature: Tensor) -> Tensor:
        """`(B, N)` desired speed at each station: the bend there, and the bends ahead at comfortable braking."""
        speed2 = self.lateral_acceleration / curvature.abs().clamp_min(1e-4)
        distance = arc[:, None, :] - arc[:, :, None]
        braking = 2 * 0.5 * self.parameters.deceleration * distance.clamp_min(0)
        reachable = torch.where(distance >= 0, speed2[:, None, :] + braking, math.inf).amin(-1)
        return reachable.sqrt().clamp_max(self.parameters.desired_speed)


def _outline(boxes: Tensor) -> Tensor:
    """Points `(B, M, K, 2)` on and in the footprint of boxes `(B, M, 7)`."""
    share = torch.linspace(-0.5, 0.5, _OUTLINE, dtype=boxes.dtype)
    along, across = torch.meshgrid(share, share, indexing="ij")
    x = boxes[..., 3:4] * along.flatten()
    y = boxes[..., 4:5] * across.flatten()
    cos, sin = torch.cos(boxes[..., 6:7]), torch.sin(boxes[..., 6:7])
    return torch.stack([boxes[..., 0:1] + cos * x - sin * y, boxes[..., 1:2] + sin * x + cos * y], dim=-1)
