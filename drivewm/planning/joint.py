"""DrivingModel: the world model and a planner on its state, trained together."""

from __future__ import annotations

import torch
from torch import Tensor

from drivewm.geometry import se2
from drivewm.layers.draws import rows_of_global_batch
from drivewm.planning.head import TrajectoryHead, planning_loss
from drivewm.planning.open_loop import driven, open_loop_samples
from drivewm.structures import EgoState, History, Route, SceneClip, Trajectory
from drivewm.world_model import WorldModel
from drivewm.world_model.objective import world_model_losses


class DrivingModel(WorldModel):
    """A world model whose action-free state a trajectory head turns into a plan; the plan's gradient reaches the trunk.

    Args:
        head: keyword arguments of `TrajectoryHead`.
        plan_weight: of the planning losses.
        planned_clips: how many clips of a batch (of all processes) also train the planner.
        ego_pose: under whose motion predictions are made: "given" (the driven one) or "planner" (the model's own plan;
            the truth is not moved: plan and forecast err together, as OccWorld scores them).
        head_only: train the head alone, on states that are computed once: after the joint training, whose batches are
            small, this shows the head many more examples in little time.
        (the others as for `WorldModel`)
    """

    planner_name = "learned"

    def __init__(
        self,
        tokenizer: dict,
        world_model: dict,
        head: dict | None = None,
        plan_weight: float = 0.1,
        planned_clips: int = 4,
        ego_pose: str = "given",
        head_only: bool = False,
        data_preprocessor: dict | None = None,
    ) -> None:
        super().__init__(tokenizer, **world_model, data_preprocessor=data_preprocessor)
        self.head = TrajectoryHead(self.denoiser.dim, self.grid, **(head or {}))
        self.plan_weight, self.planned_clips, self.head_only = plan_weight, planned_clips, head_only
        if ego_pose not in ("given", "planner"):
            raise ValueError(f'ego_pose must be "given" or "planner", got {ego_pose!r}')
        self.ego_pose = ego_pose
        self._states: dict[str, Tensor] = {}
        if head_only:
            self.requires_grad_(False)
            self.head.requires_grad_(True)

    def plan(self, history: History, route: Route | None) -> Trajectory:
        """Where to go: poses `(B, 8, 3)` in the ego frame at t0."""
        return self.head(self.planner_state(history), route, EgoState.from_history(history))

    def ego_motion(self, clip: SceneClip) -> Tensor:
        """See `WorldModel.ego_motion`; a plan has a pose every 0.5 s, as many as the clip has future frames."""
        if self.ego_pose == "given":
            return super().ego_motion(clip)
        return se2.to_matrix(self.plan(clip.history(), clip.route).poses[:, : clip.num_future].float())

    def losses(self, clip: SceneClip) -> dict[str, Tensor]:
        """Those of the world model and, from the same observed frames, of the plan; or of the plan alone."""
        if self.head_only:
            history = clip.history()
            plan = self.head(self._remembered_states(clip), clip.route, EgoState.from_history(history))
            return planning_loss(plan, driven(clip))
        losses = world_model_losses(self, clip)
        planned = rows_of_global_batch(torch.arange, len(clip)) < self.planned_clips
        clip = clip.select(planned.nonzero()[:, 0])
        plan = self.plan(clip.history(), clip.route)
        for name, value in planning_loss(plan, driven(clip)).items():
            losses[name] = self.plan_weight * value
        return losses

    @torch.no_grad()
    def _remembered_states(self, clip: SceneClip) -> Tensor:
        """States `(B, C, H, W)` of a frozen world model, each computed once."""
        new = [b for b, token in enumerate(clip.sample_token) if token not in self._states]
        if new:
            states = self.planner_state(clip.select(torch.tensor(new)).history())
            self._states.update((clip.sample_token[b], s.float().cpu()) for b, s in zip(new, states, strict=True))
        return torch.stack([self._states[token] for token in clip.sample_token]).to(clip.timestamp_us.device)

    def predictions(self, clip: SceneClip) -> list[dict]:
        """Those of the world model, and under "planning" what `OpenLoopPlanningMetric` takes."""
        plans = {"learned": self.plan(clip.history(), clip.route)}
        open_loop = open_loop_samples(clip, plans)
        return [own | planning for own, planning in zip(super().predictions(clip), open_loop, strict=True)]
