"""Nine manoeuvres: commands that a vehicle can drive, and which of them a trajectory is.

The classes are those of ACT-Bench (Arai et al., 2024), and low speed ends at 20 km/h as there. ACT-Bench has no rule
for them but a network that was trained on labelled videos; here a trajectory is told by its turn and by a straight line
through its speeds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.geometry import se2

STEP_S, STEPS = 0.5, 6
"""Commands have a pose each 0.5 s, for 3 s."""

STANDS_MPS = 0.4
"""Who is slower on average has stopped."""
CURVES_RAD = 0.2
"""Who turns by more in all curves, whatever the speed does."""
STANDSTILL_MPS = 1.0
"""Who begins below this and accelerates starts; who ends below it and decelerates stops."""
CHANGES_MPSS = 0.5
"""Who accelerates or decelerates by less keeps its speed."""
HIGH_MPS = 20 / 3.6
"""Where high speed begins."""


@dataclass(frozen=True)
class Manoeuvre:
    """How the command of a class is driven.

    Attributes:
        speed_mps: lowest and highest speed that it begins at.
        acceleration_mpss: along the path, constant.
        turn: 1 to the left, -1 to the right, 0 straight on.
        to_standstill: decelerates so that it stands at the end instead.
    """

    speed_mps: tuple[float, float]
    acceleration_mpss: float = 0.0
    turn: int = 0
    to_standstill: bool = False


MANOEUVRES = {
    "curving_to_left": Manoeuvre((3.0, 8.0), turn=1),
    "curving_to_right": Manoeuvre((3.0, 8.0), turn=-1),
    "straight_constant_high_speed": Manoeuvre((7.0, 10.0)),
    "straight_constant_low_speed": Manoeuvre((2.0, 4.5)),
    "straight_accelerating": Manoeuvre((2.0, 7.0), 1.5),
    "straight_decelerating": Manoeuvre((6.0, 12.0), -1.5),
    "starting": Manoeuvre((0.0, 0.0), 1.5),
    "stopping": Manoeuvre((4.0, 9.0), to_standstill=True),
    "stopped": Manoeuvre((0.0, 0.0)),
}
"""By name, in ACT-Bench's order."""

_CURVATURE, _LATERAL_MPSS = 0.12, 1.6
"""Curves are this tight [1/m], but no tighter than their lateral acceleration allows."""


def start_speed(name: str, speed_mps: float) -> float:
    """The speed at which a command begins for a vehicle at `speed_mps`: the nearest that the manoeuvre allows."""
    low, high = _manoeuvre(name).speed_mps
    return float(np.clip(speed_mps, low, high))


def command(name: str, speed_mps: float, steps: int = STEPS, dt_s: float = STEP_S) -> np.ndarray:
    """The motion of a manoeuvre, driven by a kinematic vehicle without slip on a straight line or an arc.

    Accelerations are at most 3 m/s^2 along and 1.6 m/s^2 across, the curvature at most 0.12 / m.

    Args:
        name: one of `MANOEUVRES`.
        speed_mps: of the vehicle now; the command begins at `start_speed`, which may be another.
        steps, dt_s: how many poses, and how far apart.

    Returns:
        `(steps, 3)` x, y [m], yaw [rad] of the rear axle in the ego frame at t0; pose i is `(i + 1) * dt_s` after t0.
    """
    manoeuvre, speed = _manoeuvre(name), start_speed(name, speed_mps)
    time_s = dt_s * np.arange(1, steps + 1)
    acceleration = -speed / (steps * dt_s) if manoeuvre.to_standstill else manoeuvre.acceleration_mpss
    path = speed * time_s + acceleration * time_s**2 / 2
    curvature = manoeuvre.turn * min(_CURVATURE, _LATERAL_MPSS / max(speed, 1e-9) ** 2)
    yaw = curvature * path
    # sin(yaw) / yaw and its like, which a straight line has too.
    x, y = path * np.sinc(yaw / np.pi), path * np.sin(yaw / 2) * np.sinc(yaw / 2 / np.pi)
    return np.stack([x, y, yaw], axis=-1)


def speeds(poses: np.ndarray, dt_s: float = STEP_S) -> np.ndarray:
    """Mean speed `(F,)` [m/s] of each step of poses `(F, 3)` that begin at the origin; backwards is negative."""
    poses = np.vstack([np.zeros(3), poses])
    step = np.diff(poses[:, :2], axis=0)
    heading = poses[:-1, 2] + se2.wrap_angle(np.diff(poses[:, 2])) / 2
    return (step[:, 0] * np.cos(heading) + step[:, 1] * np.sin(heading)) / dt_s


def classify(poses: np.ndarray, dt_s: float = STEP_S) -> str | None:
    """Which manoeuvre a trajectory is.

    In this order: it stands (`STANDS_MPS`), curves (`CURVES_RAD`), starts or stops (`STANDSTILL_MPS`), accelerates or
    decelerates (`CHANGES_MPSS`), goes on fast or slowly (`HIGH_MPS`). Speed at both ends and acceleration are read off
    a straight line through the speeds of the steps, by least squares.

    Args:
        poses: `(F, 3)` in the ego frame at t0, F >= 2; pose i is `(i + 1) * dt_s` after t0.
        dt_s: time between poses.

    Returns:
        the name, or None where a pose is NaN: it could not be measured.
    """
    if poses.ndim != 2 or poses.shape[1] != 3 or len(poses) < 2:
        raise ValueError(f"poses must have shape (F, 3) with F >= 2, got {poses.shape}")
    if not np.isfinite(poses).all():
        return None
    speed = speeds(poses, dt_s)
    time_s = dt_s * (np.arange(len(speed)) + 0.5)
    acceleration, begin = np.polyfit(time_s, speed, 1)
    end = begin + acceleration * dt_s * len(speed)
    if np.abs(speed).mean() < STANDS_MPS:
        return "stopped"
    if abs(turn := se2.wrap_angle(poses[-1, 2])) > CURVES_RAD:
        return "curving_to_left" if turn > 0 else "curving_to_right"
    if acceleration >= CHANGES_MPSS:
        return "starting" if begin < STANDSTILL_MPS else "straight_accelerating"
    if acceleration <= -CHANGES_MPSS:
        return "stopping" if end < STANDSTILL_MPS else "straight_decelerating"
    return f"straight_constant_{'high' if speed.mean() >= HIGH_MPS else 'low'}_speed"


def _manoeuvre(name: str) -> Manoeuvre:
    if name not in MANOEUVRES:
        raise ValueError(f"no manoeuvre is called {name!r}; there are {', '.join(MANOEUVRES)}")
    return MANOEUVRES[name]
