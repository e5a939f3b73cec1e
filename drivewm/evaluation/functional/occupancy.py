"""Semantic occupancy: confusion counts and the scores that follow from them.

Counts add up over frames, samples and processes; a score is taken once, from the sum. Scores are fractions in [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drivewm.evaluation.functional import _kernels

CONVENTIONS = ("clean", "occworld", "i2world")
"""How code bases average over classes, see `mean_iou`."""


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


def class_sums(counts: np.ndarray) -> np.ndarray:
    """All that IoU needs of counts `(..., C, C)`: voxels of each class in truth, in the prediction, in both.

    `(..., 3, C)`: six times smaller, and as additive as the counts.
    """
    return np.stack([counts.sum(-1), counts.sum(-2), np.diagonal(counts, axis1=-2, axis2=-1)], axis=-2)


def iou_of_sums(sums: np.ndarray) -> np.ndarray:
    """Intersection over union of each class from `class_sums (..., 3, C)`: float64 `(..., C)`.

    A class with neither truth nor prediction is NaN: nothing was asked and nothing claimed.
    """
    truth, predicted, both = np.moveaxis(np.asarray(sums, np.float64), -2, 0)
    union = truth + predicted - both
    return np.divide(both, union, out=np.full(union.shape, np.nan), where=union > 0)


def mean_iou(sums: np.ndarray, classes: Sequence[int], convention: str = "clean") -> np.ndarray:
    """Mean IoU over `classes` from `class_sums (..., 3, C)`: float64 `(...)`; NaN if no class is left to average.

    Args:
        convention: what becomes of classes that the set hardly has.
            "clean": one with neither truth nor prediction is left out.
            "occworld": one without truth scores 1, predicted or not (OccWorld's code, Zheng et al., 2024).
            "i2world": one whose IoU is 0 is left out too (I2-World's code, Liao et al., 2025).

    Raises:
        ValueError: for another convention.
    """
    if convention not in CONVENTIONS:
        raise ValueError(f"convention must be one of {', '.join(CONVENTIONS)}, got {convention!r}")
    classes = list(classes)
    iou = iou_of_sums(sums)[..., classes]
    if convention == "occworld":
        iou = np.where(sums[..., 0, :][..., classes] == 0, 1.0, iou)
    elif convention == "i2world":
        iou = np.where(iou == 0, np.nan, iou)
    present = np.isfinite(iou)
    total = np.where(present, iou, 0.0).sum(-1)
    return np.divide(total, present.sum(-1), out=np.full(total.shape, np.nan), where=present.any(-1))[()]


def occupied_iou_of_sums(sums: np.ndarray, free: int) -> np.ndarray:
    """IoU of occupied (all classes but `free`) against free, from `class_sums (..., 3, C)`: float64 `(...)`, or NaN."""
    sums = np.asarray(sums, np.float64)
    truth, predicted, both = np.moveaxis(sums[..., free], -1, 0)
    total = sums[..., 0, :].sum(-1)
    hit, union = total - truth - predicted + both, total - both
    return np.divide(hit, union, out=np.full(hit.shape, np.nan), where=union > 0)[()]


def iou_per_class(counts: np.ndarray) -> np.ndarray:
    """`iou_of_sums` from counts `(..., C, C)`: float64 `(..., C)`."""
    return iou_of_sums(class_sums(counts))


def miou(counts: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    """`mean_iou` over `classes` from counts `(..., C, C)`: float64 `(...)`."""
    return mean_iou(class_sums(counts), classes)


def occupied_iou(counts: np.ndarray, free: int) -> np.ndarray:
    """`occupied_iou_of_sums` from counts `(..., C, C)`: float64 `(...)`."""
    return occupied_iou_of_sums(class_sums(counts), free)
