"""Which rays a recorded LiDAR sends: files hold only those that came back."""

from __future__ import annotations

import numpy as np

CELL_RAD = float(np.deg2rad(0.5))
"""A direction is silent in a sweep if nothing came back within a cell of this size."""
NEIGHBOURS = 4
"""Sweeps that are asked for silent directions."""
NEAREST_M = 1.0
"""Closer returns are from the vehicle itself."""


def recorded_rays(sweeps: list[np.ndarray], number: int) -> tuple[np.ndarray, np.ndarray]:
    """The rays of one sweep: its own returns, and those of the sweeps around it in directions where it has none.

    Directions in which none of these sweeps has a return (the sky) are not known.

    Args:
        sweeps: points `(N_k, 3)` of all sweeps in their LiDAR frames [m]; the rays of a sweep meet in the origin.
        number: of the sweep.

    Returns:
        unit directions `(R, 3)` in the LiDAR frame, and the measured depth `(R,)` [m], inf for silent rays.
    """
    near = sorted(range(len(sweeps)), key=lambda k: abs(k - number))[: NEIGHBOURS + 1]
    heard, directions, depths = np.zeros(0, np.int64), [], []
    for k in near:
        depth = np.linalg.norm(sweeps[k], axis=-1)
        returned = depth > NEAREST_M
        ray, depth = sweeps[k][returned] / depth[returned, None], depth[returned]
        cell = _cells(ray)
        new = ~np.isin(cell, heard)
        directions.append(ray[new])
        depths.append(depth[new] if k == number else np.full(int(new.sum()), np.inf))
        heard = np.union1d(heard, cell)
    return np.concatenate(directions), np.concatenate(depths)


def _cells(directions: np.ndarray) -> np.ndarray:
    azimuth = np.floor((np.arctan2(directions[:, 1], directions[:, 0]) + np.pi) / CELL_RAD).astype(np.int64)
    elevation = np.floor((np.arcsin(np.clip(directions[:, 2], -1, 1)) + np.pi) / CELL_RAD).astype(np.int64)
    return azimuth * 1024 + elevation
