"""DisturbedPlanner: another planner's plans, driven faster, slower or unsteadily.

Planners whose rank is plain to see, with which measures of planners are measured.
"""

from __future__ import annotations

import zlib

import numpy as np
import torch

from drivewm.planning.learned import LearnedPlanner, PlanningModel
from drivewm.planning.profile import as_plan
from drivewm.planning.proposals import covered_m
from drivewm.structures.planning import PlanningInput
from drivewm.structures.trajectory import Trajectory


class DisturbedPlanner:
    """On the path of a trained model's plan, at another pace.

    Args:
        model: the planner, see `LearnedPlanner`.
        name: in tables.
        pace: distances are multiplied by it.
        noise: standard deviation of the logarithm by which the pace is wrong, drawn anew for each plan.
        seed: of what is drawn.

    Raises:
        ValueError: the pace or the noise is negative.
    """

    def __init__(self, model: PlanningModel, name: str, pace: float = 1.0, noise: float = 0.0, seed: int = 0) -> None:
        if pace < 0 or noise < 0:
            raise ValueError(f"pace and noise must be >= 0, got {pace} and {noise}")
        self.model, self.name = model, name
        self.pace, self.noise, self.seed = pace, noise, seed
        self._base = LearnedPlanner(model)

    def plan(self, inputs: PlanningInput) -> Trajectory:
        """Poses `(B, 8, 3)`."""
        poses = self._base.plan(inputs).poses
        made = covered_m(poses)
        paces = [self._pace(token) for token in inputs.history.sample_token]
        return as_plan(torch.stack([_at(p, m, pace * m) for p, m, pace in zip(poses, made, paces, strict=True)]))

    def _pace(self, token: str) -> float:
        rng = np.random.default_rng(zlib.crc32(f"{self.seed}/{token}".encode()))
        return self.pace * float(np.exp(self.noise * rng.standard_normal()))


def _at(poses: torch.Tensor, made: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Poses `(8, 3)` at the distances `wanted (8,)` [m] along a path with poses at the distances `made`; straight on
    behind its end."""
    along = np.concatenate([[0.0], made.double().numpy()])
    known = np.concatenate([np.zeros((1, 3)), poses.double().numpy()])
    known[:, 2] = np.unwrap(known[:, 2])
    at = wanted.double().numpy()
    found = np.stack([np.interp(at, along, known[:, axis]) for axis in range(3)], axis=-1)
    heading = np.array([np.cos(known[-1, 2]), np.sin(known[-1, 2])])
    found[:, :2] += np.maximum(at - along[-1], 0.0)[:, None] * heading
    return torch.from_numpy(found).to(poses)
