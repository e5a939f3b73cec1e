"""Open-loop collision on a raster, as published planners of nuScenes report it (ST-P3, UniAD, VAD).

Beside `planning.polygon_collisions` only to compare with their tables. What the raster does: it is 0.5 m coarse; boxes
are drawn by their rounded corners, borders included, so they grow by up to a cell; the ego is always 8 x 4 cells
that never turn, and their place is cut off to whole cells; beyond the raster the ego is held at its border.

Everything is in the LiDAR frame at t0: rows ahead, columns to the right. It lies ahead of the rear axle, and plans are
moved there by the planned yaw.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from drivewm.geometry.boxes import bev_corners

CELL_M, HALF_M = 0.5, 50.0
CELLS = 200
EGO_LENGTH_M, EGO_WIDTH_M, EGO_AHEAD_M = 4.084, 1.85, 0.5
"""The ego's rectangle, whose centre lies ahead of the LiDAR."""
LIDAR_AHEAD_M = 0.943713
"""Of the rear axle, in nuScenes."""

_CENTERS_M = CELL_M * (np.arange(CELLS) + 0.5) - HALF_M
_EGO_ROWS = np.flatnonzero(np.abs(_CENTERS_M - EGO_AHEAD_M) <= EGO_LENGTH_M / 2)
_EGO_COLUMNS = np.flatnonzero(np.abs(_CENTERS_M) <= EGO_WIDTH_M / 2)


def rasterize(boxes: np.ndarray, valid: np.ndarray, lidar_ahead_m: float = LIDAR_AHEAD_M) -> np.ndarray:
    """Cells that boxes occupy at each step.

    Args:
        boxes: `(F, M, 7)` in the ego frame at t0 [m, rad].
        valid: `(F, M)` bool; other boxes are not drawn.
        lidar_ahead_m: of the rear axle.

    Returns:
        bool `(F, 200, 200)`, rows ahead, columns to the right.
    """
    if boxes.ndim != 3 or boxes.shape[-1] != 7 or valid.shape != boxes.shape[:2]:
        raise ValueError(f"expected boxes (F, M, 7) and valid (F, M), got {boxes.shape} and {valid.shape}")
    corners = bev_corners(boxes)
    ahead_right = np.stack([corners[..., 0] - lidar_ahead_m, -corners[..., 1]], axis=-1)
    cells = np.round((np.where(valid[..., None, None], ahead_right, 0.0) + HALF_M) / CELL_M).astype(np.int64)
    seen = valid & ((cells.max(-2) >= 0) & (cells.min(-2) < CELLS)).all(-1)
    occupied = np.zeros((len(boxes), CELLS, CELLS), bool)
    for step in np.flatnonzero(seen.any(-1)):
        image = Image.new("1", (CELLS, CELLS))
        draw = ImageDraw.Draw(image)
        for polygon in cells[step, seen[step]]:
            draw.polygon([(int(column), int(row)) for row, column in polygon], fill=1, outline=1)
        occupied[step] = np.array(image)
    return occupied


def grid_collisions(poses: np.ndarray, occupied: np.ndarray, lidar_ahead_m: float = LIDAR_AHEAD_M) -> np.ndarray:
    """Is any of the ego's 32 cells occupied?

    Args:
        poses: `(F, 3)` rear-axle poses in the ego frame at t0 [m, rad].
        occupied: `(F, 200, 200)` of `rasterize`.
        lidar_ahead_m: of the rear axle.

    Returns:
        bool `(F,)`.
    """
    poses = np.asarray(poses, np.float64)
    if poses.shape != (len(occupied), 3):
        raise ValueError(f"expected poses ({len(occupied)}, 3), as occupied has them, got {poses.shape}")
    ahead = poses[:, 0] + lidar_ahead_m * (np.cos(poses[:, 2]) - 1.0)
    right = -(poses[:, 1] + lidar_ahead_m * np.sin(poses[:, 2]))
    rows = np.clip((_EGO_ROWS + ahead[:, None] / CELL_M).astype(np.int64), 0, CELLS - 1)
    columns = np.clip((_EGO_COLUMNS + right[:, None] / CELL_M).astype(np.int64), 0, CELLS - 1)
    return occupied[np.arange(len(poses))[:, None, None], rows[:, :, None], columns[:, None, :]].any((-1, -2))
