"""How large the demo is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from demo_stages.command import ROOT

TOKENIZER_CONFIG = "configs/tokenizers/occupancy_town.py"
WORLD_MODEL_CONFIG = "configs/world_models/driving_town.py"
PLANNER_CONFIG = "configs/planners/head_town.py"


@dataclass(frozen=True)
class DemoOptions:
    """Sizes of the demo; everything else stands in the configs.

    Attributes:
        scenes, duration_s: of the generated data set; about 22 % of the scenes are held out, in a town of their own.
        seed: of the town.
        episode_seed: of the held-out towns and episodes that are driven.
        episodes, scored_s: closed-loop episodes and their scored length [s].
        tokenizer_iters, world_model_iters, planner_iters: training length; None takes the config's.
        workers: processes for the town and the closed loop. They do not change results.
    """

    scenes: int = 50
    duration_s: float = 20.0
    seed: int = 0
    episode_seed: int = 1
    episodes: int = 40
    scored_s: float = 20.0
    tokenizer_iters: int | None = None
    world_model_iters: int | None = None
    planner_iters: int | None = None
    workers: int = 2

    @classmethod
    def smoke(cls, workers: int = 2) -> DemoOptions:
        """A run of a few minutes that goes through every stage and learns nothing."""
        return cls(
            scenes=5,
            duration_s=10.0,
            episodes=2,
            scored_s=3.0,
            tokenizer_iters=6,
            world_model_iters=4,
            planner_iters=4,
            workers=workers,
        )


def digest_of(*files: str | Path) -> str:
    """A digest of files of the project (relative to its root) and of those below folders."""
    digest = hashlib.sha256()
    for name in files:
        path = ROOT / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
