"""The demo's trained models."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from demo_stages.command import ROOT
from demo_stages.options import WORLD_MODEL_CONFIG


@lru_cache(maxsize=1)
def load_driving_model(folder: Path):
    """World model and planner from their training folder, in evaluation mode."""
    from drivewm.engine import load_model

    return load_model(ROOT / WORLD_MODEL_CONFIG, folder / "last_checkpoint")


@lru_cache(maxsize=1)
def clip_history() -> int:
    """Observed keyframes of the clips that the world model is tested on."""
    from drivewm.engine import load_config

    return load_config(ROOT / WORLD_MODEL_CONFIG).test_dataloader.dataset.num_history
