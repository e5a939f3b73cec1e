"""SE(3) algebra on homogeneous matrices `T_dst_src (..., 4, 4)`, metres and radians.

`T_dst_src` takes points of frame src to frame dst; adjacent names cancel: `T_global_ego @ T_ego_lidar` is
`T_global_lidar`. NumPy float64: global coordinates reach kilometres, where float32 loses millimetres.
Quaternions are scalar first `(w, x, y, z)`, as in nuScenes.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation


def from_rt(rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:
    """`T (..., 4, 4)` from a rotation matrix `(..., 3, 3)` and a translation `(..., 3)` [m]."""
    rotation, translation = np.asarray(rotation, np.float64), np.asarray(translation, np.float64)
    T = np.zeros((*np.broadcast_shapes(rotation.shape[:-2], translation.shape[:-1]), 4, 4))
    T[..., :3, :3] = rotation
    T[..., :3, 3] = translation
    T[..., 3, 3] = 1.0
    return T


def from_quaternion(quaternion_wxyz: np.ndarray, translation: np.ndarray) -> np.ndarray:
    """`T (..., 4, 4)` from a quaternion `(..., 4)` w, x, y, z (normalised here) and a translation `(..., 3)` [m].

    Raises ValueError for a quaternion of length zero or not finite.
    """
    quaternion = np.asarray(quaternion_wxyz, np.float64)
    norm = np.linalg.norm(quaternion, axis=-1)
    if not np.all(np.isfinite(norm) & (norm > 1e-9)):
        raise ValueError(f"a rotation quaternion must be finite and not zero, got {quaternion.tolist()}")
    flat = quaternion.reshape(-1, 4)[:, [1, 2, 3, 0]]
    return from_rt(Rotation.from_quat(flat).as_matrix().reshape(*quaternion.shape[:-1], 3, 3), translation)


def to_quaternion(T: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Quaternion `(..., 4)` w, x, y, z with w >= 0, and translation `(..., 3)` [m] of `T (..., 4, 4)`."""
    T = np.asarray(T, np.float64)
    xyzw = Rotation.from_matrix(T[..., :3, :3].reshape(-1, 3, 3)).as_quat()
    xyzw = np.where(xyzw[:, 3:] < 0, -xyzw, xyzw)
    return xyzw[:, [3, 0, 1, 2]].reshape(*T.shape[:-2], 4), T[..., :3, 3].copy()


def inverse(T_dst_src: np.ndarray) -> np.ndarray:
    """`T_src_dst (..., 4, 4)`, by the transpose of the rotation (exact for rigid transforms)."""
    rotation = np.swapaxes(T_dst_src[..., :3, :3], -1, -2)
    return from_rt(rotation, -(rotation @ T_dst_src[..., :3, 3:])[..., 0])


def transform_points(T_dst_src: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points `(..., N, 3 + C)` [m, ...] from frame src to frame dst; further channels are kept as they are."""
    moved = points[..., :3] @ np.swapaxes(T_dst_src[..., :3, :3], -1, -2) + T_dst_src[..., None, :3, 3]
    if points.shape[-1] == 3:
        return moved
    return np.concatenate([moved, points[..., 3:]], axis=-1)


def from_xyzyaw(x, y, z, yaw) -> np.ndarray:
    """`T (..., 4, 4)` of a frame at x, y, z [m] turned by yaw [rad] about the vertical axis."""
    x, y, z, yaw = np.broadcast_arrays(*(np.asarray(v, np.float64) for v in (x, y, z, yaw)))
    cos, sin, zero, one = np.cos(yaw), np.sin(yaw), np.zeros_like(yaw), np.ones_like(yaw)
    rotation = np.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], axis=-1).reshape(*yaw.shape, 3, 3)
    return from_rt(rotation, np.stack([x, y, z], axis=-1))


def from_se2(pose: np.ndarray) -> np.ndarray:
    """`T (..., 4, 4)` of an SE(2) pose `(..., 3)` x, y, yaw, at height 0."""
    pose = np.asarray(pose, np.float64)
    return from_xyzyaw(pose[..., 0], pose[..., 1], 0.0, pose[..., 2])


def to_se2(T: np.ndarray) -> np.ndarray:
    """SE(2) pose `(..., 3)` x, y, yaw of `T (..., 4, 4)`: height, roll and pitch are dropped."""
    T = np.asarray(T, np.float64)
    yaw = np.arctan2(T[..., 1, 0], T[..., 0, 0])
    return np.stack([T[..., 0, 3], T[..., 1, 3], yaw], axis=-1)
