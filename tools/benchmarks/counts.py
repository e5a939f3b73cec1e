"""Confusion counts of six predicted Occ3D frames (3.8 million voxels, 18 classes)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from benchmarks.measure import Row, compare
from benchmarks.scenes import street
from drivewm.evaluation.functional.occupancy import confusion_counts
from drivewm.structures import OCC3D


def against_class_loops() -> Row:
    """As published evaluation code does it (OccWorld's metric and those after it): int64 labels in torch, the frames
    without the ignored label copied out, then for each class three comparisons of all voxels."""
    prediction, truth = _frames()
    predicted, true, ignored = torch.from_numpy(prediction).long(), torch.from_numpy(truth).long(), 255

    def loops() -> np.ndarray:
        rows = []
        for prediction_t, truth_t in zip(predicted, true, strict=True):
            p, t = prediction_t[truth_t != ignored], truth_t[truth_t != ignored]
            rows.append(
                [
                    (((t == c) & (p == c)).sum().item(), (t == c).sum().item(), (p == c).sum().item())
                    for c in range(OCC3D.num_classes)
                ]
            )
        return np.array(rows).sum(0).T

    return _against(loops, prediction, truth, goal=200.0)


def against_uint8_loops() -> Row:
    """The same three comparisons a class in NumPy, on all uint8 labels at once and without copies."""
    prediction, truth = _frames()

    def loops() -> np.ndarray:
        rows = []
        for label in range(OCC3D.num_classes):
            is_true, is_predicted = truth == label, prediction == label
            rows.append(((is_true & is_predicted).sum(), is_true.sum(), is_predicted.sum()))
        return np.array(rows).T

    return _against(loops, prediction, truth, goal=None)


def against_torch_bincount() -> Row:
    """One `torch.bincount` over pairs of labels."""
    prediction, truth = _frames()
    return _against_bincount(prediction, truth)


def on_noise() -> Row:
    """As before, on labels drawn at random: the worst case, in which no run of voxels is alike."""
    shape = _frames()[0].shape
    prediction, truth = np.random.default_rng(0).integers(0, OCC3D.num_classes, (2, *shape), dtype=np.uint8)
    return _against_bincount(prediction, truth)


def _frames() -> tuple[np.ndarray, np.ndarray]:
    """Six streets, and as their prediction the same moved by one voxel: it errs along the borders of things."""
    truth = np.stack([street(seed) for seed in range(6)])
    return np.roll(truth, 1, axis=1), truth


def _class_counts(counts: np.ndarray) -> np.ndarray:
    """Correct, true and predicted voxels of each class `(3, C)` from the confusion counts."""
    return np.stack([np.diagonal(counts), counts.sum(1), counts.sum(0)])


def _against(loops: Callable[[], np.ndarray], prediction: np.ndarray, truth: np.ndarray, goal: float | None) -> Row:
    return compare(
        lambda: _class_counts(confusion_counts(prediction, truth, OCC3D.num_classes)), loops, _check_equal, goal
    )


def _against_bincount(prediction: np.ndarray, truth: np.ndarray) -> Row:
    classes = OCC3D.num_classes
    predicted, true = torch.from_numpy(prediction), torch.from_numpy(truth)

    def bincount() -> np.ndarray:
        pairs = true.flatten().long() * classes + predicted.flatten()
        return torch.bincount(pairs, minlength=classes * classes).reshape(classes, classes).numpy()

    return compare(lambda: confusion_counts(prediction, truth, classes), bincount, _check_equal, goal=None)


def _check_equal(a: np.ndarray, b: np.ndarray) -> None:
    if not np.array_equal(a, b):
        raise AssertionError(f"counts differ by up to {np.abs(a - b).max()}")
