"""Scores of one forecast LiDAR frame, after 4D-Occ (Khurana et al., 2023) and Copilot4D (Zhang et al., 2024).

All clouds are in the LiDAR frame at t0, where the near field is defined: in an ego frame its heights would be off by
the sensor's. `in_lidar_t0` brings them there.
"""

from __future__ import annotations

import numpy as np

from drivewm.evaluation.functional.chamfer import chamfer, chamfer_of
from drivewm.evaluation.functional.nearest import mutual_nearest, nearest
from drivewm.geometry import se3

NEAR_FIELD_M = (-70.0, -70.0, -4.5, 70.0, 70.0, 4.5)
"""The published region of interest, LiDAR frame at t0: x, y, z of the lower corner, then of the upper one [m]."""
SCORES = (
    "cd_in",
    "cd_all",
    "cd_in_plain",
    "cd_all_plain",
    "l1_mean",
    "l1_median",
    "absrel_mean",
    "absrel_median",
    "cd_moving",
    "moving_missed",
    "returns",
    "intensity",
    "silent",
)
"""What `frame_scores` gives, in this order."""
_SHORTEST_M = 0.01


def in_lidar_t0(points: np.ndarray, T_lidar0_ego: np.ndarray) -> np.ndarray:
    """Points `(N, 3 + C)` of a future frame's ego frame as `(N, 3 + C)` float32 in the LiDAR frame at t0 [m].

    `T_lidar0_ego (4, 4)` is `inverse(T_t0_lidar) @ T_t0_ego`: where that ego frame is, seen from the sensor at t0.
    """
    return se3.transform_points(np.asarray(T_lidar0_ego, np.float64), points).astype(np.float32)


def near_field(points: np.ndarray, roi_m: tuple[float, ...] = NEAR_FIELD_M) -> np.ndarray:
    """Which points `(N, 3)` lie in the region of interest, bounds included: bool `(N,)`."""
    return ((points >= np.array(roi_m[:3])) & (points <= np.array(roi_m[3:]))).all(-1)


def frame_scores(
    forecast: np.ndarray,
    truth: np.ndarray,
    origin: np.ndarray,
    moving: tuple[np.ndarray, np.ndarray] | None = None,
    silent: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
    """All scores of one frame, `(len(SCORES),)` float64; NaN where there was nothing to score.

    - `cd_in`, `cd_all`: Chamfer distance [m^2] of the near fields, of the whole clouds; `cd_in_plain`, `cd_all_plain`:
      the same of plain distances [m]. NaN if a cloud (or its crop) is empty, where 4D-Occ's code says 0.
    - `l1_*` [m], `absrel_*` [%]: see `ray_errors`.
    - `cd_moving`: Chamfer distance [m^2] of the near points in moving boxes. NaN where the forecast has none there, so
      read it beside `moving_missed` [m^2]: mean squared distance from the true ones to the whole forecast.
    - `returns` [%]: points of the forecast as a share of the true ones.
    - `intensity`: mean absolute error of the intensity of near points, 0..255, by the rays of `ray_errors`.
    - `silent` [%]: IoU of the cells of a sensor's raster from which nothing comes back, of those that are known.

    Args:
        forecast, truth: `(N, 3)` and `(M, 3)` float32 [m], LiDAR frame at t0; a fourth column is intensity.
        origin: `(3,)` [m] where the sensor is at the time of the frame, LiDAR frame at t0.
        moving: which points of the forecast and of the truth lie in true boxes that move, bool `(N,)` and `(M,)`; None
            if not known.
        silent: cells that the forecast says are silent, that are, and that are not, bool of one shape each. What is
            in neither of the latter is not known. None if the forecast does not say.
    """
    scores = dict.fromkeys(SCORES, np.nan)
    if len(truth):
        scores["returns"] = 100.0 * len(forecast) / len(truth)
    if silent is not None:
        said, is_silent, is_not = silent
        union = ((said & is_not) | is_silent).sum()
        scores["silent"] = 100.0 * (said & is_silent).sum() / union if union else np.nan
    xyz, true_xyz = forecast[:, :3], truth[:, :3]
    near, true_near = near_field(xyz), near_field(true_xyz)
    scores["cd_in"], scores["cd_in_plain"] = chamfer(xyz[near], true_xyz[true_near])
    if len(forecast) and len(truth):
        from_forecast, from_truth = mutual_nearest(xyz, true_xyz)
        scores["cd_all"], scores["cd_all_plain"] = chamfer_of(from_forecast, from_truth)
        scores |= ray_errors(forecast, truth, origin)
        if moving is not None and (true_moving := moving[1] & true_near).any():
            scores["cd_moving"] = chamfer(xyz[moving[0] & near], true_xyz[true_moving]).squared_m2
            scores["moving_missed"] = float(from_truth[true_moving].mean())
    return np.array([scores[name] for name in SCORES])


def ray_errors(
    forecast: np.ndarray, truth: np.ndarray, origin: np.ndarray, roi_m: tuple[float, ...] = NEAR_FIELD_M
) -> dict[str, float]:
    """Errors of depth along the true rays, from the sensor at `origin (3,)` to each true return.

    For each true ray the forecast ray that is angularly nearest answers: its depth is laid along the true ray. Both end
    points are then clamped to the region of interest along the ray. The error is the distance between them, and AbsRel
    that by the true depth, both counted from where the ray enters the region.

    Returns:
        `l1_mean` [m] and `absrel_mean` [%] over all true rays that meet the region, `l1_median` and `absrel_median`
        over those that return inside of it, and of these `intensity`; NaN where there are none or clouds have no
        intensity.

    4D-Occ's code finds the nearest ray by differences of azimuth and of the angle of z against y, which break at the
    turn of the azimuth and beside the sensor; here it is by the angle between directions. That code also divides by the
    number of all rays, those that never meet the region included.
    """
    names = ("l1_mean", "absrel_mean", "l1_median", "absrel_median", "intensity")
    forecast_ray, forecast_depth, forecast_returned = _rays(forecast[:, :3], origin)
    ray, depth, returned = _rays(truth[:, :3], origin)
    if len(ray) == 0 or len(forecast_ray) == 0:
        return dict.fromkeys(names, np.nan)
    _, answer = nearest(ray, forecast_ray)
    enter, leave = clip_to_box(origin, ray, roi_m)
    true_m = np.clip(depth, enter, leave) - enter
    error = np.abs(np.clip(forecast_depth[answer], enter, leave) - enter - true_m)
    meets = (enter < leave) & (true_m > _SHORTEST_M)
    error, relative, inside = error[meets], 100.0 * error[meets] / true_m[meets], near_field(truth[returned][meets, :3])
    values = [_of(np.mean, error), _of(np.mean, relative)]
    values += [_of(np.median, error[inside]), _of(np.median, relative[inside])]
    bright = np.zeros(0)
    if forecast.shape[1] > 3 and truth.shape[1] > 3:
        bright = np.abs(forecast[forecast_returned][answer, 3] - truth[returned][:, 3])[meets][inside]
    values.append(_of(np.mean, bright))
    return dict(zip(names, values, strict=True))


def clip_to_box(origin: np.ndarray, directions: np.ndarray, box_m: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Depths at which rays from `origin (3,)` along `directions (R, 3)` enter and leave a box: `(R,)` each [m].

    A ray that starts inside enters at 0; one that misses the box enters behind where it leaves, or where it leaves.
    """
    directions = np.where(directions == 0.0, 1e-12, directions)  # parallel to a face: it meets it very far away
    ends = (np.stack([box_m[:3], box_m[3:]])[:, None] - origin) / directions
    return np.maximum(ends.min(0).max(-1), 0.0), np.maximum(ends.max(0).min(-1), 0.0)


def _rays(points: np.ndarray, origin: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit directions `(R, 3)`, depths `(R,)` and which points these are: those on the sensor have no direction."""
    offset = points.astype(np.float64) - origin
    depth = np.linalg.norm(offset, axis=-1)
    far = depth > _SHORTEST_M
    return offset[far] / depth[far, None], depth[far], far


def _of(statistic, values: np.ndarray) -> float:
    return float(statistic(values)) if len(values) else np.nan
