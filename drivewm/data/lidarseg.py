"""Point classes as nuScenes-lidarseg numbers them."""

from __future__ import annotations

import numpy as np

from drivewm.data.nuscenes_schema import CATEGORIES, LIDARSEG_CATEGORIES
from drivewm.simulation.kinds import KINDS
from drivewm.structures import OCC3D

_NOISE = 0
# In the town a class means one category: that of its kind of road user, or that of the surface.
_CATEGORY = {label: name for name, label in LIDARSEG_CATEGORIES.items() if name not in CATEGORIES}
_CATEGORY |= {kind.class_name: kind.category for kind in KINDS}
_NUMBER = np.array(
    [list(LIDARSEG_CATEGORIES).index(_CATEGORY[label]) if label in _CATEGORY else _NOISE for label in OCC3D.names],
    np.uint8,
)


def lidarseg_labels(point_class: np.ndarray) -> np.ndarray:
    """Numbers `(N,)` uint8 of the 32 categories, for the town's points of the classes `(N,)` of `OCC3D`."""
    return _NUMBER[point_class]
