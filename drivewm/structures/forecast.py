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
        return most_likely(self.logits, 2)

    def probabilities(self) -> Tensor:
        """How likely each class is, `(B, F, C, X, Y, Z)` float16."""
        return (self.logits.float() / self.temperature).softmax(2).half()


def most_likely(logits: Tensor, dim: int) -> Tensor:
    """Class with the greatest logit along `dim`, uint8, the first of equal ones.

    The same as `argmax`, class after class: argmax over an axis that is not the last is ten times slower on a CPU.
    """
    first, *others = logits.unbind(dim)
    greatest = first.float()  # a CPU compares bfloat16 slowly
    labels = torch.zeros_like(greatest, dtype=torch.uint8)
    for label, values in enumerate(others, start=1):
        values = values.float()
        labels.masked_fill_(values > greatest, label)
        greatest = torch.maximum(greatest, values)
    return labels
