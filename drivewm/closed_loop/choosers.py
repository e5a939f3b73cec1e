"""Choosers: ways to take one plan, or to make a better one, from the same proposals of the same model."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from drivewm.planning.imagining import WORLDS, ImaginingPlanner, Thought
from drivewm.planning.joint import DrivingModel
from drivewm.planning.scene_maps import SceneMaps
from drivewm.planning.state import PlannerState
from drivewm.planning.worlds import World
from drivewm.structures import History
from drivewm.structures.planning import PlanningInput

DEFAULT = (
    "action_free/rank",
    "conditioned/rank",
    "copy_last/rank",
    "action_free/cem/1x32",
    "action_free/cem/3x32",
    "action_free/cem/6x64",
    "action_free/gradient/2",
    "action_free/gradient/4",
    "action_free/gradient/8",
)
"""All rankings, and searches where the world does not depend on the plan: elsewhere each plan costs a pass."""
_FORMS = "WORLD/rank, WORLD/cem/ROUNDSxSAMPLES or WORLD/gradient/STEPS"


@dataclass(frozen=True)
class Chooser:
    """One configuration of an `ImaginingPlanner`.

    Attributes:
        name: `WORLD/rank`, `WORLD/cem/ROUNDSxSAMPLES` or `WORLD/gradient/STEPS`.
        world, method: see `ImaginingPlanner`.
        search: its budget.
    """

    name: str
    world: str
    method: str
    search: dict = field(default_factory=dict)

    @classmethod
    def parse(cls, name: str) -> Chooser:
        """From its name. ValueError for one that means nothing."""
        world, *rest = name.split("/")
        if world not in WORLDS:
            raise ValueError(f"{name!r}: no world is called {world!r}; there are {', '.join(WORLDS)}")
        match rest:
            case ["rank"]:
                return cls(name, world, "rank")
            case ["gradient", steps] if _is_count(steps):
                return cls(name, world, "gradient", dict(steps=int(steps)))
            case ["cem", budget] if all(map(_is_count, budget.split("x"))) and budget.count("x") == 1:
                rounds, samples = map(int, budget.split("x"))
                elites = min(samples, max(2, samples // 5))
                return cls(name, world, "cem", dict(iterations=rounds, samples=samples, elites=elites))
        raise ValueError(f"{name!r} is no chooser, expected {_FORMS}")

    @property
    def rank(self) -> str:
        """Name of the chooser that searches nothing in the same world."""
        return f"{self.world}/rank"


def build_planners(choosers: tuple[Chooser, ...], model: DrivingModel, seed: int) -> dict[str, ImaginingPlanner]:
    """The planner of each chooser, by name; those of one world share what it says of the proposals."""
    planners, worlds = {}, {}
    for chooser in choosers:
        planner = ImaginingPlanner(model, chooser.name, chooser.world, chooser.method, search=chooser.search, seed=seed)
        planner.world = worlds.setdefault(chooser.world, SharedWorld(planner.world))
        planners[chooser.name] = planner
    return planners


def think_together(planners: dict[str, ImaginingPlanner], inputs: PlanningInput) -> dict[str, Thought]:
    """What each planner thinks of one observation (B = 1).

    Raises:
        ValueError: their proposals differ, so that their choices could not be compared.
    """
    thoughts = {name: planner.think(inputs) for name, planner in planners.items()}
    first, *others = thoughts.values()
    if not all(torch.equal(first.proposals.controls, other.proposals.controls) for other in others):
        raise ValueError(f"expected the same proposals for all choosers, but they differ among {list(planners)}")
    return thoughts


class SharedWorld:
    """A world that several planners ask in turn about the same proposals: the first answer of each moment is kept."""

    def __init__(self, world: World) -> None:
        self.world, self.depends_on_plan = world, world.depends_on_plan
        self._token: tuple[str, ...] | None = None
        self._asked: Tensor | None = None
        self._answer: SceneMaps | None = None

    def maps(self, history: History, foreseen: PlannerState, poses: Tensor) -> SceneMaps:
        """See `World`."""
        if self._token == history.sample_token and torch.equal(self._asked, poses):
            return self._answer
        answer = self.world.maps(history, foreseen, poses)
        if self._token != history.sample_token and not poses.requires_grad:
            self._token, self._asked, self._answer = history.sample_token, poses, answer
        return answer


def _is_count(text: str) -> bool:
    return text.isdecimal() and int(text) > 0
