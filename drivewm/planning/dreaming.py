"""Learning to plan in the dream: the head drives the world model, and what it meets there teaches it.

As in World Models (Ha and Schmidhuber, 2018) and Dreamer (Hafner et al., 2020), but with proposals: all of them are
scored in the expected future, so the expected score under the head's own probabilities has an exact gradient and needs
no sampled return. Which proposal is driven on is drawn, so that the head also sees what its less likely plans lead to:
states in which no recorded driver ever was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from drivewm.geometry import se2
from drivewm.planning.cost import judge
from drivewm.planning.proposals import Proposals
from drivewm.planning.protocol import PLAN_DT_S, STEPS_S
from drivewm.planning.state import PlannerState, planner_state
from drivewm.structures import EgoState, History, Route, SceneClip
from drivewm.world_model.rollout import extended

if TYPE_CHECKING:
    from drivewm.planning.joint import DrivingModel


def dream_losses(
    model: DrivingModel, clip: SceneClip, steps: int, generator: torch.Generator | None = None
) -> dict[str, Tensor]:
    """How badly the head is expected to drive, from what was observed and from `steps` dreamed moments after it.

    Args:
        model: its world model is asked without gradients; one reaches the head.
        clip: of which only the history and the route count.
        steps: dreamed keyframes, `PLAN_DT_S` apart.
        generator: draws the proposals that are driven.

    Returns:
        "loss_dream_choice": 1 - the expected imagined score under the head's probabilities; "loss_dream_best": 1 - that
        of the preferred proposal, differentiated through its controls; "dreamed_score" for the log.
    """
    history, route = clip.history(), clip.route
    choice, best = [], []
    for step in range(steps + 1):
        ego = EgoState.from_history(history)
        foreseen = _foresee(model, history)
        proposals = model.head(foreseen.at(model.moments_s), route, ego)
        worth = judge(proposals, foreseen.coming, ego, route)[0].total
        likely = proposals.preference.softmax(1)
        choice.append(1 - (likely * worth.detach()).sum(1).mean())
        best.append(1 - worth.gather(1, likely.argmax(1, keepdim=True)).mean())
        if step < steps:
            chosen = torch.multinomial(likely.detach(), 1, generator=generator)[:, 0]
            history, route = _dream_on(model, history, route, proposals, chosen)
    choice, best = torch.stack(choice), torch.stack(best)
    return {
        "loss_dream_choice": choice.mean(),
        "loss_dream_best": best.mean(),
        "dreamed_score": 1 - choice.detach().mean(),
    }


@torch.no_grad()
def _foresee(model: DrivingModel, history: History) -> PlannerState:
    return planner_state(model, history, STEPS_S)


@torch.no_grad()
def _dream_on(
    model: DrivingModel, history: History, route: Route | None, proposals: Proposals, chosen: Tensor
) -> tuple[History, Route | None]:
    """The history and the route a keyframe later, if the chosen proposals are driven."""
    pose = proposals.pick(chosen).poses[:, :1].float()
    times_s = torch.full((len(history), 1), PLAN_DT_S, device=pose.device)
    T_t0_ego = se2.to_matrix(pose)
    forecast = model.forecast(history, T_t0_ego, times_s)
    history = extended(history, model.stream.as_history(forecast, history, T_t0_ego), T_t0_ego, times_s)
    return history, None if route is None else route.seen_from(pose[:, 0])
