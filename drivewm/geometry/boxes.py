"""Oriented boxes `(..., 7)`: centre x, y, z, length, width, height [m], yaw [rad] about the vertical axis."""

from __future__ import annotations

import numpy as np

from drivewm.geometry import se2

# Front left, rear left, rear right, front right, in units of length and width.
_CORNERS = np.array([[0.5, 0.5], [-0.5, 0.5], [-0.5, -0.5], [0.5, -0.5]])


def bev_corners(boxes: np.ndarray) -> np.ndarray:
    """Footprint corners `(..., 4, 2)` [m] of boxes `(..., 7)`: front left, rear left, rear right, front right."""
    boxes = np.asarray(boxes, np.float64)
    return se2.transform_points(boxes[..., [0, 1, 6]], _CORNERS * boxes[..., None, 3:5])


def polygons_overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Do convex quadrilaterals overlap, by the separating axis theorem (Gottschalk et al., 1996)?

    Args:
        a, b: corners `(..., 4, 2)` in order around the polygon; leading axes broadcast.

    Returns:
        bool `(...)`; polygons that only touch do not overlap.
    """
    a, b = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(b, np.float64))
    separated = np.zeros(a.shape[:-2], bool)
    for polygon in (a, b):
        edges = np.roll(polygon, -1, axis=-2) - polygon
        normals = np.stack([-edges[..., 1], edges[..., 0]], axis=-1)
        along_a = np.einsum("...nc,...kc->...nk", normals, a)
        along_b = np.einsum("...nc,...kc->...nk", normals, b)
        gap = (along_a.max(-1) <= along_b.min(-1)) | (along_b.max(-1) <= along_a.min(-1))
        separated |= gap.any(-1)
    return ~separated


def signed_distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How far convex quadrilaterals are apart [m]; where they overlap, minus how far one has to move to get free.

    Args:
        a, b: corners `(..., 4, 2)` counter-clockwise, as `bev_corners` gives them; leading axes broadcast.

    Returns:
        `(...)`. The overlap is the distance of the origin from the edge of the two polygons' Minkowski difference
        (Cameron and Culley, 1986), whose edges are parallel to theirs.
    """
    a, b = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(b, np.float64))
    separation = np.maximum(_separation(a, b), _separation(b, a))
    apart = np.minimum(_corner_distance(a, b), _corner_distance(b, a))
    return np.where(separation > 0, apart, separation)


def _separation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The largest distance `(...)` of all of b from the line through an edge of a, outwards."""
    edges = np.roll(a, -1, axis=-2) - a
    normals = np.stack([edges[..., 1], -edges[..., 0]], axis=-1) / np.linalg.norm(edges, axis=-1)[..., None]
    outside = np.einsum("...nc,...knc->...nk", normals, b[..., :, None, :] - a[..., None, :, :])
    return outside.min(-1).max(-1)


def _corner_distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The least distance `(...)` of a corner of b from an edge of a."""
    edges = (np.roll(a, -1, axis=-2) - a)[..., None, :, :]
    to_corner = b[..., :, None, :] - a[..., None, :, :]
    share = np.clip((to_corner * edges).sum(-1) / (edges**2).sum(-1), 0.0, 1.0)
    return np.linalg.norm(to_corner - share[..., None] * edges, axis=-1).min((-2, -1))


def points_in_boxes(points: np.ndarray, boxes: np.ndarray, margin_m: float = 0.0) -> np.ndarray:
    """Which points `(N, 3 + C)` lie in which boxes `(M, 7)`, grown by `margin_m` on each side: bool `(N, M)`."""
    points, boxes = np.asarray(points, np.float64), np.asarray(boxes, np.float64)
    T_box_ego = se2.inverse(boxes[:, [0, 1, 6]])
    local = se2.transform_points(T_box_ego, points[None, :, :2])  # (M, N, 2)
    height = points[None, :, 2] - boxes[:, None, 2]
    half = boxes[:, None, 3:6] / 2 + margin_m
    inside = (np.abs(local) <= half[..., :2]).all(-1) & (np.abs(height) <= half[..., 2])
    return inside.T


def boxes_overlap(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Which footprints of boxes `(..., 7)` overlap: bool `(...)`; both broadcast. Only pairs whose circles meet are
    looked at closely, and boxes that are NaN overlap nothing."""
    reach = (np.hypot(first[..., 3], first[..., 4]) + np.hypot(second[..., 3], second[..., 4])) / 2
    hit = np.hypot(first[..., 0] - second[..., 0], first[..., 1] - second[..., 1]) <= reach
    first, second = (np.broadcast_to(boxes, (*hit.shape, 7))[hit] for boxes in (first, second))
    hit[hit] = polygons_overlap(bev_corners(first), bev_corners(second))
    return hit
