"""Planners by name: what `--planner` of the closed loop understands, from a baseline to a class of one's own."""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

from drivewm.closed_loop.episodes import PlannerSpec
from drivewm.engine.checkpoint import load_model, resolve_checkpoint
from drivewm.engine.config import load_config
from drivewm.geometry import VoxelGrid
from drivewm.planning.constant_turn_rate import ConstantTurnRatePlanner
from drivewm.planning.constant_velocity import ConstantVelocityPlanner
from drivewm.planning.idm import IDMPlanner
from drivewm.planning.learned import LearnedPlanner
from drivewm.planning.log_replay import LogReplayPlanner
from drivewm.planning.oracle_pdm import OraclePDMPlanner
from drivewm.planning.pdm import PDMPlanner
from drivewm.planning.protocol import Planner
from drivewm.planning.stop import StopPlanner

BASELINES = {
    planner.name: planner
    for planner in (
        StopPlanner,
        ConstantVelocityPlanner,
        ConstantTurnRatePlanner,
        IDMPlanner,
        PDMPlanner,
        LogReplayPlanner,
        OraclePDMPlanner,
    )
}


def planner_spec(text: str, deadline_s: float = math.inf) -> PlannerSpec:
    """How to get a planner.

    Args:
        text: the name of a baseline; a config file that holds `planner = dict(type=MyPlanner, ...)`, and for
            what it wants to see besides boxes `observes = dict(grid=dict(range_m=..., voxel_m=...), lidar=True,
            num_history=5)`; or
            `CONFIG:CHECKPOINT` of a trained model that plans. If that config holds a planner too, it is given the model
            as its first argument.
        deadline_s: a plan that takes longer is a failure [s].

    Raises:
        FileNotFoundError, ValueError: there is no such baseline, config or checkpoint, or the config holds no planner.
    """
    if text in BASELINES:
        return _spec(BASELINES[text], BASELINES[text], deadline_s, num_history=2)
    config, _, checkpoint = text.partition(":")
    if not config.endswith(".py"):
        raise ValueError(
            f"no planner is called {text!r}; there are {', '.join(BASELINES)}, CONFIG.py and CONFIG.py:FILE"
        )
    if checkpoint:
        return _trained_spec(config, Path(checkpoint), deadline_s)
    described = load_config(config)
    kind = described.get("planner", {}).get("type")
    if not inspect.isclass(kind):
        raise ValueError(
            f"{config}: planner is {described.get('planner')!r}, expected dict(type=a planner's class, ...)"
        )
    identity = hashlib.sha256(described.dump().encode()).hexdigest()[:16]
    observes = dict(described.get("observes", {}))
    if "grid" in observes:
        observes["grid"] = VoxelGrid(**observes["grid"])
    return _spec(kind, partial(_configured, config), deadline_s, identity, **observes)


def _spec(
    kind: type, build: Callable[..., Planner], deadline_s: float, identity: str = "", **observes: object
) -> PlannerSpec:
    privileged = getattr(kind, "privileged", False)
    return PlannerSpec(kind.name, build, privileged, deadline_s, identity, **observes)


def _configured(config: str, *oracle: object) -> Planner:
    """The planner that a config describes; a privileged one is given its oracle first."""
    arguments = dict(load_config(config).planner)
    return arguments.pop("type")(*oracle, **arguments)


def _trained_spec(config: str, checkpoint: Path, deadline_s: float) -> PlannerSpec:
    """The config must be that of the training. Errors are raised here and not in a worker process."""
    checkpoint = resolve_checkpoint(checkpoint)
    build = partial(_trained, config, str(checkpoint))
    planner = build()
    num_history = load_config(config).test_dataloader.dataset.num_history
    described = load_config(config).get("planner", {})
    digest = hashlib.sha256(checkpoint.read_bytes() + repr(described).encode()).hexdigest()[:16]
    grid = planner.model.grid
    return PlannerSpec(planner.name, build, deadline_s=deadline_s, identity=digest, grid=grid, num_history=num_history)


@lru_cache(maxsize=4)
def _trained(config: str, checkpoint: str) -> Planner:
    """One planner a process, however many tasks it drives."""
    model = load_model(config, checkpoint)
    if not hasattr(model, "planner_name"):
        raise ValueError(f"{config}: its model, {type(model).__name__}, does not plan")
    described = dict(load_config(config).get("planner", {}))
    return described.pop("type")(model, **described) if described else LearnedPlanner(model)
