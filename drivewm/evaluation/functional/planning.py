"""Open-loop planning: displacement from the driven path and collision with the recorded boxes.

A diagnostic, not a driving score: the recorded world does not react. Poses are the rear axle's, in the ego frame at
t0; steps are counted from 0 and lie `dt_s` apart, so 1 s is step 1 at 2 Hz. Two averagings are in use, and two masks:

- at the instant (UniAD): the value at the horizon's own step;
- up to the instant (ST-P3, VAD): the mean over all steps up to the horizon's;
- `Mask.VALID` counts the samples with truth at the steps asked for, `Mask.FULL` (VAD) only samples whose truth is
  complete over *all* steps, `Mask.ZERO` (UniAD) every sample, steps without truth as 0.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

import numpy as np

from drivewm.geometry import se2
from drivewm.geometry.boxes import bev_corners, polygons_overlap
from drivewm.structures.road_map import RoadMap


class Mask(enum.Enum):
    """Which samples count where the recording ends before the horizon."""

    VALID = "valid"
    FULL = "full"
    ZERO = "zero"


class Average(NamedTuple):
    """A mean and how many samples it is over; NaN over 0 samples."""

    value: float
    count: int


def l2_errors(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Distance [m] of each predicted position from the driven one: poses `(..., F, 3)` -> `(..., F)` float64."""
    prediction, truth = np.asarray(prediction, np.float64), np.asarray(truth, np.float64)
    if prediction.shape != truth.shape or prediction.shape[-1:] != (3,):
        raise ValueError(f"poses must be (..., F, 3), got prediction {prediction.shape} and truth {truth.shape}")
    return np.linalg.norm(prediction[..., :2] - truth[..., :2], axis=-1)


def ego_boxes(poses: np.ndarray, size_m: tuple[float, float, float], center_ahead_m: float) -> np.ndarray:
    """Boxes `(..., 7)` of the ego whose rear axle stands at `poses (..., 3)`.

    Args:
        poses: x, y, yaw of the rear axle on the ground [m, rad].
        size_m: length, width, height [m].
        center_ahead_m: distance from the rear axle to the box's centre [m].
    """
    poses = np.asarray(poses, np.float64)
    x = poses[..., 0] + center_ahead_m * np.cos(poses[..., 2])
    y = poses[..., 1] + center_ahead_m * np.sin(poses[..., 2])
    length, width, height = (np.full_like(x, s) for s in size_m)
    return np.stack([x, y, height / 2, length, width, height, poses[..., 2]], axis=-1)


def polygon_collisions(ego: np.ndarray, boxes: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Does the ego's footprint overlap any box's, step by step, with yaw?

    Args:
        ego: `(..., F, 7)` the ego's boxes (`ego_boxes`).
        boxes: `(..., F, M, 7)` recorded boxes at the same steps, in the same frame.
        valid: `(..., F, M)` bool; other boxes are ignored.

    Returns:
        bool `(..., F)`.
    """
    if boxes.shape[:-2] != ego.shape[:-1] or valid.shape != boxes.shape[:-1]:
        raise ValueError(f"expected boxes (..., F, M, 7) for ego {ego.shape}, got {boxes.shape}, valid {valid.shape}")
    overlap = polygons_overlap(bev_corners(ego)[..., None, :, :], bev_corners(boxes))
    return (overlap & valid).any(-1)


def off_road(ego: np.ndarray, pose: np.ndarray, road_map: RoadMap) -> np.ndarray:
    """Is any corner of the ego's footprint off the drivable area?

    Args:
        ego: `(..., 7)` the ego's boxes in the ego frame at t0 (`ego_boxes`).
        pose: `(3,)` of that frame: global x, y [m], yaw [rad].
        road_map: in the global frame; outside of its raster nothing is drivable.

    Returns:
        bool `(...)`.
    """
    corners = bev_corners(ego)
    placed = se2.transform_points(np.asarray(pose, np.float64), corners.reshape(-1, 2)).reshape(corners.shape)
    return ~road_map.is_drivable(placed).all(-1)


def average_at(values: np.ndarray, valid: np.ndarray, step: int, mask: Mask = Mask.VALID) -> Average:
    """Mean over samples of `values (B, F)` at `step` (UniAD's averaging); `valid (B, F)` bool says where truth is."""
    if mask is Mask.ZERO:
        return _mean(np.where(valid, values, 0.0)[:, step])
    return _mean(values[:, step][valid.all(-1) if mask is Mask.FULL else valid[:, step]])


def average_up_to(values: np.ndarray, valid: np.ndarray, step: int, mask: Mask = Mask.FULL) -> Average:
    """Mean over samples and steps 0 .. `step` of `values (B, F)` (ST-P3's and VAD's averaging)."""
    until = slice(0, step + 1)
    if mask is Mask.ZERO:
        return _mean(np.where(valid, values, 0.0)[:, until].mean(-1))
    return _mean(values[:, until].mean(-1)[valid.all(-1) if mask is Mask.FULL else valid[:, until].all(-1)])


def _mean(values: np.ndarray) -> Average:
    return Average(float(values.mean()) if values.size else float("nan"), int(values.size))
