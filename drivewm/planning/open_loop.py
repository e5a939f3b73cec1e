"""What `OpenLoopPlanningMetric` takes of a clip: the driven path, the recorded boxes, plans beside the baselines'."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from drivewm.geometry import se2
from drivewm.planning.constant_turn_rate import ConstantTurnRatePlanner
from drivewm.planning.constant_velocity import ConstantVelocityPlanner
from drivewm.planning.protocol import PLAN_DT_S, PLAN_STEPS
from drivewm.structures import EgoState, PlanningInput, SceneClip, Trajectory

BASELINES = (ConstantVelocityPlanner, ConstantTurnRatePlanner)
"""Always in the table. Going straight at the present speed *is* constant velocity: it has no row of its own."""
_STEP_TOLERANCE_S = 0.1


def open_loop_samples(clip: SceneClip, plans: dict[str, Trajectory]) -> list[dict]:
    """One dict a clip, with all under "planning": `plans` by planner name, and the baselines'."""
    history, truth = clip.history(), driven(clip)
    inputs = PlanningInput(history, EgoState.from_history(history), (None,) * len(clip), clip.route)
    plans = plans | {planner.name: planner().plan(inputs) for planner in BASELINES}
    boxes, boxes_valid = _future_boxes(clip)
    command = None if clip.route is None else clip.route.command()
    return [
        {
            "planning": {
                "plans": {name: plan.poses[b].float() for name, plan in plans.items()},
                "truth": truth.poses[b],
                "valid": truth.valid[b],
                "dt_s": truth.dt_s,
                "boxes": None if boxes is None else boxes[b],
                "boxes_valid": None if boxes is None else boxes_valid[b],
                "scene": clip.scene[b],
                "command": None if clip.route is None else int(command[b]),
            }
        }
        for b in range(len(clip))
    ]


def driven(clip: SceneClip) -> Trajectory:
    """The path that was driven after t0, at the plan's steps; steps without a keyframe at that time are not valid."""
    T, times_s = clip.future_poses()[:, :PLAN_STEPS], clip.future_times_s()[:, :PLAN_STEPS]
    poses = torch.zeros(len(clip), PLAN_STEPS, 3, device=T.device)
    valid = torch.zeros(len(clip), PLAN_STEPS, dtype=torch.bool, device=T.device)
    poses[:, : T.shape[1]] = se2.from_matrix(T)
    wanted = PLAN_DT_S * torch.arange(1, T.shape[1] + 1, device=T.device)
    valid[:, : T.shape[1]] = (times_s - wanted).abs() < _STEP_TOLERANCE_S
    return Trajectory(poses, valid, PLAN_DT_S)


def _future_boxes(clip: SceneClip) -> tuple[Tensor | None, Tensor | None]:
    """Boxes `(B, PLAN_STEPS, M, 7)` of the future frames, brought into the ego frame at t0, and which are valid.

    Steps that the clip does not reach have no valid box.
    """
    if clip.boxes is None:
        return None, None
    future = slice(clip.num_history, clip.num_history + PLAN_STEPS)
    boxes, T = clip.boxes.boxes()[:, future].clone(), clip.future_poses()[:, :PLAN_STEPS]
    pose = se2.from_matrix(T)[:, :, None]
    boxes[..., [0, 1, 6]] = se2.compose(pose.expand(*boxes.shape[:3], 3), boxes[..., [0, 1, 6]])
    missing = PLAN_STEPS - boxes.shape[1]
    return pad(boxes, (0, 0, 0, 0, 0, missing)), pad(clip.boxes.valid[:, future], (0, 0, 0, missing))
