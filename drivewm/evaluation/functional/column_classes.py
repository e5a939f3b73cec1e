"""An occupancy frame seen from above: the static class of each column."""

from __future__ import annotations

import numpy as np

from drivewm.structures import OCC3D, LabelSet

UNKNOWN = 255
"""Code of columns that say nothing."""


def column_classes(frame: np.ndarray, labels: LabelSet = OCC3D) -> np.ndarray:
    """Static class of each column, from above.

    Args:
        frame: `(..., X, Y, Z)` uint8 classes.

    Returns:
        `(..., X, Y)` uint8: the class of the highest static structure, of the ground where there is none, `UNKNOWN`
        where something movable hides it or all is free.
    """
    structures = [c for c in labels.occupied if c not in (*labels.movable, *labels.ground)]
    rank = np.zeros(256, np.uint8)
    rank[list(labels.ground)], rank[structures], rank[list(labels.movable)] = 1, 2, 3
    ranks = rank[frame]
    best = ranks.max(-1)
    top = frame.shape[-1] - 1 - (ranks == best[..., None])[..., ::-1].argmax(-1)
    classes = np.take_along_axis(frame, top[..., None], axis=-1)[..., 0]
    return np.where((best == 1) | (best == 2), classes, UNKNOWN).astype(np.uint8)
