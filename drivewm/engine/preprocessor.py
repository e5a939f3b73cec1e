"""ClipPreprocessor: brings clips to the model's device (mmengine's own moves tensors, but not dataclasses)."""

from __future__ import annotations

from mmengine.model import BaseDataPreprocessor

from drivewm.structures import SceneClip


class ClipPreprocessor(BaseDataPreprocessor):
    """`dict(clip=SceneClip)` -> the same on the model's device."""

    def forward(self, data: dict[str, SceneClip], training: bool = False) -> dict[str, SceneClip]:
        """Move the batch; `training` makes no difference."""
        return {"clip": data["clip"].to(self.device)}
