"""Bird's-eye-view maps at several scales: brought to another number of cells."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def spread(cells: Tensor, shape: tuple[int, int]) -> Tensor:
    """Features of cells `(B, h, w, C)` at a finer scale `(B, C, H, W)`, interpolated."""
    features = cells.movedim(-1, 1)
    if tuple(features.shape[-2:]) == tuple(shape):
        return features
    return F.interpolate(features, shape, mode="bilinear", align_corners=False)


def shrink(features: Tensor, shape: tuple[int, int]) -> Tensor:
    """Averages `(B, h, w, C)` of features `(B, C, H, W)` over the cells of a coarser scale."""
    if tuple(features.shape[-2:]) != tuple(shape):
        features = F.adaptive_avg_pool2d(features, shape)
    return features.movedim(1, -1)
