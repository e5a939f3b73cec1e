"""A trained planner for the closed loop: from a config and a checkpoint to a `PlannerSpec`."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache, partial
from pathlib import Path

from drivewm.closed_loop.episodes import PlannerSpec
from drivewm.engine.checkpoint import load_model, resolve_checkpoint
from drivewm.engine.config import load_config
from drivewm.planning.learned import LearnedPlanner


def learned_spec(config: str | Path, checkpoint: str | Path, options: dict | None = None) -> PlannerSpec:
    """How to drive a checkpoint; the config, with options as of `--cfg-options`, must be that of its training.

    Any model with a `plan(history, route)` can be driven. Tables call it by its `planner_name`, else "learned".

    Raises:
        FileNotFoundError, ValueError: as `load_config` and `load_checkpoint` do; here and not in a worker process.
    """
    checkpoint = resolve_checkpoint(checkpoint)
    build = partial(_planner, str(config), str(checkpoint), json.dumps(options or {}, sort_keys=True))
    planner = build()
    num_history = load_config(config, options).test_dataloader.dataset.num_history
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()[:16]
    return PlannerSpec(planner.name, build, identity=digest, grid=planner.model.grid, num_history=num_history)


@lru_cache(maxsize=2)
def _planner(config: str, checkpoint: str, options: str) -> LearnedPlanner:
    """One model a process, however many tasks it drives."""
    return LearnedPlanner(load_model(config, checkpoint, json.loads(options)))
