"""ClipPreprocessor: brings clips to the model's device (mmengine's own moves tensors, but not dataclasses)."""

from __future__ import annotations

import torch
from mmengine.model import BaseDataPreprocessor

from drivewm.data.augment import mirror, turn
from drivewm.layers.draws import rows_of_global_batch
from drivewm.structures import SceneClip


class ClipPreprocessor(BaseDataPreprocessor):
    """`dict(clip=SceneClip)` -> the same on the model's device; in training also mirrored and turned at random.

    Args:
        mirrored: share of training clips that are mirrored left to right.
        max_yaw_rad: training clips are turned by up to this angle to either side [rad]; not for those that also train a
            planner, see `drivewm.data.augment.turn`.
    """

    def __init__(self, mirrored: float = 0.0, max_yaw_rad: float = 0.0) -> None:
        super().__init__()
        if not 0 <= mirrored <= 1 or max_yaw_rad < 0:
            raise ValueError(f"need mirrored in 0..1 and max_yaw_rad >= 0, got {mirrored} and {max_yaw_rad}")
        self.mirrored, self.max_yaw_rad = mirrored, max_yaw_rad

    def forward(self, data: dict[str, SceneClip], training: bool = False) -> dict[str, SceneClip]:
        """Move the batch and, in training, augment it."""
        clip = data["clip"].to(self.device)
        return {"clip": self.augment(clip) if training else clip}

    def augment(self, clip: SceneClip, generator: torch.Generator | None = None) -> SceneClip:
        """Mirror and turn at random, the same clip alike however many processes share the batch."""

        def uniform(batch: int) -> torch.Tensor:
            return torch.rand(batch, 2, generator=generator, device=clip.timestamp_us.device)

        if not self.mirrored and not self.max_yaw_rad:
            return clip
        side, angle = rows_of_global_batch(uniform, len(clip)).unbind(1)
        if self.mirrored:
            clip = mirror(clip, side < self.mirrored)
        if self.max_yaw_rad:
            clip = turn(clip, (2 * angle - 1) * self.max_yaw_rad)
        return clip
