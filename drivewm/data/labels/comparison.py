"""How far made labels agree with true ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from drivewm.data.errors import MissingFileError
from drivewm.data.files import read_occupancy
from drivewm.evaluation.functional.occupancy import confusion_counts, iou_per_class, miou, occupied_iou
from drivewm.geometry import VoxelGrid
from drivewm.structures import OCC3D

SUBSETS = ("visible", "claimed", "all")
"""Voxels that are compared: what the truth calls visible (its mask_lidar), what the made labels do, and all."""


def compare_labels(
    made: str | Path, truth: str | Path, grid: VoxelGrid, progress: Callable[[int, int], None] | None = None
) -> dict:
    """Scores of made labels against true ones, over all keyframes that were made.

    Args:
        made, truth: folders that hold `SCENE/TOKEN/labels.npz`.
        grid: of both.
        progress: called with (keyframes done, keyframes).

    Returns:
        `keyframes`, `claimed_share_of_visible` (of what the truth calls visible, how much the made labels claim to
        know), and for each of `SUBSETS` fractions `iou` (occupied), `miou`, `precision` and `recall` of occupied, and
        `class_iou` by name; None where nothing was to be scored.

    Raises:
        DataError: a label is missing, broken or of another grid.
    """
    made, truth = Path(made), Path(truth)
    files = sorted(made.glob("*/*/labels.npz"))
    if not files:
        raise MissingFileError(made, "labels", "no SCENE/TOKEN/labels.npz", "labels to compare")
    counts = {name: np.zeros((OCC3D.num_classes, OCC3D.num_classes), np.int64) for name in SUBSETS}
    visible_voxels = claimed_of_visible = 0
    for number, file in enumerate(files, 1):
        semantics, claimed = read_occupancy(file, grid)
        true, visible = read_occupancy(truth / file.relative_to(made), grid)
        for name, mask in zip(SUBSETS, (visible, claimed, None), strict=True):
            counts[name] += confusion_counts(semantics, true, OCC3D.num_classes, mask)
        visible_voxels += int(visible.sum())
        claimed_of_visible += int((visible & claimed).sum())
        if progress is not None:
            progress(number, len(files))
    found = {name: _scores(subset) for name, subset in counts.items()}
    return {
        "keyframes": len(files),
        "claimed_share_of_visible": claimed_of_visible / max(visible_voxels, 1),
        **found,
    }


def _scores(counts: np.ndarray) -> dict:
    occupied = np.arange(OCC3D.num_classes) != OCC3D.free
    hit, claimed, true = (part.sum() for part in (counts[occupied][:, occupied], counts[:, occupied], counts[occupied]))
    by_class = iou_per_class(counts)
    return {
        "iou": _fraction(occupied_iou(counts, OCC3D.free)),
        "miou": _fraction(miou(counts, OCC3D.occupied)),
        "precision": _fraction(hit / claimed if claimed else np.nan),
        "recall": _fraction(hit / true if true else np.nan),
        "class_iou": {OCC3D.names[c]: _fraction(by_class[c]) for c in OCC3D.occupied},
    }


def _fraction(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
