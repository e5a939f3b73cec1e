"""PDM-like planner: IDM profiles at several speeds and beside the route, scored against where the others are going.

After PDM-Closed (Dauner et al., "Parting with Misconceptions about Learning-based Vehicle Motion Planning", CoRL 2023):
five shares of the speed limit and three lateral offsets, agents expected to go straight on, and the score of NAVSIM
(without its look at the recorded future). Poses come straight from the path, without a tracker's simulation.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from drivewm.evaluation.functional.aggregate import pdms
from drivewm.evaluation.functional.comfort import ComfortLimits
from drivewm.evaluation.functional.planning import ego_boxes
from drivewm.evaluation.functional.time_to_collision import TTC_HORIZONS_S
from drivewm.geometry import se2, se3
from drivewm.geometry.boxes import bev_corners, boxes_overlap
from drivewm.planning.idm import IDMPlanner
from drivewm.planning.path import RoutePath
from drivewm.planning.protocol import PLAN_DT_S, PLAN_STEPS
from drivewm.structures.planning import PlanningInput
from drivewm.structures.trajectory import Trajectory

SPEED_SHARES, LATERAL_M = (1.0, 0.8, 0.6, 0.4, 0.2, 0.0), (0.0, 1.0, -1.0)
"""Preferred from left to right where scores are equal."""
_BLEND_M = 10.0  # in which the path moves over to its offset
_EGO_HEIGHT_M = 1.75
_TIMES_S = PLAN_DT_S * np.arange(1, PLAN_STEPS + 1)


class PDMPlanner:
    """Proposes, scores and picks. The map is used where there is one.

    Args:
        idm: makes the proposals' speed profiles.
    """

    name = "pdm"

    def __init__(self, idm: IDMPlanner | None = None):
        self.idm = IDMPlanner() if idm is None else idm

    def plan(self, inputs: PlanningInput) -> Trajectory:
        """The best-scored of 18 proposals; poses `(B, 8, 3)`."""
        proposals, progress = self.proposals(inputs)
        chosen = []
        for b, (poses, made_m) in enumerate(zip(proposals.double().numpy(), progress.double().numpy(), strict=True)):
            scores = self._scores(inputs, b, poses, made_m)
            chosen.append(proposals[b, int(np.argmax(scores))])
        return Trajectory.from_poses(torch.stack(chosen), PLAN_DT_S)

    def proposals(self, inputs: PlanningInput) -> tuple[Tensor, Tensor]:
        """`(B, 18, 8, 3)` poses in the ego frame, and how far each gets along the route `(B, 18)` [m]."""
        path = RoutePath.along(inputs.route, inputs.ego_state.speed.clamp_min(0))
        arcs = self.idm.progress(inputs, path, SPEED_SHARES).unbind(1)
        pairs = [(arc, lateral_m) for arc in arcs for lateral_m in LATERAL_M]
        poses = [path.poses(arc, lateral_m * (1 - torch.exp(-arc / _BLEND_M))) for arc, lateral_m in pairs]
        return torch.stack(poses, dim=1), torch.stack([arc[:, -1] for arc, _ in pairs], dim=1)

    def expected(self, inputs: PlanningInput, b: int) -> tuple[np.ndarray, np.ndarray]:
        """Where the others will be at the plan's steps, in the ego frame: boxes `(8, M, 7)`, velocities `(8, M, 2)`."""
        boxes = inputs.history.boxes
        if boxes is None:
            raise ValueError("PDM needs history.boxes, but the history has none")
        valid = boxes.valid[b, -1]
        velocity = torch.nan_to_num(boxes.velocity[b, -1][valid]).double().numpy()
        moved = np.repeat(boxes.boxes()[b, -1][valid].double().numpy()[None], PLAN_STEPS, axis=0)
        moved[..., :2] += _TIMES_S[:, None, None] * velocity
        return moved, np.repeat(velocity[None], PLAN_STEPS, axis=0)

    def _scores(self, inputs: PlanningInput, b: int, poses: np.ndarray, progress: np.ndarray) -> np.ndarray:
        """NAVSIM's score of each proposal `(K,)`; where all collide, the later the better."""
        vehicle = self.idm.vehicle
        size = (vehicle.length_m, vehicle.width_m, _EGO_HEIGHT_M)
        now = float(inputs.ego_state.speed[b].clamp_min(0))
        steps = np.diff(np.concatenate([np.zeros_like(poses[:, :1]), poses], axis=1)[..., :2], axis=1)
        speed = np.linalg.norm(steps, axis=-1) / PLAN_DT_S
        boxes, velocity = self.expected(inputs, b)
        hits = np.zeros((len(TTC_HORIZONS_S), *poses.shape[:2]), bool)
        for number, ahead_s in enumerate(TTC_HORIZONS_S):
            heading = np.stack([np.cos(poses[..., 2]), np.sin(poses[..., 2])], axis=-1)
            moved = poses.copy()
            moved[..., :2] += ahead_s * speed[..., None] * heading
            ego = ego_boxes(moved, size, vehicle.rear_axle_to_center_m)
            others = boxes.copy()
            others[..., :2] += ahead_s * velocity
            hits[number] = boxes_overlap(ego[:, :, None], others).any(-1)
        hits &= speed > 0.05  # who stands is not at fault
        clear, calm = ~hits[0].any(-1), self._calm(speed, now)
        drivable = _drivable(inputs, b, ego_boxes(poses, size, vehicle.rear_axle_to_center_m))
        best = max(float(progress[clear & drivable].max(initial=0.0)), 1e-6)
        ep = np.minimum(progress / best, 1.0)
        scores = np.array(
            [
                pdms(*(float(v) for v in terms))
                for terms in zip(clear, drivable, ep, ~hits.any((0, 2)), calm, strict=True)
            ]
        )
        if not scores.any():
            return np.where(hits[0].any(-1), hits[0].argmax(-1), PLAN_STEPS).astype(np.float64)
        return scores

    @staticmethod
    def _calm(speed: np.ndarray, now: float) -> np.ndarray:
        """Is the acceleration within nuPlan's bounds at all steps? `(K,)`."""
        limits = ComfortLimits()
        acceleration = np.diff(np.concatenate([np.full((len(speed), 1), now), speed], axis=1), axis=1) / PLAN_DT_S
        low, high = limits.min_longitudinal_acceleration, limits.max_longitudinal_acceleration
        return ((acceleration > low) & (acceleration < high)).all(-1)


def _drivable(inputs: PlanningInput, b: int, ego: np.ndarray) -> np.ndarray:
    """Which proposals keep all corners of the ego on the drivable area: bool `(K,)`; all, where there is no map."""
    road_map = inputs.road_map[b]
    if road_map is None:
        return np.ones(len(ego), bool)
    pose = se3.to_se2(inputs.history.T_global_ego[b, -1].double().numpy())
    corners = se2.transform_points(pose, bev_corners(ego).reshape(-1, 2)).reshape(*ego.shape[:2], 4, 2)
    return road_map.is_drivable(corners).all((-1, -2))
