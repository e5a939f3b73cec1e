"""DrivingModel: the world model and a planner that reads its action-free future, trained together."""

from __future__ import annotations

import torch
from torch import Tensor

from drivewm.geometry import se2
from drivewm.layers.draws import rows_of_global_batch
from drivewm.planning.dreaming import dream_losses
from drivewm.planning.head import ProposalHead
from drivewm.planning.hindsight import Hindsight, at_another_speed
from drivewm.planning.open_loop import driven, open_loop_samples
from drivewm.planning.proposals import Proposals, proposal_losses, worth_loss
from drivewm.planning.state import PlannerState, planner_state
from drivewm.planning.state_bank import StateBank
from drivewm.structures import EgoState, History, Route, SceneClip, Trajectory
from drivewm.world_model import WorldModel
from drivewm.world_model.objective import world_model_losses


class DrivingModel(WorldModel):
    """A world model whose action-free future a head turns into proposals; their gradient reaches the trunk.

    Args:
        tokenizer, world_model: as for `WorldModel`, and its other arguments. Of several streams, one of them
            occupancy, `tokenizer` is None.
        head: keyword arguments of `ProposalHead`.
        moments_s: of the future that the head reads [s after t0].
        future: false lets the head read the present alone, to measure what the expected future brings.
        plan_weight: of the planning losses.
        planned_clips: how many clips of a batch (of all processes) also train the planner.
        ego_pose: under whose motion predictions are made: "given" (the driven one) or "planner" (the model's own plan;
            the truth is not moved: plan and forecast err together, as OccWorld scores them).
        name: how tables call its planner.
        dream_steps: train the head alone, in the dream: so many dreamed keyframes (see `dreaming.py`), beside the
            recorded path; 0 does not dream.
        head_only: train the head alone, on states that are computed once: after the joint training, whose batches are
            small, this shows the head many more examples in little time.
    """

    def __init__(
        self,
        tokenizer: dict | None,
        world_model: dict,
        head: dict | None = None,
        moments_s: tuple[float, ...] = (1.0, 2.0, 3.0, 4.0),
        future: bool = True,
        plan_weight: float = 0.1,
        planned_clips: int = 4,
        ego_pose: str = "given",
        name: str = "learned",
        dream_steps: int = 0,
        head_only: bool = False,
        data_preprocessor: dict | None = None,
    ) -> None:
        super().__init__(tokenizer, **world_model, data_preprocessor=data_preprocessor)
        self.head = ProposalHead(self.denoiser.dim, len(moments_s), self.grid, **(head or {}))
        self.moments_s, self.future = tuple(moments_s), future
        self.plan_weight, self.planned_clips, self.head_only = plan_weight, planned_clips, head_only
        if ego_pose not in ("given", "planner"):
            raise ValueError(f'ego_pose must be "given" or "planner", got {ego_pose!r}')
        self.ego_pose = ego_pose
        self.planner_name, self.dream_steps = name, dream_steps
        self._bank = StateBank()
        if head_only or dream_steps:
            self.requires_grad_(False)
            self.head.requires_grad_(True)

    def propose(self, history: History, route: Route | None) -> Proposals:
        """Several plans of 8 poses in the ego frame at t0."""
        return self.head(self.state(history), route, EgoState.from_history(history))

    def plan(self, history: History, route: Route | None) -> Trajectory:
        """Where to go: poses `(B, 8, 3)` in the ego frame at t0, the preferred proposal."""
        return self.propose(history, route).preferred()

    def state(self, history: History) -> PlannerState:
        """What the head reads."""
        return planner_state(self, history, self.moments_s, self.future)

    def ego_motion(self, clip: SceneClip) -> Tensor:
        """See `WorldModel.ego_motion`; a plan has a pose every 0.5 s, as many as the clip has future frames."""
        if self.ego_pose == "given":
            return super().ego_motion(clip)
        return se2.to_matrix(self.plan(clip.history(), clip.route).poses[:, : clip.num_future].float())

    def losses(self, clip: SceneClip) -> dict[str, Tensor]:
        """Those of the world model and, from the same observed frames, of the plan; or of the plan alone."""
        if self.motion_only:
            return super().losses(clip)
        if self.dream_steps:
            with torch.no_grad():
                state = self.state(clip.history())
            return self._plan_losses(clip, state) | dream_losses(self, clip, self.dream_steps)
        if self.head_only:
            return self._plan_losses(clip, self._remembered_states(clip))
        losses = world_model_losses(self, clip)
        planned = rows_of_global_batch(torch.arange, len(clip)) < self.planned_clips
        clip = clip.select(planned.nonzero()[:, 0])
        for name, value in self._plan_losses(clip, self.state(clip.history())).items():
            losses[name] = self.plan_weight * value
        return losses

    def _plan_losses(self, clip: SceneClip, state: PlannerState) -> dict[str, Tensor]:
        ego, target = EgoState.from_history(clip.history()), driven(clip)
        proposals = self.head(state, clip.route, ego)
        losses = proposal_losses(proposals, self.head.nearest_anchor(ego, target), target)
        recorded, other = Hindsight(clip), at_another_speed(ego)
        worth = [
            worth_loss(found, recorded.worth(found.poses, speeding))
            for found, speeding in ((proposals, ego), (self.head(state, clip.route, other), other))
        ]
        return losses | {"loss_plan_worth": sum(worth) / len(worth)}

    @torch.no_grad()
    def _remembered_states(self, clip: SceneClip) -> PlannerState:
        """States of a frozen world model."""

        def make(rows: list[int]) -> PlannerState:
            return self.state(clip.select(torch.tensor(rows)).history())

        return self._bank.states(clip.sample_token, make).to(clip.timestamp_us.device)

    def predictions(self, clip: SceneClip) -> list[dict]:
        """Those of the world model, and under "planning" what `OpenLoopPlanningMetric` takes."""
        plans = {self.planner_name: self.plan(clip.history(), clip.route)}
        open_loop = open_loop_samples(clip, plans)
        return [own | planning for own, planning in zip(super().predictions(clip), open_loop, strict=True)]
