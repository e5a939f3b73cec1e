"""SE(2) algebra on poses `(x, y, yaw)` in metres and radians.

Poses are the last axis of an array or tensor `(..., 3)`; every function takes NumPy arrays or torch tensors and
returns the same kind. A pose `T_a_b` is where frame b sits in frame a, so that adjacent names cancel:
`compose(T_a_b, T_b_c)` is `T_a_c`.
"""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np
import torch


def _namespace(array) -> ModuleType:
    return torch if isinstance(array, torch.Tensor) else np


def _stack(parts, like):
    return torch.stack(parts, dim=-1) if isinstance(like, torch.Tensor) else np.stack(parts, axis=-1)


def wrap_angle(angle):
    """Angle (any shape) [rad] brought into [-pi, pi)."""
    return (angle + math.pi) % (2 * math.pi) - math.pi


def transform_points(T_a_b, points_b):
    """Points `(..., N, 2)` in frame b -> the same points in frame a, for poses `T_a_b (..., 3)`."""
    xp = _namespace(T_a_b)
    cos, sin = xp.cos(T_a_b[..., None, 2]), xp.sin(T_a_b[..., None, 2])
    x, y = points_b[..., 0], points_b[..., 1]
    return _stack([T_a_b[..., None, 0] + cos * x - sin * y, T_a_b[..., None, 1] + sin * x + cos * y], T_a_b)


def from_matrix(T_a_b):
    """Pose `(..., 3)` of a matrix `T_a_b (..., 4, 4)`: height, roll and pitch are dropped."""
    yaw = _namespace(T_a_b).arctan2(T_a_b[..., 1, 0], T_a_b[..., 0, 0])
    return _stack([T_a_b[..., 0, 3], T_a_b[..., 1, 3], yaw], T_a_b)


def to_matrix(T_a_b):
    """Matrix `T_a_b (..., 4, 4)` of a pose `(..., 3)`, at height 0."""
    xp = _namespace(T_a_b)
    cos, sin = xp.cos(T_a_b[..., 2]), xp.sin(T_a_b[..., 2])
    zero, one = xp.zeros_like(cos), xp.ones_like(cos)
    entries = [cos, -sin, zero, T_a_b[..., 0], sin, cos, zero, T_a_b[..., 1], *[zero] * 2, one, zero, *[zero] * 3, one]
    return _stack(entries, T_a_b).reshape(*T_a_b.shape[:-1], 4, 4)


def compose(T_a_b, T_b_c):
    """`T_a_c (..., 3)` from `T_a_b (..., 3)` and `T_b_c (..., 3)`; the yaw is wrapped."""
    xy = transform_points(T_a_b, T_b_c[..., None, :2])[..., 0, :]
    return _stack([xy[..., 0], xy[..., 1], wrap_angle(T_a_b[..., 2] + T_b_c[..., 2])], T_a_b)


def inverse(T_a_b):
    """`T_b_a (..., 3)`: where frame a sits in frame b."""
    xp = _namespace(T_a_b)
    cos, sin = xp.cos(T_a_b[..., 2]), xp.sin(T_a_b[..., 2])
    x, y = T_a_b[..., 0], T_a_b[..., 1]
    return _stack([-cos * x - sin * y, sin * x - cos * y, wrap_angle(-T_a_b[..., 2])], T_a_b)


def relative(T_w_a, T_w_b):
    """`T_a_b (..., 3)`: pose b seen from a, both given in the same frame w."""
    return compose(inverse(T_w_a), T_w_b)
