"""Comfort of a driven path (nuPlan's and NAVSIM's bounds): accelerations, jerks and yaw rates after smoothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import savgol_filter

from drivewm.structures import Rollout


@dataclass(frozen=True)
class ComfortLimits:
    """Bounds in SI units, exclusive (nuPlan, fitted to human driving)."""

    min_longitudinal_acceleration: float = -4.05
    max_longitudinal_acceleration: float = 2.40
    max_lateral_acceleration: float = 4.89
    max_jerk: float = 8.37
    max_longitudinal_jerk: float = 4.13
    max_yaw_rate: float = 0.95
    max_yaw_acceleration: float = 1.93


@dataclass(frozen=True)
class ComfortSignals:
    """Smoothed signals, `(..., T)` float64 each: m/s^2, jerks m/s^3, yaw rate rad/s, yaw acceleration rad/s^2.

    `acceleration` and `jerk` are those of the acceleration's magnitude.
    """

    acceleration: np.ndarray
    longitudinal_acceleration: np.ndarray
    lateral_acceleration: np.ndarray
    longitudinal_jerk: np.ndarray
    jerk: np.ndarray
    yaw_rate: np.ndarray
    yaw_acceleration: np.ndarray


def comfort_signals(
    yaw: np.ndarray, speed: np.ndarray, acceleration: np.ndarray, dt_s: float, yaw_acceleration_order: int = 2
) -> ComfortSignals:
    """Signals that the bounds apply to, Savitzky-Golay smoothed as in NAVSIM: windows of 8 steps (acceleration), 15
    (jerk) and 5 (yaw), second order. Windows shrink to the path's length.

    Args:
        yaw, speed, acceleration: `(..., T)` heading [rad], speed [m/s] and longitudinal acceleration [m/s^2].
        dt_s: time between steps [s]; the windows are meant for 0.1 s.
        yaw_acceleration_order: of the polynomial whose second derivative the yaw acceleration is.

    Raises:
        ValueError: if fewer than 3 steps are given (no second derivative exists) or a value is not finite.
    """
    yaw, speed, acceleration = (np.asarray(a, np.float64) for a in (yaw, speed, acceleration))
    shapes = yaw.shape, speed.shape, acceleration.shape
    if yaw.ndim < 1 or yaw.shape[-1] < 3 or len(set(shapes)) > 1:
        raise ValueError(f"yaw, speed, acceleration must be (..., T) with T >= 3, got {shapes}")
    if not (np.isfinite(yaw).all() and np.isfinite(speed).all() and np.isfinite(acceleration).all()):
        raise ValueError("yaw, speed and acceleration must be finite")
    yaw = np.unwrap(yaw)
    yaw_rate = _smooth(yaw, window=5, derivative=1, dt_s=dt_s)
    longitudinal = _smooth(acceleration, window=8)
    lateral = _smooth(speed * yaw_rate, window=8)
    magnitude = _smooth(np.hypot(acceleration, speed * yaw_rate), window=8)
    return ComfortSignals(
        acceleration=magnitude,
        longitudinal_acceleration=longitudinal,
        lateral_acceleration=lateral,
        longitudinal_jerk=_smooth(longitudinal, window=15, derivative=1, dt_s=dt_s),
        jerk=_smooth(magnitude, window=15, derivative=1, dt_s=dt_s),
        yaw_rate=yaw_rate,
        yaw_acceleration=_smooth(yaw, window=5, derivative=2, dt_s=dt_s, order=yaw_acceleration_order),
    )


def comfortable_steps(signals: ComfortSignals, limits: ComfortLimits = ComfortLimits()) -> np.ndarray:  # noqa: B008
    """Steps `(..., T)` bool at which every signal is inside its bounds."""
    return (
        (signals.longitudinal_acceleration > limits.min_longitudinal_acceleration)
        & (signals.longitudinal_acceleration < limits.max_longitudinal_acceleration)
        & (np.abs(signals.lateral_acceleration) < limits.max_lateral_acceleration)
        & (np.abs(signals.jerk) < limits.max_jerk)
        & (np.abs(signals.longitudinal_jerk) < limits.max_longitudinal_jerk)
        & (np.abs(signals.yaw_rate) < limits.max_yaw_rate)
        & (np.abs(signals.yaw_acceleration) < limits.max_yaw_acceleration)
    )


def comfortable_with_history(rollout: Rollout) -> np.ndarray | None:
    """Steps `(T,)` bool inside the bounds, smoothed with the warm-up before them; None without a warm-up.

    This is NAVSIM v2's HC (Cao et al., 2025), with its third order for the yaw acceleration, but for one thing: NAVSIM
    also judges the history, which somebody else drove.
    """
    if not len(rollout.warm_up):
        return None
    before, now = rollout.warm_up[:, 2:].T, (rollout.poses[:, 2], rollout.speed, rollout.acceleration)
    motion = [np.concatenate(parts) for parts in zip(before, now, strict=True)]
    signals = comfort_signals(*motion, rollout.dt_s, yaw_acceleration_order=3)
    return comfortable_steps(signals)[len(rollout.warm_up) :]


def _smooth(values: np.ndarray, window: int, derivative: int = 0, dt_s: float = 1.0, order: int = 2) -> np.ndarray:
    """Least-squares polynomial through a sliding window (Savitzky and Golay, 1964), or its derivative."""
    window = min(window, values.shape[-1])
    return savgol_filter(values, window_length=window, polyorder=min(order, window - 1), deriv=derivative, delta=dt_s)
