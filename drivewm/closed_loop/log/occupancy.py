"""Occupancy of what stands still in a recorded scene, accumulated over its keyframes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.data import DataError, Index
from drivewm.data.files import read_occupancy, resolve
from drivewm.geometry import VoxelGrid, se3
from drivewm.geometry.boxes import points_in_boxes
from drivewm.structures import OCC3D

UNKNOWN = 255
"""Neither seen nor labelled in any keyframe, or always beneath a box."""
_BOX_MARGIN = 0.5
"""Boxes are cut out of the labels with a margin of so many voxels: a label is that of whatever touches its voxel."""


@dataclass(frozen=True)
class LogOccupancy:
    """Votes of all keyframes' labels, on a lattice in the global frame.

    Attributes:
        classes: `(X, Y, Z)` uint8 classes of `OCC3D`, or `UNKNOWN`.
        origin_m: `(3,)` lower corner [m, global].
        frames: `(F, X', Y', Z')` uint8, the same of each keyframe alone, on `grid` in its ego frame.
        frame_poses: `(F, 4, 4)` their `T_global_ego`.
        grid: of the labels.
    """

    classes: np.ndarray
    origin_m: np.ndarray
    frames: np.ndarray
    frame_poses: np.ndarray
    grid: VoxelGrid

    @classmethod
    def read(cls, index: Index, frames: range, frame_poses: np.ndarray, boxes: list[np.ndarray]) -> LogOccupancy:
        """From an index.

        Args:
            frames: keyframes of a scene.
            frame_poses: `(F, 4, 4)` their `T_global_ego`.
            boxes: `(M, 7)` those of each, ego frame; what is in them is left out.

        Raises:
            DataError: the scene has no labels.
        """
        labels = []
        for frame, cut in zip(frames, boxes, strict=True):
            name = index["frame_occupancy_file"][frame].decode()
            if not name or index.grid is None:
                raise DataError(index.folder, "frame_occupancy_file", "a scene without labels", "occupancy labels")
            file = resolve(index.data_root, name, index.folder / "frame_occupancy_file.npy", "frame_occupancy_file")
            semantics, seen = read_occupancy(file, index.grid)
            own = np.where(seen | (semantics != OCC3D.free), semantics, UNKNOWN).astype(np.uint8)
            own[_inside(index.grid, cut)] = UNKNOWN
            labels.append(own)
        return cls.accumulate(np.stack(labels), frame_poses, index.grid)

    @classmethod
    def accumulate(cls, frames: np.ndarray, frame_poses: np.ndarray, grid: VoxelGrid) -> LogOccupancy:
        """From each keyframe's own labels `(F, X, Y, Z)`, `UNKNOWN` where they say nothing.

        A voxel is occupied if no fewer keyframes say so than say free; of the classes the most frequent one holds.
        """
        corners = np.stack(np.meshgrid(*zip(grid.range_m[:3], grid.range_m[3:], strict=True)), -1).reshape(-1, 3)
        reached = se3.transform_points(frame_poses, np.broadcast_to(corners, (len(frames), 8, 3)))
        low = np.floor(reached.min((0, 1)) / grid.voxel_m) * grid.voxel_m
        shape = np.ceil((reached.max((0, 1)) - low) / grid.voxel_m).astype(np.int64) + 1
        free, occupied = np.zeros(int(shape.prod()), np.uint16), np.zeros(int(shape.prod()), np.uint16)
        votes = []
        for own, T_global_ego, around in zip(frames, frame_poses, reached, strict=True):
            first = np.floor((around.min(0) - low) / grid.voxel_m).astype(np.int64)
            last = np.ceil((around.max(0) - low) / grid.voxel_m).astype(np.int64)
            cells = np.stack(np.meshgrid(*map(np.arange, first, last + 1), indexing="ij"), -1).reshape(-1, 3)
            found = _look_up(
                own, grid, se3.transform_points(se3.inverse(T_global_ego), low + (cells + 0.5) * grid.voxel_m)
            )
            flat = np.ravel_multi_index(tuple(cells.T), tuple(shape))
            free[flat[found == OCC3D.free]] += 1
            solid = (found != OCC3D.free) & (found != UNKNOWN)
            occupied[flat[solid]] += 1
            votes.append(flat[solid] * OCC3D.num_classes + found[solid])
        classes = np.full(int(shape.prod()), UNKNOWN, np.uint8)
        classes[free > occupied] = OCC3D.free
        vote, count = np.unique(np.concatenate(votes), return_counts=True)
        vote = vote[np.argsort(count, kind="stable")]  # the most frequent class of a voxel is written last
        cell, label = vote // OCC3D.num_classes, vote % OCC3D.num_classes
        kept = occupied[cell] >= free[cell]
        classes[cell[kept]] = label[kept]
        return cls(classes.reshape(tuple(shape)), low, frames, frame_poses, grid)

    def seen_from(self, T_global_ego: np.ndarray, grid: VoxelGrid) -> np.ndarray:
        """Classes `(X, Y, Z)` uint8, `UNKNOWN` among them, of a grid in another ego frame.

        The keyframe whose pose is nearest is asked first, so that a recorded pose gives what was recorded there; the
        others say what that one does not know.
        """
        points = se3.transform_points(T_global_ego, grid.centers().reshape(-1, 3))
        near = int(np.linalg.norm(self.frame_poses[:, :3, 3] - T_global_ego[:3, 3], axis=-1).argmin())
        local = se3.transform_points(se3.inverse(self.frame_poses[near]), points)
        result = _look_up(self.frames[near], self.grid, local)
        missing = np.flatnonzero(result == UNKNOWN)
        cell = np.floor((points[missing] - self.origin_m) / self.grid.voxel_m).astype(np.int64)
        inside = ((cell >= 0) & (cell < self.classes.shape)).all(-1)
        result[missing[inside]] = self.classes[tuple(cell[inside].T)]
        return result.reshape(grid.shape)


def _look_up(labels: np.ndarray, grid: VoxelGrid, points: np.ndarray) -> np.ndarray:
    """Label `(N,)` at points `(N, 3)` of the grid's frame; `UNKNOWN` outside."""
    index, inside = grid.to_index(points)
    return np.where(inside, labels[tuple(index.T)], UNKNOWN).astype(np.uint8)


def _inside(grid: VoxelGrid, boxes: np.ndarray) -> np.ndarray:
    """Voxels `(X, Y, Z)` bool whose centre lies in a box, or close by."""
    result = np.zeros(grid.shape, bool)
    centers = grid.centers()
    margin = _BOX_MARGIN * grid.voxel_m
    for box in boxes:
        reach = np.hypot(box[3], box[4]) / 2 + 2 * margin
        low = np.clip(np.floor((box[:3] - reach - grid.origin_m) / grid.voxel_m), 0, grid.shape)
        high = np.clip(np.floor((box[:3] + reach - grid.origin_m) / grid.voxel_m) + 1, 0, grid.shape)
        part = tuple(slice(int(a), max(int(b), int(a))) for a, b in zip(low, high, strict=True))
        block = centers[part]
        result[part] |= points_in_boxes(block.reshape(-1, 3), box[None], margin)[:, 0].reshape(block.shape[:3])
    return result
