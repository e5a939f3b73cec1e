"""Losses over voxel classes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def lovasz_softmax(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Lovasz-softmax, the convex surrogate of 1 - mIoU (Berman et al., 2018, eq. 11), over the classes present.

    Args:
        probabilities: `(P, C)` of P voxels.
        labels: `(P,)` int64.

    Returns:
        scalar in [0, 1].
    """
    present = torch.unique(labels)
    truth = (labels[:, None] == present).to(probabilities.dtype)
    errors = (truth - probabilities[:, present]).abs()
    errors, order = errors.sort(dim=0, descending=True)
    truth = truth.gather(0, order)
    intersection = truth.sum(0) - truth.cumsum(0)
    union = truth.sum(0) + (1 - truth).cumsum(0)
    jaccard = 1 - intersection / union
    # The gradient of the Lovasz extension is the increment of the Jaccard loss along the sorted errors.
    jaccard = torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])
    return (errors * jaccard).sum(0).mean()


def voxel_losses(
    logits: Tensor, labels: Tensor, class_weight: Tensor, lovasz_voxels: int, generator=None
) -> dict[str, Tensor]:
    """Weighted cross-entropy on all voxels and Lovasz-softmax on a random subset (sorting is what it costs).

    Args:
        logits: `(B, C, X, Y, Z)`.
        labels: `(B, X, Y, Z)` uint8.
        class_weight: `(C,)`.
        lovasz_voxels: size of the subset.
        generator: draws the subset.
    """
    # Height first is how the decoder lays logits out in memory: no copy of them is needed.
    logits = logits.permute(0, 1, 4, 2, 3).float()
    labels = labels.permute(0, 3, 1, 2).long()
    losses = {"loss_cross_entropy": F.cross_entropy(logits, labels, weight=class_weight)}
    drawn = torch.unravel_index(
        torch.randint(labels.numel(), (lovasz_voxels,), generator=generator, device=labels.device), labels.shape
    )
    picked = logits.permute(0, 2, 3, 4, 1)[drawn]
    losses["loss_lovasz"] = lovasz_softmax(picked.softmax(-1), labels[drawn])
    return losses
