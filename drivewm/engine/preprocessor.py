"""ClipPreprocessor: brings clips to the model's device (mmengine's own moves tensors, but not dataclasses)."""

from __future__ import annotations

import torch
from mmengine.model import BaseDataPreprocessor

from drivewm.data.augment import mirror, on_hills, random_waves, turn
from drivewm.layers.draws import rows_of_global_batch
from drivewm.structures import SceneClip

_WAVES = 3


class ClipPreprocessor(BaseDataPreprocessor):
    """`dict(clip=SceneClip)` -> the same on the model's device; in training also changed at random.

    Args:
        mirrored: share of training clips that are mirrored left to right.
        max_yaw_rad: training clips are turned by up to this angle to either side [rad]; not for those that also train a
            planner, see `drivewm.data.augment.turn`.
        hills_m: the ground of training clips, of points alone, rises and falls in three waves of up to this height [m].
    """

    def __init__(self, mirrored: float = 0.0, max_yaw_rad: float = 0.0, hills_m: float = 0.0) -> None:
        super().__init__()
        if not 0 <= mirrored <= 1 or max_yaw_rad < 0 or hills_m < 0:
            raise ValueError(
                f"need mirrored in 0..1, max_yaw_rad and hills_m >= 0, got {mirrored}, {max_yaw_rad} and {hills_m}"
            )
        self.mirrored, self.max_yaw_rad, self.hills_m = mirrored, max_yaw_rad, hills_m

    def forward(self, data: dict[str, SceneClip], training: bool = False) -> dict[str, SceneClip]:
        """Move the batch and, in training, augment it."""
        clip = data["clip"].to(self.device)
        return {"clip": self.augment(clip) if training else clip}

    def augment(self, clip: SceneClip, generator: torch.Generator | None = None) -> SceneClip:
        """Mirror, turn and bend at random, the same clip alike however many processes share the batch."""

        def uniform(*shape: int) -> torch.Tensor:
            device = clip.timestamp_us.device
            return rows_of_global_batch(lambda n: torch.rand(n, *shape, generator=generator, device=device), len(clip))

        if self.mirrored or self.max_yaw_rad:
            side, angle = uniform(2).unbind(1)
        if self.mirrored:
            clip = mirror(clip, side < self.mirrored)
        if self.max_yaw_rad:
            clip = turn(clip, (2 * angle - 1) * self.max_yaw_rad)
        if self.hills_m:
            clip = on_hills(clip, random_waves(uniform(_WAVES, 4), self.hills_m))
        return clip
