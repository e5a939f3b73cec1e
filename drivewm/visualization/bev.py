"""Bird's-eye pictures of occupancy, points, boxes, routes and trajectories. Forward is up, left is left."""

from __future__ import annotations

import numpy as np

from drivewm.geometry.voxel_grid import VoxelGrid
from drivewm.structures import OCC3D, LabelSet
from drivewm.visualization.canvas import BACKGROUND, INK, PLAN, ROUTE, TRUTH, BevCanvas, Color
from drivewm.visualization.ramps import HEIGHT

EGO_SIZE_M = (4.6, 1.9, 1.6)
"""Length, width, height [m] of the ego that is drawn where a clip does not say."""
EGO_CENTER_AHEAD_M = 1.4


def top_classes(occupancy: np.ndarray, labels: LabelSet = OCC3D) -> tuple[np.ndarray, np.ndarray]:
    """What a column of voxels shows from above.

    A movable thing is shown even under a tree; otherwise the highest occupied voxel is.

    Args:
        occupancy: `(X, Y, Z)` uint8.

    Returns:
        classes `(X, Y)` uint8 (`labels.free` where the column is empty) and height `(X, Y)` int64, index of the voxel.
    """
    movable = np.isin(occupancy, labels.movable)
    occupied = occupancy != labels.free
    shown = np.where(movable.any(-1)[..., None], movable, occupied)
    top = occupancy.shape[-1] - 1 - shown[..., ::-1].argmax(-1)
    top = np.where(shown.any(-1), top, 0)
    classes = np.take_along_axis(occupancy, top[..., None], axis=-1)[..., 0]
    return np.where(shown.any(-1), classes, labels.free).astype(np.uint8), top


def bev_colors(occupancy: np.ndarray, labels: LabelSet = OCC3D) -> np.ndarray:
    """Colours `(X, Y, 3)` uint8 of the columns of `occupancy (X, Y, Z)`: by class, darker if low; empty is pale."""
    classes, height = top_classes(occupancy, labels)
    shade = 0.8 + 0.2 * height / max(1, occupancy.shape[-1] - 1)
    # Ground and movable things keep their plain colour: they are to be recognised, not measured.
    plain = np.isin(classes, (*labels.ground, *labels.movable))
    colors = labels.palette[classes] * np.where(plain, 1.0, shade)[..., None]
    colors[classes == labels.free] = BACKGROUND
    return np.round(colors).astype(np.uint8)


def height_colors(z: np.ndarray, low_m: float = -1.0, high_m: float = 4.0) -> np.ndarray:
    """Colours `(N, 3)` uint8 of heights `(N,)` [m]: blue (low) over green to red (high)."""
    return HEIGHT((np.asarray(z, np.float64) - low_m) / (high_m - low_m))


def draw_bev(
    occupancy: np.ndarray | None,
    grid: VoxelGrid,
    *,
    points: np.ndarray | None = None,
    boxes: np.ndarray | None = None,
    route: np.ndarray | None = None,
    trajectories: dict[str, np.ndarray] | None = None,
    title: str = "",
    pixels_per_voxel: int = 5,
    show_ego: bool = True,
    labels: LabelSet = OCC3D,
) -> np.ndarray:
    """A bird's-eye picture of one frame, in its ego frame.

    Args:
        occupancy: `(X, Y, Z)` uint8, or None for a blank ground.
        grid: where the voxels are; also the extent of the picture.
        points: `(N, 3 + C)` [m], coloured by height.
        boxes: `(M, 7)`, outlined.
        route: `(P, 2)` [m].
        trajectories: poses `(F, 2 | 3)` [m] by name; "truth" is dark, others magenta.
        title: written into the top left corner.

    Returns:
        `(H, W, 3)` uint8; an occupied voxel ahead of the ego is above the middle.
    """
    x0, y0, _, x1, y1, _ = grid.range_m
    canvas = BevCanvas((x0, y0, x1, y1), pixels_per_voxel / grid.voxel_m)
    if occupancy is not None:
        if occupancy.shape != grid.shape:
            raise ValueError(f"occupancy has shape {occupancy.shape}, but the grid has {grid.shape} voxels")
        canvas.raster(bev_colors(occupancy, labels))
    if points is not None:
        canvas.pixels(points[:, :2], height_colors(points[:, 2]))
    if route is not None:
        canvas.polyline(route, (*ROUTE, 170), 4)
    for box in np.empty((0, 7)) if boxes is None else boxes:
        canvas.box(box, INK, width_px=1)
    for name, poses in (trajectories or {}).items():
        draw_trajectory(canvas, poses, TRUTH if name == "truth" else PLAN)
    if show_ego:
        canvas.ego(np.zeros(3), EGO_SIZE_M[0], EGO_SIZE_M[1], EGO_CENTER_AHEAD_M)
    if title:
        canvas.text(title, (9, 8))
    return canvas.image()


def draw_trajectory(canvas: BevCanvas, poses: np.ndarray, color: Color = PLAN) -> None:
    """A planned path `(F, 2 | 3)` [m] as a line from the ego with a dot at each pose."""
    path = np.concatenate([np.zeros((1, 2)), np.asarray(poses, np.float64)[:, :2]])
    canvas.polyline(path, (255, 255, 255, 220), 5)
    canvas.polyline(path, color, 2.5)
    canvas.dots(path[1:], color, 3, outline=(255, 255, 255))
