"""LidarRecord: what is kept of one scored window, a few numbers a frame and never a point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from drivewm.evaluation.forecast.record import STEP_S, step_key, step_keys, to_numpy
from drivewm.evaluation.functional.lidar_forecast import (
    frame_scores,
    in_lidar_t0,
)
from drivewm.geometry import se3
from drivewm.geometry.boxes import points_in_boxes


@dataclass(frozen=True)
class LidarRecord:
    """Scores of one window.

    Attributes:
        scene: its scene, the unit of the bootstrap.
        sample_token: of its frame t0; None if it has none.
        names: the P predictors.
        steps: the T times after t0, "0.5s", "1s", ..., in order.
        scores: `(P, T, S)` float64, `frame_scores` of each frame; NaN where there was nothing to score.
        seconds: what the forecast took; None if not known.
    """

    scene: str
    sample_token: str | None
    names: tuple[str, ...]
    steps: tuple[str, ...]
    scores: np.ndarray
    seconds: float | None


def record_lidar_forecast(
    sample: Mapping[str, Any],
    horizons_s: Sequence[float] = (),
    step_s: float = STEP_S,
) -> LidarRecord:
    """Score one window.

    Args:
        sample: a dict as `LidarForecastMetric` describes it; arrays or tensors, on any device.
        horizons_s: times [s] that must be among its frames.
        step_s: time between frames [s].

    Raises:
        ValueError: naming the window and the field, if shapes disagree, two frames fall on one step, a horizon is not
            reached or a coordinate is not finite.
    """
    try:
        return _record(sample, horizons_s, step_s)
    except ValueError as error:
        raise ValueError(f"window {sample.get('sample_token')} of scene {sample.get('scene')}: {error}") from error


def _record(sample: Mapping[str, Any], horizons_s: Sequence[float], step_s: float) -> LidarRecord:
    truth, clouds = sample["truth"], sample["clouds"]
    times = np.asarray(to_numpy(sample["times_s"]), np.float64).reshape(-1)
    if len(times) != len(truth):
        raise ValueError(f"times_s has {len(times)} entries for {len(truth)} frames of truth")
    for name, frames in clouds.items():
        if len(frames) != len(truth):
            raise ValueError(f"forecast {name!r} has {len(frames)} frames, but the truth has {len(truth)}")
    keys = step_keys(times, step_s)
    missing = [step_key(h, step_s) for h in horizons_s if step_key(h, step_s) not in keys]
    if missing:
        raise ValueError(f"times_s lacks {', '.join(missing)}: it has {', '.join(keys)}")
    order = np.argsort(times)
    frames = [_frame(sample, f) for f in order.tolist()]
    return LidarRecord(
        scene=sample["scene"],
        sample_token=sample.get("sample_token"),
        names=tuple(clouds),
        steps=tuple(keys[f] for f in order),
        scores=np.stack(frames, axis=1),
        seconds=None if sample.get("seconds") is None else float(sample["seconds"]),
    )


def _frame(sample: Mapping[str, Any], f: int) -> np.ndarray:
    """Scores of all predictors at one frame: `(P, S)`."""
    T_ego_lidar = _transform(sample, "T_ego_lidar", f)
    T_lidar0_ego = se3.inverse(_transform(sample, "T_t0_lidar")) @ _transform(sample, "T_t0_ego", f)
    boxes = None
    if sample.get("boxes") is not None:
        boxes = to_numpy(sample["boxes"])[f][to_numpy(sample["boxes_moving"])[f]]

    def prepared(cloud: Any, name: str) -> tuple[np.ndarray, np.ndarray | None]:
        """A cloud in the LiDAR frame at t0, and which of its points are in moving boxes."""
        points = to_numpy(cloud)
        if points.ndim != 2 or points.shape[1] < 3:
            raise ValueError(f"{name} of frame {f} must have shape (N, 3), got {points.shape}")
        if not np.isfinite(points[:, :3]).all():
            raise ValueError(f"{name} of frame {f} must be finite, but there is NaN or infinity among the points")
        moving = None if boxes is None else points_in_boxes(points, boxes).any(-1)
        return in_lidar_t0(points, T_lidar0_ego), moving

    true_points, true_moving = prepared(sample["truth"][f], "truth")
    origin = (T_lidar0_ego @ T_ego_lidar)[:3, 3]
    scores = []
    for name, frames in sample["clouds"].items():
        points, moving = prepared(frames[f], f"forecast {name!r}")
        in_boxes = None if boxes is None else (moving, true_moving)
        scores.append(frame_scores(points, true_points, origin, in_boxes, _silent(sample, name, f)))
    return np.stack(scores)


def _silent(sample: Mapping[str, Any], name: str, f: int) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """What `frame_scores` takes, of one predictor at one frame."""
    said = sample.get("silent", {}).get(name)
    if said is None:
        return None
    cells = tuple(to_numpy(part)[f].astype(bool) for part in (said, sample["silent_truth"], sample["returned_truth"]))
    if len({part.shape for part in cells}) > 1:
        shapes = ", ".join(str(part.shape) for part in cells)
        raise ValueError(f"silent cells of {name!r}, silent_truth and returned_truth must agree in shape, got {shapes}")
    return cells


def _transform(sample: Mapping[str, Any], name: str, f: int | None = None) -> np.ndarray:
    """A rigid transform `(4, 4)` float64 of the sample, of frame f where there is one a frame."""
    value = np.asarray(to_numpy(sample[name]), np.float64)
    expected = (4, 4) if f is None else (len(sample["truth"]), 4, 4)
    if value.shape != expected or not np.isfinite(value).all():
        raise ValueError(f"{name} must be finite of shape {expected}, got shape {value.shape}")
    return value if f is None else value[f]
