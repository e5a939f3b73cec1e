"""Chamfer distance between point clouds, as 4D-Occ (Khurana et al., 2023) takes it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from drivewm.evaluation.functional.nearest import mutual_nearest, nearest_reference


class Chamfer(NamedTuple):
    """Chamfer distance in both units; NaN where a cloud is empty: nothing can be near.

    Attributes:
        squared_m2: half the sum of both mean squared nearest-neighbour distances [m^2], the published form.
        plain_m: the same of distances that are not squared [m], which far points do not rule.
    """

    squared_m2: float
    plain_m: float


EMPTY = Chamfer(float("nan"), float("nan"))
"""Of an empty cloud. 4D-Occ's code says 0, the best value there is."""


def chamfer(a: np.ndarray, b: np.ndarray) -> Chamfer:
    """Chamfer distance between `a (N, 3)` and `b (M, 3)` [m, one frame], either way round the same.

    Raises ValueError if a shape is wrong or a coordinate is not finite.
    """
    if len(a) == 0 or len(b) == 0:
        return EMPTY
    return chamfer_of(*mutual_nearest(a, b))


def chamfer_of(squared_ab: np.ndarray, squared_ba: np.ndarray) -> Chamfer:
    """Chamfer distance from the squared nearest-neighbour distances both ways (`nearest.mutual_nearest`)."""
    if len(squared_ab) == 0 or len(squared_ba) == 0:
        return EMPTY
    squared = 0.5 * (squared_ab.mean() + squared_ba.mean())
    plain = 0.5 * (np.sqrt(squared_ab).mean() + np.sqrt(squared_ba).mean())
    return Chamfer(float(squared), float(plain))


def chamfer_reference(a: np.ndarray, b: np.ndarray) -> Chamfer:
    """The readable twin of `chamfer`: every point against every point."""
    if len(a) == 0 or len(b) == 0:
        return EMPTY
    return chamfer_of(nearest_reference(a, b)[0], nearest_reference(b, a)[0])
