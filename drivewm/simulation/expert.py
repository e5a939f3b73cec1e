"""The expert's hands: pure pursuit of the route. Its feet are the ego's row in `Traffic`."""

from __future__ import annotations

import math

import numpy as np

from drivewm.dynamics.bicycle import BicycleState, VehicleParameters

_MAX_RATE = 0.9


def steering_rate(
    ego: BicycleState, route: np.ndarray, along: np.ndarray, progress_m: float, vehicle: VehicleParameters, dt_s: float
) -> float:
    """Steering rate [rad/s] by pure pursuit (Coulter, 1992).

    Args:
        ego: the rear axle's state.
        route: `(P, 2)` [m] global polyline, with arc length `along (P,)`.
        progress_m: arc length at the rear axle.
        vehicle: gives the wheelbase and the lag of the steering.
        dt_s: time in which the steering should get there.
    """
    ahead = min(max(2.6 + 0.32 * ego.speed, 3.4), 7.0)
    x, y = (np.interp(progress_m + ahead, along, route[:, axis]) for axis in range(2))
    dx, dy = x - ego.x, y - ego.y
    distance = max(math.hypot(dx, dy), 1e-3)
    bearing = math.atan2(dy, dx) - ego.yaw
    wish = math.atan(2.0 * vehicle.wheelbase_m * math.sin(bearing) / distance)
    gain = dt_s / (dt_s + vehicle.steer_time_s)
    return float(np.clip((wish - ego.steer) / (dt_s * gain), -_MAX_RATE, _MAX_RATE))
