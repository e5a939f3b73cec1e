"""A street that can be drawn from anywhere, as an occupancy frame."""

import numpy as np

from drivewm.geometry import VoxelGrid, se2
from drivewm.structures import OCC3D

GRID = VoxelGrid.centered((64, 64, 4), 0.8, x_min_m=-12.8)
ROAD, PAVEMENT, LAWN, WALL, TREE = (
    OCC3D.index(n) for n in ("driveable_surface", "sidewalk", "terrain", "manmade", "vegetation")
)


def draw(pose, grid=GRID, buildings=True) -> np.ndarray:
    """A street as a frame `(X, Y, Z)` at a pose `(3,)` of the world: each column is what is at its centre."""
    centers = grid.centers()[:, :, 0, :2].reshape(-1, 2)
    x, y = se2.transform_points(np.asarray(pose, float), centers).T
    ground = np.select([np.abs(y) < 5.1, np.abs(y) < 7.7], [ROAD, PAVEMENT], LAWN)
    ground = np.where((np.abs(x - 21.3) < 4.2), ROAD, ground)  # a side street
    frame = np.full((len(x), grid.shape[2]), OCC3D.free, np.uint8)
    frame[:, 1] = ground
    if buildings:
        # Houses with gaps of changing width, and trees: nothing repeats.
        house = (np.abs(y) > 9.3) & (np.abs(y) < 17.9) & (np.sin(0.31 * x + 0.004 * x * x + np.sign(y)) > -0.3)
        tree = (np.abs(np.abs(y) - 8.4) < 0.9) & (np.sin(0.83 * x - 0.01 * x * x) > 0.6)
        frame[house & (ground == LAWN), 1:] = WALL
        frame[tree & (ground == LAWN), 2:] = TREE
    return frame.reshape(grid.shape)
