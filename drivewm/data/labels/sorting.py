"""What the points of a sweep belong to: the scenery, an annotated object, or nothing that may vote."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.data.labels import _kernels
from drivewm.data.labels.tracks import SweepBoxes
from drivewm.data.labels.voting import UNLABELLED
from drivewm.geometry import se2, se3
from drivewm.structures import OCC3D

STATIC, ALONE, DROPPED = -1, -2, -3
"""Owners of points that belong to no track: what stands; what moves, but nobody knows how; what is not to vote."""
MARGIN_M = 0.1
"""Boxes are so much larger on each side: annotators draw them tight."""
HALO_M = 0.3
"""So near around a box nobody can tell whose a point without a class is: the noise of the range is as large."""
CLEARANCE_M = 0.2
"""Points without a class this near to the bottom of a box may be the road's, and do not vote."""
FAR_M = 50.0
"""Points without a class vote up to this distance from the sensor: far objects often have no boxes."""
EGO_BODY = np.array([[-0.9, -1.0, 0.2], [3.5, 1.0, 2.2]])
"""The ego in its own frame [m]: x, y and z from, and to. nuScenes' car with its mirrors; the road is below."""
_EGO_REACH_M = 6.0
_MOVABLE = np.isin(np.arange(256), OCC3D.movable)


@dataclass(frozen=True)
class Sweep:
    """One sweep that labels are made from.

    Attributes:
        points: `(N, 3 + C)` float32 [m, LiDAR frame]; only points that hit something solid.
        classes: `(N,)` uint8 of `OCC3D`, or `UNLABELLED`.
        T_ego_lidar: `(4, 4)`; its origin is where the rays start.
        T_global_ego: `(4, 4)` at the time of the sweep.
    """

    points: np.ndarray
    classes: np.ndarray
    T_ego_lidar: np.ndarray
    T_global_ego: np.ndarray


@dataclass(frozen=True)
class SortedPoints:
    """The points of a sweep that did not hit the ego itself.

    Attributes:
        points: `(N, 3)` float32 [m, LiDAR frame].
        classes: `(N,)` uint8 of `OCC3D`, or `UNLABELLED`.
        owner: `(N,)` int32, number of the track that a point belongs to, or `STATIC`, `ALONE`, `DROPPED`.
        local: `(N, 3)` float32 [m], points of tracks in the frames of their boxes; of others meaningless.
    """

    points: np.ndarray
    classes: np.ndarray
    owner: np.ndarray
    local: np.ndarray


def sort_out(sweep: Sweep, around: SweepBoxes) -> SortedPoints:
    """Tells the points of a sweep apart.

    A point in a box (of several, the first) is the object's if its class moves by itself or is the object's own; what
    is neither is the ground under it or the tree above it. Without a class, height decides. In boxes that are only
    guessed, close around boxes and in the trail of moving ones points are nobody's: those whose class moves count for
    their own keyframe alone, those without a class not at all. Points whose class moves count for their own keyframe
    alone where there is no box, and those without a class do not count far away.

    Args:
        sweep: of any time.
        around: the moving objects at that time.
    """
    count = len(sweep.points)
    points, local = np.empty((count, 3), np.float32), np.empty((count, 3), np.float32)
    classes, owner = np.empty(count, np.uint8), np.empty(count, np.int32)
    yaw = around.boxes[:, 6]
    kept = _kernels.sort_out(
        sweep.points,
        sweep.classes,
        sweep.T_ego_lidar,
        sweep.T_global_ego @ sweep.T_ego_lidar,
        EGO_BODY,
        np.column_stack([around.boxes[:, :3], around.boxes[:, 3:6] / 2, np.cos(yaw), np.sin(yaw), around.trail_m]),
        around.known,
        around.track,
        around.label,
        _MOVABLE,
        (STATIC, ALONE, DROPPED, UNLABELLED),
        (MARGIN_M, HALO_M, CLEARANCE_M, FAR_M, _EGO_REACH_M),
        (points, classes, owner, local),
    )
    return SortedPoints(points[:kept], classes[:kept], owner[:kept], local[:kept])


def sort_out_reference(sweep: Sweep, around: SweepBoxes) -> SortedPoints:
    """The readable twin of `sort_out`: every point against every box."""
    keep = ~_on_ego(sweep)
    points, classes = sweep.points[keep, :3], sweep.classes[keep]
    moves, nameless = np.isin(classes, OCC3D.movable), classes == UNLABELLED
    far = (points.astype(np.float64) ** 2).sum(axis=1) > FAR_M**2
    owner = np.where(moves, ALONE, np.where(nameless & far, DROPPED, STATIC)).astype(np.int32)
    box, beside, local = _in_boxes(points, sweep.T_global_ego @ sweep.T_ego_lidar, around)
    rows = np.flatnonzero((box >= 0) | (beside >= 0))
    inside, number = box[rows] >= 0, np.where(box[rows] >= 0, box[rows], beside[rows])
    own, nameless = moves[rows] | (classes[rows] == around.label[number]), nameless[rows]
    above = local[rows, 2] > CLEARANCE_M - around.boxes[number, 5] / 2
    belongs = inside & around.known[number] & (own | (nameless & above))
    nobodys = np.where(nameless, DROPPED, np.where(own, ALONE, STATIC))
    owner[rows] = np.where(belongs, around.track[number], nobodys)
    return SortedPoints(points, classes, owner, local.astype(np.float32))


def _on_ego(sweep: Sweep) -> np.ndarray:
    ego = se3.transform_points(sweep.T_ego_lidar, sweep.points[:, :3].astype(np.float64))
    return ((ego >= EGO_BODY[0]) & (ego <= EGO_BODY[1])).all(axis=1)


def _in_boxes(points: np.ndarray, T_global_lidar: np.ndarray, around: SweepBoxes):
    """Of each point the first box that holds it and the first that it is beside or behind `(N,)`, -1 for none; and the
    point `(N, 3)` in the frame of the box that holds it."""
    there = se3.transform_points(T_global_lidar, points.astype(np.float64))
    box, beside, local = np.full(len(points), -1), np.full(len(points), -1), np.zeros(there.shape)
    for m in reversed(range(len(around.boxes))):  # the first comes last
        x, y, z, *size, yaw = around.boxes[m]
        flat = se2.transform_points(se2.inverse(np.array([x, y, yaw])), there[:, :2])
        own, half = np.column_stack([flat, there[:, 2] - z]), np.array(size) / 2
        behind = np.array([around.trail_m[m], 0.0, 0.0])
        near = ((own >= -half - HALO_M - behind) & (own <= half + HALO_M)).all(axis=1)
        inside = (np.abs(own) <= half + MARGIN_M).all(axis=1)
        box[inside], local[inside], beside[near] = m, own[inside], m
    return box, beside, local
