"""How long a plan takes, and its parts, with random weights at the size that the drives' configs have."""

from __future__ import annotations

from functools import lru_cache

import torch

from benchmarks.measure import Row, compare, within
from benchmarks.scenes import street
from drivewm.engine import load_config
from drivewm.planning.cost import judge
from drivewm.planning.imagining import ImaginingPlanner
from drivewm.planning.joint import DrivingModel
from drivewm.planning.protocol import STEPS_S
from drivewm.planning.state import planner_state
from drivewm.planning.worlds import ConditionedWorld
from drivewm.structures import EgoState, History, PlanningInput, Route

CONFIG = "configs/world_models/driving_drives.py"
REPLAN_S = 0.5
SOME = 6
"""Plans of a batch that is compared with one pass a plan."""


def plan(**planner: object) -> Row:
    """One plan, from the observation to its poses, against the half second until the next is due."""
    made = ImaginingPlanner(_model(), "benchmark", **planner)
    return within(REPLAN_S, lambda: made.plan(_inputs()), _check_plan, rounds=5)


def encode() -> Row:
    """Tokens of the three observed frames, which are otherwise remembered, against the same half second."""
    model, history = _model(), _inputs().history
    frames = history.occupancy

    def tokens() -> torch.Tensor:
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            return model.stream.encode(frames)

    return within(REPLAN_S, tokens, lambda found: _check(found.shape[:2] == (1, 3)), rounds=5)


def imagine() -> Row:
    """The action-free future at the eight steps of a plan."""
    model, history = _model(), _inputs().history

    def future():
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            return planner_state(model, history, STEPS_S)

    return within(REPLAN_S, future, lambda found: _check(found.coming.blocked.shape[1] == 8), rounds=5)


def rank() -> Row:
    """The imagined score of all proposals in a future that is at hand."""
    thought, inputs = ImaginingPlanner(_model(), "benchmark").think(_inputs()), _inputs()

    def score() -> torch.Tensor:
        with torch.inference_mode():
            return judge(thought.proposals, thought.maps, inputs.ego_state, inputs.route)[0].total

    return within(REPLAN_S, score, lambda found: _check(bool(found.isfinite().all())), rounds=5)


def batched_plans() -> Row:
    """Futures of several plans, each under its own motion, in one pass against one pass a plan."""
    world, inputs = ConditionedWorld(_model()), _inputs()
    poses = ImaginingPlanner(_model(), "benchmark").think(inputs).proposals.poses[:, :SOME]

    def at_once() -> torch.Tensor:
        with torch.no_grad():
            return world.maps(inputs.history, None, poses).blocked

    def one_by_one() -> torch.Tensor:
        with torch.no_grad():
            return torch.cat([world.maps(inputs.history, None, poses[:, k : k + 1]).blocked for k in range(SOME)], 1)

    def check(a: torch.Tensor, b: torch.Tensor) -> None:
        # bfloat16 rounds otherwise in a batch of another size
        _check((a - b).abs().mean().item() < 2e-3)

    return compare(at_once, one_by_one, check, goal=None, rounds=3)


@lru_cache(maxsize=1)
def _model() -> DrivingModel:
    torch.manual_seed(0)
    described = dict(load_config(CONFIG).model)
    described.pop("data_preprocessor")
    return described.pop("type")(**described).eval()


@lru_cache(maxsize=1)
def _inputs() -> PlanningInput:
    """Three keyframes of a street along which the ego drives 1.6 m/s."""
    model, frames = _model(), 3
    occupancy = [street(0)[40 + 2 * t : 168 + 2 * t : 2, 36:164:2, ::2] for t in range(frames)]
    T_global_ego = torch.eye(4, dtype=torch.float64).repeat(1, frames, 1, 1)
    T_global_ego[0, :, 0, 3] = 0.8 * torch.arange(frames)
    points = torch.stack([2.5 * torch.arange(25.0), torch.zeros(25)], dim=-1)[None]
    route = Route(points, torch.ones(1, 25, dtype=torch.bool), 2.5)
    history = History(
        timestamp_us=500_000 * torch.arange(frames)[None],
        T_global_ego=T_global_ego,
        scene=("street",),
        sample_token=("street",),
        grid=model.grid,
        occupancy=torch.stack([torch.from_numpy(frame.copy()) for frame in occupancy])[None],
        route=route,
    )
    return PlanningInput(history, EgoState.from_history(history), (None,), route)


def _check_plan(found) -> None:
    _check(tuple(found.poses.shape) == (1, 8, 3) and bool(found.poses.isfinite().all()))


def _check(fine: bool) -> None:
    if not fine:
        raise AssertionError("the result is not what it should be")
