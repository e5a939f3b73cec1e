"""Losses over voxel classes: means over frames, so that the mean over processes is that of the whole batch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def lovasz_softmax(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Lovasz-softmax, the convex surrogate of 1 - mIoU (Berman et al., 2018, eq. 11), over the classes present.

    Args:
        probabilities: `(..., P, C)` of P voxels of each frame.
        labels: `(..., P)` int64.

    Returns:
        scalar in [0, 1], the mean over frames.
    """
    truth = F.one_hot(labels, probabilities.shape[-1]).to(probabilities.dtype)
    errors, order = (truth - probabilities).abs().sort(dim=-2, descending=True)
    truth = truth.gather(-2, order)
    total = truth.sum(-2)
    intersection = total[..., None, :] - truth.cumsum(-2)
    union = total[..., None, :] + (1 - truth).cumsum(-2)
    jaccard = 1 - intersection / union
    # The gradient of the Lovasz extension is the increment of the Jaccard loss along the sorted errors.
    jaccard = torch.cat([jaccard[..., :1, :], jaccard.diff(dim=-2)], dim=-2)
    present = total > 0
    by_class = (errors * jaccard).sum(-2) * present
    return (by_class.sum(-1) / present.sum(-1)).mean()


def voxel_losses(logits: Tensor, labels: Tensor, class_weight: Tensor, drawn: Tensor) -> dict[str, Tensor]:
    """Weighted cross-entropy on all voxels and Lovasz-softmax on a random part of each frame (sorting costs most).

    The cross-entropy is divided by the number of voxels, not by the sum of their weights, which is another one in each
    process's frames.

    Args:
        logits: `(..., C, X, Y, Z)` of some frames.
        labels: `(..., X, Y, Z)` uint8.
        class_weight: `(C,)`.
        drawn: `(..., P)` int64, which voxels of each frame, counted as `labels.flatten(-3)` does.
    """
    # Height first is how the decoder lays logits out in memory: no copy of them is needed.
    by_class = logits.flatten(0, -5).permute(0, 1, 4, 2, 3).float()
    truth = labels.flatten(0, -4).permute(0, 3, 1, 2).long()
    cross_entropy = F.cross_entropy(by_class, truth, weight=class_weight, reduction="sum") / truth.numel()
    x, y, z = torch.unravel_index(drawn.flatten(0, -2), labels.shape[-3:])
    where = (torch.arange(len(truth), device=truth.device)[:, None], z, x, y)
    picked = by_class.permute(0, 2, 3, 4, 1)[where]
    return {"loss_cross_entropy": cross_entropy, "loss_lovasz": lovasz_softmax(picked.softmax(-1), truth[where])}
