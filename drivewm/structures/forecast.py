"""OccupancyForecast: what a world model expects in each voxel of the coming frames."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class OccupancyForecast:
    """Class logits of F future frames, each in its own ego frame.

    Attributes:
        logits: `(B, F, C, X, Y, Z)` float.
        temperature: scalar that the logits are divided by before they become probabilities; it was fitted on training
            data, and does not change which class is the most likely.
    """

    logits: Tensor
    temperature: Tensor

    @property
    def labels(self) -> Tensor:
        """The most likely class of each voxel, `(B, F, X, Y, Z)` uint8."""
        return self.logits.argmax(2).to(torch.uint8)

    def probabilities(self) -> Tensor:
        """How likely each class is, `(B, F, C, X, Y, Z)` float16."""
        return (self.logits.float() / self.temperature).softmax(2).half()
