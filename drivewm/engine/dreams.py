"""World models by name: what `--world-model` of the closed loop understands."""

from __future__ import annotations

import hashlib
from functools import lru_cache, partial
from pathlib import Path

from drivewm.closed_loop.dream.dreamer import WorldSpec
from drivewm.engine.checkpoint import load_model, resolve_checkpoint
from drivewm.engine.config import load_config
from drivewm.world_model import WorldModel
from drivewm.world_model.streams import OccupancyStream


def world_spec(text: str, mode: str = "forecast") -> WorldSpec:
    """How to get a world model to dream in.

    Args:
        text: `CONFIG.py:CHECKPOINT`, the config being that of the training.
        mode: how it is asked, one of `drivewm.closed_loop.dream.dreamer.MODES`.

    Raises:
        FileNotFoundError, ValueError: there is no such config or checkpoint, or its model is none of occupancy.
    """
    config, _, checkpoint = text.partition(":")
    if not config.endswith(".py") or not checkpoint:
        raise ValueError(f"a world model is CONFIG.py:CHECKPOINT, got {text!r}")
    path = resolve_checkpoint(Path(checkpoint))
    build = partial(_world_model, config, str(path))
    model = build()
    num_history = load_config(config).test_dataloader.dataset.num_history
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return WorldSpec(build, model.grid, num_history, mode, digest)


@lru_cache(maxsize=2)
def _world_model(config: str, checkpoint: str) -> WorldModel:
    """One model a process, however many episodes are dreamed."""
    model = load_model(config, checkpoint)
    if not isinstance(model, WorldModel) or not isinstance(model.stream, OccupancyStream):
        raise ValueError(f"{config}: its model, {type(model).__name__}, is no world model of occupancy")
    return model
