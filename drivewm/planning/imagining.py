"""ImaginingPlanner: proposes, imagines what each proposal leads to, and takes or improves the best."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from drivewm.planning.cost import ImaginedScore, imagined_score, judge
from drivewm.planning.joint import DrivingModel
from drivewm.planning.profile import as_plan
from drivewm.planning.proposals import Proposals
from drivewm.planning.protocol import STEPS_S
from drivewm.planning.refinement import Refined, cross_entropy_method, gradient_ascent
from drivewm.planning.scene_maps import SceneMaps
from drivewm.planning.state import planner_state
from drivewm.planning.worlds import ActionFreeWorld, ConditionedWorld, CopyLastWorld
from drivewm.structures import EgoState
from drivewm.structures.planning import PlanningInput
from drivewm.structures.trajectory import Trajectory

WORLDS = {
    "action_free": lambda model: ActionFreeWorld(),
    "conditioned": ConditionedWorld,
    "copy_last": lambda model: CopyLastWorld(),
}
METHODS = ("rank", "cem", "gradient", "random")


@dataclass
class Thought:
    """What an `ImaginingPlanner` considered, for pictures and for measuring.

    Attributes:
        proposals: of the head.
        scores: imagined ones of the proposals `(B, M)`; None where none was asked for.
        reference_m: `(B,)` progress that counted as 1 [m].
        maps: that these were scored against.
        refined: the plan taken, its imagined score and what it cost.
    """

    proposals: Proposals
    scores: ImaginedScore | None
    reference_m: Tensor | None
    maps: SceneMaps | None
    refined: Refined


class ImaginingPlanner:
    """The learned head's proposals, judged in an imagined world.

    Args:
        model: the world model with its head, in evaluation mode.
        name: in tables.
        world: "action_free", "conditioned" or "copy_last", see `worlds.py`.
        method: "rank" takes the best proposal, "cem" and "gradient" improve on it, "random" takes any.
        prior: how much the head's own probability counts beside the imagined score, from 0 to 1. It knows of what no
            forecast says, such as that who drives ahead may brake.
        search: further keyword arguments of `cross_entropy_method` or `gradient_ascent`.
        deadline_s: after which the best plan so far is given [s]; None: no hurry. Ranking itself is not cut short.
        seed: of what is drawn.
        clock: gives seconds.

    Raises:
        ValueError: no such world or method, or a search that the method does not know.
    """

    def __init__(
        self,
        model: DrivingModel,
        name: str,
        world: str = "action_free",
        method: str = "rank",
        prior: float = 0.3,
        search: dict | None = None,
        deadline_s: float | None = None,
        seed: int = 0,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if world not in WORLDS:
            raise ValueError(f"world must be one of {', '.join(WORLDS)}, got {world!r}")
        if method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
        if search and method not in ("cem", "gradient"):
            raise ValueError(f"method {method!r} searches nothing, got search = {search}")
        self.model, self.name, self.method, self.prior = model, name, method, prior
        self.world, self.search, self.deadline_s, self.clock = WORLDS[world](model), search or {}, deadline_s, clock
        self.seed = seed

    def plan(self, inputs: PlanningInput) -> Trajectory:
        """Poses `(B, 8, 3)` on the CPU, wherever the model runs."""
        thought = self.think(inputs)
        poses = thought.proposals.driver.poses(thought.refined.controls[:, None])[:, 0]
        return as_plan(poses.float().cpu())

    def think(self, inputs: PlanningInput) -> Thought:
        """Propose, imagine, choose."""
        begin_s, history, route = self.clock(), inputs.history, inputs.route
        device = history.T_global_ego.device
        with torch.no_grad(), torch.autocast(device.type, dtype=torch.bfloat16):
            foreseen = planner_state(self.model, history, STEPS_S)
            state = foreseen.at(self.model.moments_s) if self.model.future else self.model.state(history)
            proposals = self.model.head(state, route, EgoState.from_history(history))
        generators = [_generator(token, self.seed, device) for token in history.sample_token]
        if self.method == "random":
            return Thought(proposals, None, None, None, _any_of(proposals, generators))

        def seen(poses: Tensor) -> SceneMaps:
            return self.world.maps(history, foreseen, poses)

        with torch.no_grad():
            maps = seen(proposals.poses)
            scores, reference_m = judge(proposals, maps, inputs.ego_state, route)
        best = self._choose(proposals, scores)

        def score(controls: Tensor) -> Tensor:
            poses = proposals.driver.poses(controls)
            coming = seen(poses) if self.world.depends_on_plan else maps
            return imagined_score(poses, coming, inputs.ego_state, route, reference_m).total

        def in_time() -> bool:
            return self.deadline_s is None or self.clock() - begin_s < self.deadline_s

        if self.method == "cem":
            best = cross_entropy_method(score, best, generators, **self.search, may_go_on=in_time)
        elif self.method == "gradient":
            best = gradient_ascent(score, best, **self.search, may_go_on=in_time)
        return Thought(proposals, scores, reference_m, maps, best)

    def _choose(self, proposals: Proposals, scores: ImaginedScore) -> Refined:
        """The proposal with the best imagined score, the head's own opinion counting `prior`."""
        likely = proposals.preference.softmax(1)
        worth = scores.total * (1 - self.prior + self.prior * likely / likely.amax(1, keepdim=True))
        chosen, rows = worth.argmax(1), torch.arange(len(worth), device=worth.device)
        return Refined(proposals.controls[rows, chosen], scores.total[rows, chosen], worth.shape[1])


def _any_of(proposals: Proposals, generators: list[torch.Generator]) -> Refined:
    number = proposals.logits.shape[1]
    chosen = torch.stack([torch.randint(number, (), generator=g, device=g.device) for g in generators])
    rows = torch.arange(len(chosen), device=chosen.device)
    return Refined(proposals.controls[rows, chosen], proposals.logits.new_full((len(chosen),), torch.nan), 0)


def _generator(token: str, seed: int, device: torch.device) -> torch.Generator:
    """Of one moment, so that what is drawn depends neither on the batch nor on what was planned before."""
    return torch.Generator(device).manual_seed(zlib.crc32(f"{seed}/{token}".encode()))
