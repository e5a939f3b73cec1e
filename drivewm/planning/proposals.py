"""Proposals: several plans, each with how likely a good driver would take it and what it is expected to be worth."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from drivewm.planning.profile import CONTROLS, PathDriver, as_plan
from drivewm.structures.trajectory import Trajectory


@dataclass
class Proposals:
    """M plans for each of B egos.

    Attributes:
        driver: carries them out.
        controls: `(B, M, CONTROLS)`, see `PathDriver`.
        logits: `(B, M)`, unnormalised log-probabilities that a good driver takes each.
        worth: `(B, M)`, the score in [0, 1] that each is expected to earn, as a logit.
        poses: `(B, M, 8, 3)` in the ego frame at t0, made of the controls.

    Raises:
        ValueError: the shapes do not fit, or a number is not finite.
    """

    driver: PathDriver
    controls: Tensor
    logits: Tensor
    worth: Tensor

    def __post_init__(self) -> None:
        parts = {"controls": self.controls, "logits": self.logits, "worth": self.worth}
        number = tuple(self.logits.shape)
        if self.controls.shape != (*number, CONTROLS) or self.worth.shape != number:
            shapes = ", ".join(f"{name} {tuple(part.shape)}" for name, part in parts.items())
            raise ValueError(f"proposals have {shapes}, expected (B, M, {CONTROLS}), (B, M) and (B, M)")
        if not all(part.isfinite().all() for part in parts.values()):
            raise ValueError("proposals hold NaN or infinity, expected finite controls, logits and worth")
        self.poses = self.driver.poses(self.controls)

    def pick(self, chosen: Tensor) -> Trajectory:
        """The plan number `chosen (B,)` of each ego."""
        return as_plan(self.poses[torch.arange(len(chosen), device=chosen.device), chosen])

    @property
    def preference(self) -> Tensor:
        """`(B, M)` log-probability, unnormalised: what a good driver would take, if it is worth it."""
        return self.logits.float().log_softmax(1) + _OUTCOME * F.logsigmoid(self.worth.float())

    def preferred(self) -> Trajectory:
        """The plan that counts most."""
        return self.pick(self.preference.argmax(1))


_OUTCOME = 8.0  # how much what a plan is worth counts beside what drivers do
# Far from all driven plans nothing is learned from being far.
_L1_FROM = 0.2  # m, rad
_POSE_WEIGHT = 0.25  # most of the error in pose is progress again, without the caution
_SCORE_WEIGHT = 0.5


def proposal_losses(
    proposals: Proposals, nearest: Tensor, target: Trajectory, caution: float = 3.0
) -> dict[str, Tensor]:
    """What is learned from a driven path: the proposal whose anchor is nearest follows it and gets the probability.

    Only one of several proposals is pulled to the truth ("winner takes all"; Chai et al., MultiPath, CoRL 2019): their
    mean would be a plan that nobody drives. Which one is said by fixed anchors, so that none dies.

    Args:
        proposals: M for each of B egos.
        nearest: `(B,)` which one's anchor is nearest to the driven path; see `ProposalHead.nearest_anchor`.
        target: the driven path; steps that are not valid do not count, and egos without any teach no score.
        caution: getting too far counts so many times as much as not far enough.

    Returns:
        "loss_plan_pose", "loss_plan_progress" (see `planning_loss`) and "loss_plan_score", the cross-entropy.
    """
    losses = planning_loss(proposals.pick(nearest), target, caution)
    scored = target.valid.any(1)
    score = F.cross_entropy(proposals.logits.float(), nearest, reduction="none")
    losses["loss_plan_score"] = _SCORE_WEIGHT * (score * scored).sum() / scored.sum().clamp_min(1)
    return losses


def worth_loss(proposals: Proposals, outcome: Tensor) -> Tensor:
    """Cross-entropy of what all proposals would have led to (Li et al., Hydra-MDP, 2024): drivers show what to do, but
    seldom why nothing else.

    Args:
        proposals: M for each of B egos.
        outcome: `(B, M)` what each would have been worth, in [0, 1]; NaN where nobody knows. See `Hindsight`.
    """
    known = outcome.isfinite()
    worth = F.binary_cross_entropy_with_logits(proposals.worth.float(), outcome.nan_to_num(0.0), reduction="none")
    return (worth * known).sum() / known.sum().clamp_min(1)


def planning_loss(plan: Trajectory, target: Trajectory, caution: float = 3.0) -> dict[str, Tensor]:
    """How far a plan is from the driven path: two terms to sum, each a scalar.

    `loss_plan_progress` is smooth L1 on the distance covered [m]; getting too far counts `caution` times as much as
    not far enough, since only the former hits what is ahead. `loss_plan_pose` is smooth L1 on x, y [m] and yaw [rad].
    Both are nearly L1: under a squared error the plan would be the mean of going and waiting. Steps whose target is not
    valid do not count.

    Raises:
        ValueError: where steps or their duration differ.
    """
    if plan.poses.shape != target.poses.shape or plan.dt_s != target.dt_s:
        raise ValueError(
            f"plan is {tuple(plan.poses.shape)} at {plan.dt_s} s, target {tuple(target.poses.shape)} at {target.dt_s} s"
        )
    valid = (plan.valid & target.valid).to(plan.poses.dtype)
    count = valid.sum().clamp_min(1.0)
    goal = torch.where(target.valid[..., None], target.poses, plan.poses.detach()).to(plan.poses)
    yaw_error = torch.remainder(plan.poses[..., 2] - goal[..., 2] + torch.pi, 2 * torch.pi) - torch.pi
    pose = _nearly_l1(plan.poses[..., :2] - goal[..., :2]).sum(-1) + _nearly_l1(yaw_error)
    ahead = covered_m(plan.poses) - covered_m(goal)
    progress = _nearly_l1(ahead) * torch.where(ahead > 0, caution, 1.0) * (2 / (1 + caution))
    return {
        "loss_plan_pose": _POSE_WEIGHT * (pose * valid).sum() / count,
        "loss_plan_progress": (progress * valid).sum() / count,
    }


def covered_m(poses: Tensor) -> Tensor:
    """`(..., F)` distance covered up to each pose `(..., F, 3)` [m]; smooth at standstill."""
    start = torch.zeros_like(poses[..., :1, :2])
    steps = torch.diff(torch.cat([start, poses[..., :2]], dim=-2), dim=-2)
    return torch.cumsum(torch.sqrt((steps**2).sum(-1) + 1e-6) - 1e-3, dim=-1)


def _nearly_l1(error: Tensor) -> Tensor:
    return F.smooth_l1_loss(error, torch.zeros_like(error), reduction="none", beta=_L1_FROM)
