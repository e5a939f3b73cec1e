"""Semantic occupancy: confusion counts and the scores that follow from them.

Counts add up over frames, samples and processes; a score is taken once, from the sum. Scores are fractions in [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drivewm.evaluation.functional import _kernels


def confusion_counts(
    prediction: np.ndarray, truth: np.ndarray, num_classes: int, mask: np.ndarray | None = None
) -> np.ndarray:
    """How often each true class was predicted as each class.

    Args:
        prediction: uint8 labels, any shape.
        truth: uint8 labels, the same shape.
        num_classes: C; labels are 0 .. C - 1.
        mask: bool, the same shape; only voxels where it is True count. None counts all.

    Returns:
        `(C, C)` int64, `counts[true, predicted]`.

    Raises:
        ValueError: if shapes or dtypes disagree, or a label is not below `num_classes`.
    """
    prediction, truth, mask = _checked(prediction, truth, num_classes, mask)
    counts = np.zeros(num_classes * num_classes, np.int64)
    whole = prediction.size // 8 * 8
    if mask is None:
        words = prediction[:whole].view(np.uint64), truth[:whole].view(np.uint64)
        _kernels.count_pairs(prediction, truth, *words, counts)
    else:
        _kernels.count_masked_pairs(prediction, truth, mask, mask[:whole].view(np.uint64), counts)
    return counts.reshape(num_classes, num_classes)


def confusion_counts_reference(
    prediction: np.ndarray, truth: np.ndarray, num_classes: int, mask: np.ndarray | None = None
) -> np.ndarray:
    """The readable twin of `confusion_counts`: one comparison of the whole array per pair of classes."""
    prediction, truth, mask = _checked(prediction, truth, num_classes, mask)
    counted = np.ones(truth.shape, bool) if mask is None else mask.astype(bool)
    counts = np.zeros((num_classes, num_classes), np.int64)
    for true_class in range(num_classes):
        for predicted_class in range(num_classes):
            agree = (truth == true_class) & (prediction == predicted_class) & counted
            counts[true_class, predicted_class] = agree.sum()
    return counts


def _checked(prediction, truth, num_classes, mask):
    """Flat contiguous arrays (the mask as uint8), or a ValueError."""
    if not 1 <= num_classes <= 256:
        raise ValueError(f"num_classes must be 1 .. 256 (labels are uint8), got {num_classes}")
    for name, array in (("prediction", prediction), ("truth", truth)):
        if array.dtype != np.uint8:
            raise ValueError(f"{name} must be uint8 labels, got {array.dtype}")
    if prediction.shape != truth.shape:
        raise ValueError(f"prediction has shape {prediction.shape}, but truth has {truth.shape}")
    for name, array in (("prediction", prediction), ("truth", truth)):
        if array.size and array.max() >= num_classes:
            raise ValueError(f"{name} holds label {array.max()}, but there are only {num_classes} classes from 0 on")
    if mask is not None:
        if mask.shape != truth.shape or mask.dtype != bool:
            raise ValueError(f"mask must be bool of shape {truth.shape}, got {mask.dtype} of {mask.shape}")
        mask = np.ascontiguousarray(mask).reshape(-1).view(np.uint8)
    return np.ascontiguousarray(prediction).reshape(-1), np.ascontiguousarray(truth).reshape(-1), mask


def iou_per_class(counts: np.ndarray) -> np.ndarray:
    """Intersection over union of each class from counts `(..., C, C)`: float64 `(..., C)`.

    A class with neither truth nor prediction is NaN: nothing was asked and nothing claimed.
    """
    hit = np.diagonal(counts, axis1=-2, axis2=-1).astype(np.float64)
    union = counts.sum(-1) + counts.sum(-2) - hit
    return np.divide(hit, union, out=np.full(hit.shape, np.nan), where=union > 0)


def miou(counts: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    """Mean IoU over `classes` from counts `(..., C, C)`: float64 `(...)`.

    NaN classes (see `iou_per_class`) are left out; NaN if all of them are.
    """
    iou = iou_per_class(counts)[..., list(classes)]
    present = np.isfinite(iou)
    total = np.where(present, iou, 0.0).sum(-1)
    return np.divide(total, present.sum(-1), out=np.full(total.shape, np.nan), where=present.any(-1))[()]


def occupied_iou(counts: np.ndarray, free: int) -> np.ndarray:
    """IoU of occupied (all classes but `free`) against free, from counts `(..., C, C)`: float64 `(...)`, or NaN."""
    occupied = np.arange(counts.shape[-1]) != free
    hit = counts[..., occupied, :][..., occupied].sum((-2, -1)).astype(np.float64)
    union = counts.sum((-2, -1)) - counts[..., free, free]
    return np.divide(hit, union, out=np.full(hit.shape, np.nan), where=union > 0)[()]
