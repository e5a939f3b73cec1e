"""The LiDAR points of a recorded scene, split into what stands still and what belongs to a tracked road user."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.data import Index
from drivewm.data.files import read_lidar, resolve
from drivewm.geometry import se2, se3
from drivewm.geometry.boxes import points_in_boxes

BOX_MARGIN_M = 0.1
"""A box is cut out of what stands still with this margin: annotations are tight."""
REVOLUTION_S = 0.1
"""What moves is smeared over as long as a revolution takes (half as long at 20 Hz): its box reaches that much further
to the front and the back."""
UNDERSIDE_M = 0.2
"""Points in a box that are less than this above its underside are of the ground: they do not move with it."""


@dataclass(frozen=True)
class Sweep:
    """One keyframe's sweep. N points of scenery, M on road users.

    Attributes:
        T_global_lidar: `(4, 4)`.
        points: `(P, 3)` float64 as recorded [m, LiDAR frame].
        static: `(N, 3)` float64 points outside of all boxes [m, global].
        object_points: `(M, 3)` float64 points in boxes, in the frame of their box (centre, x forward) [m].
        object_track: `(M,)` int64 whose they are.
    """

    T_global_lidar: np.ndarray
    points: np.ndarray
    static: np.ndarray
    object_points: np.ndarray
    object_track: np.ndarray


def read_sweeps(index: Index, frames: range) -> list[Sweep]:
    """The sweeps of keyframes of an index, boxes taken out.

    Raises:
        DataError: a sweep is missing or broken.
    """
    return [_read(index, frame) for frame in frames]


def _read(index: Index, frame: int) -> Sweep:
    file = resolve(index.data_root, index["frame_lidar_file"][frame].decode(), index.folder, "frame_lidar_file")
    points = read_lidar(file, int(index["frame_lidar_bytes"][frame]))[:, :3].astype(np.float64)
    T_ego_lidar, T_global_ego = index["frame_T_ego_lidar"][frame], index["frame_T_global_ego"][frame]
    rows = slice(*index["frame_box_ptr"][frame : frame + 2])
    boxes = np.column_stack([index["box_center"][rows], index["box_size"][rows], index["box_yaw"][rows]])
    speed = np.nan_to_num(np.linalg.norm(index["box_velocity"][rows], axis=-1))
    ego = se3.transform_points(T_ego_lidar, points)
    static, of_objects, tracks = split_by_boxes(ego, boxes, index["box_track"][rows], speed)
    T_global_lidar = T_global_ego @ T_ego_lidar
    return Sweep(T_global_lidar, points, se3.transform_points(T_global_ego, static), of_objects, tracks)


def split_by_boxes(
    points: np.ndarray, boxes: np.ndarray, tracks: np.ndarray, speed: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points `(P, 3)` apart by the boxes `(K, 7)` of the same frame, grown by `BOX_MARGIN_M` and by their motion.

    Args:
        points, boxes: of the same frame.
        tracks: `(K,)` whose the boxes are.
        speed: `(K,)` how fast they move [m/s].

    Returns:
        the points outside of all boxes `(N, 3)`, those inside in the frame of the first box that holds them `(M, 3)`,
        and that box's track `(M,)` int64. Points at a box's underside are dropped, and smeared ones.
    """
    if not len(boxes):
        return points, np.zeros((0, 3)), np.zeros(0, np.int64)
    grown = boxes.copy()
    grown[:, 3] += 2 * REVOLUTION_S * speed
    inside = points_in_boxes(points, grown, BOX_MARGIN_M)
    owned = inside.any(1)
    owner = inside[owned].argmax(1)
    local = into_boxes(points[owned], boxes[owner])
    kept = local[:, 2] > UNDERSIDE_M - boxes[owner, 5] / 2
    kept &= np.abs(local[:, 0]) <= boxes[owner, 3] / 2 + BOX_MARGIN_M
    return points[~owned], local[kept], np.asarray(tracks)[owner][kept].astype(np.int64)


def into_boxes(points: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Points `(M, 3)` in the frames of their boxes `(M, 7)`: origin in the centre, x forward."""
    xy = se2.transform_points(se2.inverse(boxes[:, [0, 1, 6]]), points[:, None, :2])[:, 0]
    return np.column_stack([xy, points[:, 2] - boxes[:, 2]])


def out_of_boxes(points: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """The inverse of `into_boxes`."""
    xy = se2.transform_points(boxes[:, [0, 1, 6]], points[:, None, :2])[:, 0]
    return np.column_stack([xy, points[:, 2] + boxes[:, 2]])


def voxel_means(points: np.ndarray, voxel_m: np.ndarray | float) -> np.ndarray:
    """The mean point of each voxel of a lattice through the origin that holds any of `points (N, 3)`: `(V, 3)`.

    `voxel_m` is the edge, or the three edges `(3,)`.
    """
    if not len(points):
        return np.zeros((0, 3))
    cell = np.floor(points / voxel_m).astype(np.int64)
    cell -= cell.min(0)
    _, slot, count = np.unique(
        np.ravel_multi_index(tuple(cell.T), tuple(cell.max(0) + 1)), return_inverse=True, return_counts=True
    )
    return np.stack([np.bincount(slot, points[:, axis]) for axis in range(3)], axis=-1) / count[:, None]
