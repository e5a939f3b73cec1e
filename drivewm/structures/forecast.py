"""OccupancyForecast: what a world model expects in each voxel of the coming frames."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class OccupancyForecast:
    """Class logits of F future frames, each in its own ego frame.

    Attributes:
        logits: `(B, F, C, X, Y, Z)` float, as they came out of a loss that weights classes.
        log_class_weight: `(C,)` logarithm of these weights.
        temperature: scalar, fitted on training data.
    """

    logits: Tensor
    log_class_weight: Tensor
    temperature: Tensor

    @property
    def labels(self) -> Tensor:
        """The class to name for each voxel, `(B, F, X, Y, Z)` uint8: the best guess where rare classes weigh more, as
        they do in mIoU."""
        return most_likely(self.logits, 2)

    def probabilities(self, dtype: torch.dtype = torch.float16) -> Tensor:
        """How likely each class is, `(B, F, C, X, Y, Z)`.

        The weights of the loss are taken out again (logit adjustment, Menon et al., 2021), then the logits are divided
        by the temperature (Guo et al., 2017).
        """
        plain = self.logits.float() - self.log_class_weight[:, None, None, None]
        return (plain / self.temperature).softmax(2).to(dtype)


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
