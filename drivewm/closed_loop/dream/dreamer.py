"""Dreamer: a world model that is asked for the next frame of several episodes at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from drivewm.closed_loop.observation import Keyframe, to_frames
from drivewm.geometry import se3
from drivewm.geometry.voxel_grid import VoxelGrid
from drivewm.world_model import WorldModel

MODES = ("forecast", "imagine")
"""The most likely frame, in one pass; or a frame that is drawn, so that another seed dreams something else."""


@dataclass(frozen=True)
class WorldSpec:
    """How a worker process gets a world model of occupancy.

    Attributes:
        build: makes the model, in evaluation mode. Must be picklable for worker processes.
        grid: of its occupancy.
        num_history: observed keyframes that it was trained with.
        mode: one of `MODES`.
        identity: a digest of its checkpoint; records of another one are not taken over.
    """

    build: Callable[[], WorldModel]
    grid: VoxelGrid
    num_history: int
    mode: str = "forecast"
    identity: str = ""

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"a dream is one of {', '.join(MODES)}, got {self.mode!r}")
        if self.num_history < 2:
            raise ValueError(f"num_history is {self.num_history}, expected at least 2: motion needs two frames")

    @property
    def setting(self) -> str:
        """What decides a dream besides scenario and planner, in words for records and tables."""
        return f"{self.mode} of world model {self.identity or 'without a name'}"


class Dreamer:
    """Gives the frame after the last one under the ego's motion to there.

    Args:
        spec: of the world model.

    Raises:
        ValueError: the model is not of the grid that the spec says, or has weights that are not finite.
    """

    def __init__(self, spec: WorldSpec) -> None:
        self.spec, self.model = spec, spec.build()
        if self.model.grid != spec.grid:
            raise ValueError(f"the world model has the grid {self.model.grid}, but its spec says {spec.grid}")
        broken = [name for name, weight in self.model.named_parameters() if not weight.isfinite().all()]
        if broken:
            raise ValueError(f"the world model has weights that are not finite: {broken[0]} and {len(broken) - 1} more")

    @torch.inference_mode()
    def next_frames(
        self,
        frames: Sequence[Sequence[Keyframe]],
        T_global_ego: np.ndarray,
        timestamp_us: Sequence[int],
        generators: Sequence[torch.Generator],
    ) -> list[np.ndarray | None]:
        """The next frame of B episodes.

        Args:
            frames: of each episode, its newest keyframes with occupancy, at least as many as the model looks at.
            T_global_ego: `(B, 4, 4)` where the egos are then.
            timestamp_us: B times then [us].
            generators: one an episode, for what is drawn: whoever else dreams in the batch does not matter.

        Returns:
            `(X, Y, Z)` uint8 of each, in its ego frame then; None where the model gave what is no number.
        """
        history = to_frames([list(own)[-self.spec.num_history :] for own in frames], self.spec.grid)
        now = np.stack([own[-1].T_global_ego for own in frames])
        T_t0_ego = torch.from_numpy(se3.inverse(now) @ np.asarray(T_global_ego)).float()[:, None]
        times_s = ((torch.tensor(timestamp_us) - history.timestamp_us[:, -1]) / 1e6).float()[:, None]
        if self.spec.mode == "imagine":
            drawn = [
                self.model.imagine(history.select(row), T_t0_ego[row], times_s[row], generator)
                for row, generator in zip(torch.arange(len(history)).split(1), generators, strict=True)
            ]
            return [frame[0, 0].numpy() for frame in drawn]
        forecast = self.model.forecast(history, T_t0_ego, times_s)
        finite = forecast.logits.flatten(1).isfinite().all(1)
        return [own[0].numpy() if sound else None for own, sound in zip(forecast.labels, finite, strict=True)]
