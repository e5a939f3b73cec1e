"""Boxes of the things in an occupancy frame: all that can be known of others where nobody annotates them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from drivewm.geometry.voxel_grid import VoxelGrid
from drivewm.structures.labels import OCC3D

USUAL_SIZE_M = {
    "others": (0.7, 0.7),
    "barrier": (2.0, 0.55),
    "bicycle": (1.8, 0.65),
    "bus": (10.3, 2.5),
    "car": (4.5, 1.85),
    "construction_vehicle": (5.6, 2.1),
    "motorcycle": (2.1, 0.8),
    "pedestrian": (0.6, 0.6),
    "traffic_cone": (0.4, 0.4),
    "trailer": (5.4, 2.2),
    "truck": (7.2, 2.3),
}
"""Length and width of each class of things [m]."""
_SMALLEST, _SPECK = 0.75, 0.25
"""A box is no smaller than this share of the usual size; what covers less than this share of the area is a speck."""
_SEVERAL = 1.6
"""What is longer than so many usual lengths is several things that touch."""
_ANGLES = np.deg2rad(np.arange(0.0, 90.0, 2.0))
_ASKEW_RAD = np.deg2rad(10.0)
_OVERSHOOT = 0.8
"""Things label all voxels that they touch. The outermost of these have their centres on the thing's edge on average,
and by half so many voxels beyond it where the thing stands askew to the grid (measured in the town)."""


@dataclass(frozen=True)
class Detections:
    """Boxes of one frame.

    Attributes:
        boxes: `(M, 7)` float64 centre x, y, z, length, width, height [m], yaw [rad] in the frame's ego frame. Which
            end is the front is not known: yaws lie in [-pi / 2, pi / 2).
        label: `(M,)` int64 classes of `OCC3D`.
        cut: `(M,)` bool, at the edge of the grid: part of it may lie beyond.
    """

    boxes: np.ndarray
    label: np.ndarray
    cut: np.ndarray

    def __len__(self) -> int:
        return len(self.boxes)


def detect(occupancy: np.ndarray, grid: VoxelGrid) -> Detections:
    """The things in `occupancy (X, Y, Z)`: what touches in bird's-eye view and is of one class.

    Each gets the rectangle of least area around the centres of its columns; what is longer than any single thing of
    its class is cut into equal parts.
    """
    boxes, labels, cut = [], [], []
    for label in OCC3D.things:
        there = occupancy == label
        if not there.any():
            continue
        number, _ = ndimage.label(there.any(-1), np.ones((3, 3)))
        for (rows, columns), own in zip(ndimage.find_objects(number), range(1, number.max() + 1), strict=True):
            cells = np.argwhere(number[rows, columns] == own) + [rows.start, columns.start]
            for part in _single_things(cells, label, grid):
                if len(part) * grid.voxel_m**2 < _SPECK * np.prod(_usual(label)):
                    continue
                boxes.append(_box(part, there[tuple(part.T)], label, grid))
                labels.append(label)
                cut.append(bool((part == 0).any() or (part == np.array(grid.shape[:2]) - 1).any()))
    return Detections(np.array(boxes, np.float64).reshape(-1, 7), np.array(labels, np.int64), np.array(cut, bool))


def _usual(label: int) -> tuple[float, float]:
    return USUAL_SIZE_M[OCC3D.names[label]]


def _single_things(cells: np.ndarray, label: int, grid: VoxelGrid) -> list[np.ndarray]:
    """The cells `(n, 2)`, or their equal parts along the longer axis."""
    usual_m = _usual(label)[0]
    center, length, _, yaw = _rectangle(_points(cells, grid), grid.voxel_m)
    if length <= _SEVERAL * max(usual_m, 2 * grid.voxel_m):
        return [cells]
    number = max(2, round(length / (usual_m + grid.voxel_m)))
    along = (_points(cells, grid) - center) @ [np.cos(yaw), np.sin(yaw)]
    part = np.clip(((along / length + 0.5) * number).astype(int), 0, number - 1)
    return [cells[part == k] for k in range(number) if (part == k).any()]


def _box(cells: np.ndarray, there: np.ndarray, label: int, grid: VoxelGrid) -> np.ndarray:
    """The box `(7,)` of a thing's cells `(n, 2)`, whose voxels are `there (n, Z)`."""
    (x, y), length, width, yaw = _rectangle(_points(cells, grid), grid.voxel_m)
    askew = abs((yaw + np.pi / 4) % (np.pi / 2) - np.pi / 4)
    overshoot = _OVERSHOOT * grid.voxel_m * min(askew / _ASKEW_RAD, 1.0)
    usual = _usual(label)
    length, width = (max(m - overshoot, _SMALLEST * u) for m, u in zip((length, width), usual, strict=True))
    layers = np.flatnonzero(there.any(0))
    bottom, top = grid.origin_m[2] + (layers[[0, -1]] + [0, 1]) * grid.voxel_m
    height = max(top - bottom - grid.voxel_m / 2, grid.voxel_m / 2)
    return np.array([x, y, bottom + height / 2, length, width, height, (yaw + np.pi / 2) % np.pi - np.pi / 2])


def _points(cells: np.ndarray, grid: VoxelGrid) -> np.ndarray:
    return grid.origin_m[:2] + (cells + 0.5) * grid.voxel_m


def _rectangle(points: np.ndarray, voxel_m: float) -> tuple[np.ndarray, float, float, float]:
    """Of least area around points `(n, 2)`: centre `(2,)`, the longer and the shorter edge [m], heading of the longer.

    Areas are those of rectangles wider by half a voxel, so that a row of points has one too.
    """
    cos, sin = np.cos(_ANGLES), np.sin(_ANGLES)
    first, second = points @ np.stack([cos, sin]), points @ np.stack([-sin, cos])
    edges = np.stack([np.ptp(first, axis=0), np.ptp(second, axis=0)])
    best = int(np.argmin(np.prod(edges + voxel_m / 2, axis=0)))
    middle = [(side[:, best].max() + side[:, best].min()) / 2 for side in (first, second)]
    c, s = cos[best], sin[best]
    center = np.array([c * middle[0] - s * middle[1], s * middle[0] + c * middle[1]])
    length, width = edges[:, best]
    if width > length:
        return center, float(width), float(length), float(_ANGLES[best] + np.pi / 2)
    return center, float(length), float(width), float(_ANGLES[best])
