"""ForecastRecord: what is kept of one scored window, a few kilobytes of sums and never a voxel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from drivewm.evaluation.functional.calibration import calibration_sums, voxel_calibration
from drivewm.evaluation.functional.moving import moved_voxels
from drivewm.evaluation.functional.occupancy import class_sums, confusion_counts
from drivewm.structures import OCC3D, LabelSet

STEP_S = 0.5
"""Forecasts are scored on this time step [s], the keyframes' (2 Hz)."""
BASELINES = ("copy_last", "ego_warped_copy")
"""Forecasts that need no learning, under these names in every table."""
OWN_PRESENT = "own_present_warped"
"""What the model makes of t0 from other sensors, moved as the `ego_warped_copy` is: a baseline without foresight."""
CEILING = "true_tokens"
"""Not a forecast: the true frames, through the model's tokens. What a forecast in these tokens can hope for."""
REFERENCE = "ego_warped_copy"
"""The baseline that models are compared with, and that tells what moved."""
SURELY_FREE = 0.99
"""Voxels that a forecast calls free with this probability or more are not in the subset `maybe_occupied`."""


@dataclass(frozen=True)
class ForecastRecord:
    """Sums over the voxels of one window.

    Attributes:
        scene: its scene, the unit of the bootstrap.
        sample_token: of its frame t0; None if it has none.
        ego_pose: under whose ego motion the forecasts were made: "given" is the driven one.
        names: the P predictors.
        steps: the T times after t0, "0.5s", "1s", ..., in order.
        sums: subset of the voxels -> `class_sums (P, T, 3, C)` int32.
        calibration: predictor -> subset -> `calibration_sums (T, 3, 1 + bins)`; of predictors with probabilities.
        seconds: what the forecast took; None if not known.
    """

    scene: str
    sample_token: str | None
    ego_pose: str
    names: tuple[str, ...]
    steps: tuple[str, ...]
    sums: dict[str, np.ndarray]
    calibration: dict[str, dict[str, np.ndarray]]
    seconds: float | None


def step_key(time_s: float, step_s: float = STEP_S) -> str:
    """Name of a step: "1s", "1.5s". ValueError for a time [s] that is no multiple of `step_s` above 0."""
    if not (np.isfinite(time_s) and time_s > 0 and abs(time_s / step_s - np.round(time_s / step_s)) < 1e-9):
        raise ValueError(f"a horizon must be a multiple of {step_s} s above 0, got {time_s}")
    return f"{time_s:g}s"


def step_keys(times_s: np.ndarray, step_s: float = STEP_S) -> list[str]:
    """Name of the step of each frame, from the times after t0 `(F,)` [s], in any order.

    Steps of `step_s` are counted from each frame to the next, as the papers count keyframes, so that stamps that drift
    (nuScenes' are not exactly 0.5 s apart) do not lose a frame. ValueError where that is ambiguous, or the stamps leave
    the steps by more than `drift_s`.
    """
    order = np.argsort(times_s)
    gaps = np.diff(times_s[order], prepend=0.0) / step_s
    if not (np.isfinite(times_s).all() and (np.abs(gaps - np.round(gaps)) < 0.5 - 1e-6).all()):
        raise ValueError(f"times_s is {times_s.tolist()}: not on steps of {step_s} s")
    if (np.round(gaps) < 1).any():
        raise ValueError(f"times_s is {times_s.tolist()}: several frames fall on one step of {step_s} s")
    steps = np.empty(len(times_s))
    steps[order] = step_s * np.round(gaps).cumsum()
    if (np.abs(times_s - steps) > drift_s(times_s)).any():
        raise ValueError(f"times_s is {times_s.tolist()}, too far from the steps {steps.tolist()}")
    return [step_key(float(step), step_s) for step in steps]


def drift_s(times_s: np.ndarray) -> np.ndarray:
    """How far stamps may be from their nominal times [s]."""
    return 0.2 + 0.1 * np.abs(times_s)


def record_forecast(
    sample: Mapping[str, Any], labels: LabelSet = OCC3D, horizons_s: Sequence[float] = ()
) -> ForecastRecord:
    """Score one window.

    Args:
        sample: a dict as `OccupancyForecastMetric` describes it; arrays or tensors, on any device.
        labels: the classes.
        horizons_s: times [s] that must be among its frames.

    Raises:
        ValueError: naming the window and the field, if shapes disagree, two frames fall on one step, a horizon is not
            reached, a label is out of range or something is no probability.
    """
    try:
        return _record(sample, labels, horizons_s)
    except ValueError as error:
        raise ValueError(f"window {sample.get('sample_token')} of scene {sample.get('scene')}: {error}") from error


def _record(sample: Mapping[str, Any], labels: LabelSet, horizons_s: Sequence[float]) -> ForecastRecord:
    truth = to_numpy(sample["truth"])
    times = np.asarray(to_numpy(sample["times_s"]), np.float64).reshape(-1)
    if len(times) != len(truth):
        raise ValueError(f"times_s has {len(times)} entries for {len(truth)} frames of truth")
    keys = step_keys(times)
    missing = [step_key(h) for h in horizons_s if step_key(h) not in keys]
    if missing:
        raise ValueError(f"times_s lacks {', '.join(missing)}: it has {', '.join(keys)}")
    order = np.argsort(times)
    forecasts = {name: to_numpy(forecast) for name, forecast in sample["forecasts"].items()}
    for name, forecast in forecasts.items():
        if forecast.shape != truth.shape:
            raise ValueError(f"forecast {name!r} has shape {forecast.shape}, but the truth has {truth.shape}")
    ego_pose = sample.get("ego_pose", "given")
    masks = _masks(sample, truth, forecasts.get(REFERENCE) if ego_pose == "given" else None, labels)

    def sums(forecast: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        parts = [None] * len(truth) if mask is None else mask
        counts = [confusion_counts(forecast[f], truth[f], labels.num_classes, parts[f]) for f in order]
        return class_sums(np.stack(counts)).astype(np.int32)

    return ForecastRecord(
        scene=sample["scene"],
        sample_token=sample.get("sample_token"),
        ego_pose=ego_pose,
        names=tuple(forecasts),
        steps=tuple(keys[f] for f in order),
        sums={s: np.stack([sums(forecast, mask) for forecast in forecasts.values()]) for s, mask in masks.items()},
        calibration={
            name: _calibration(to_tensor(p), sample, order, labels)
            for name, p in (sample.get("probabilities") or {}).items()
        },
        seconds=None if sample.get("seconds") is None else float(sample["seconds"]),
    )


def _masks(
    sample: Mapping[str, Any], truth: np.ndarray, still: np.ndarray | None, labels: LabelSet
) -> dict[str, np.ndarray | None]:
    """Subsets of the voxels that are scored apart: bool `(F, X, Y, Z)`, None for all."""
    masks: dict[str, np.ndarray | None] = {"all": None}
    for name in ("visible", "newly_seen"):
        if sample.get(name) is not None:
            masks[name] = to_numpy(sample[name])
            if masks[name].shape != truth.shape or masks[name].dtype != bool:
                found = f"{masks[name].dtype} of {masks[name].shape}"
                raise ValueError(f"{name} must be bool of shape {truth.shape}, got {found}")
    if still is not None and "newly_seen" in masks:
        masks["moving"] = moved_voxels(truth, still, labels) & ~masks["newly_seen"]
    return masks


def _calibration(
    probabilities: Tensor, sample: Mapping[str, Any], order: np.ndarray, labels: LabelSet
) -> dict[str, np.ndarray]:
    truth = to_tensor(sample["truth"]).to(probabilities.device)
    visible = None if sample.get("visible") is None else to_tensor(sample["visible"]).to(probabilities.device)
    expected = (len(truth), labels.num_classes, *truth.shape[1:])
    if tuple(probabilities.shape) != expected:
        raise ValueError(
            f"probabilities have shape {tuple(probabilities.shape)}, expected (F, C, X, Y, Z) = {expected}"
        )
    sums: dict[str, list[np.ndarray]] = {}
    for f in order.tolist():
        voxels = voxel_calibration(probabilities[f], truth[f])
        masks = {"all": None, "maybe_occupied": probabilities[f, labels.free].reshape(-1) < SURELY_FREE}
        if visible is not None:
            masks["visible"] = visible[f].reshape(-1)
        for subset, mask in masks.items():
            sums.setdefault(subset, []).append(calibration_sums(voxels, mask))
    return {subset: np.stack(frames) for subset, frames in sums.items()}


def to_numpy(value: Any) -> np.ndarray:
    """A tensor (any device) or array as NumPy array."""
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)


def to_tensor(value: Any) -> Tensor:
    """A tensor as it is, an array as one in main memory."""
    return value.detach() if isinstance(value, Tensor) else torch.from_numpy(np.ascontiguousarray(value))
