"""The kinematic bicycle: what a vehicle does with an acceleration and a steering rate.

The model, its limits and its time constants are nuPlan's (Karnchanachari et al., "Towards learning-based
planning: the nuPlan benchmark", 2024): a rear-axle bicycle with a first-order lag on both commands,
integrated with explicit Euler.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class VehicleParameters:
    """Size and limits of a vehicle; the defaults are nuPlan's Chrysler Pacifica. Metres, seconds, radians."""

    length_m: float = 5.176
    width_m: float = 2.297
    wheelbase_m: float = 3.089
    rear_axle_to_center_m: float = 1.461
    max_steer: float = math.pi / 3
    acceleration_time_s: float = 0.2
    steer_time_s: float = 0.05

    def __post_init__(self):
        for name in ("length_m", "width_m", "wheelbase_m", "max_steer"):
            value = getattr(self, name)
            if not value > 0:
                raise ValueError(f"VehicleParameters.{name} is {value}, expected a positive number")
        for name in ("acceleration_time_s", "steer_time_s"):
            value = getattr(self, name)
            if not value >= 0:
                raise ValueError(f"VehicleParameters.{name} is {value}, expected a number >= 0")


PACIFICA = VehicleParameters()
"""The ego of nuPlan, NAVSIM and the town."""

RENAULT_ZOE = VehicleParameters(length_m=4.084, width_m=1.85, wheelbase_m=2.588, rear_axle_to_center_m=1.40)
"""The ego of nuScenes."""


@dataclass(frozen=True)
class BicycleState:
    """The rear axle in the global frame: x, y [m], yaw [rad], speed [m/s], acceleration [m/s^2], steer [rad].

    `steer` is the angle of the front tyre, positive to the left.
    """

    x: float
    y: float
    yaw: float
    speed: float = 0.0
    acceleration: float = 0.0
    steer: float = 0.0

    @property
    def pose(self) -> np.ndarray:
        """(3,) float64: x, y, yaw."""
        return np.array([self.x, self.y, self.yaw])

    def yaw_rate(self, vehicle: VehicleParameters = PACIFICA) -> float:
        """Yaw rate [rad/s] of the bicycle at this speed and steer."""
        return self.speed * math.tan(self.steer) / vehicle.wheelbase_m


@dataclass(frozen=True)
class Control:
    """Commands of a physics step: acceleration [m/s^2] along the vehicle, steering rate [rad/s] of the tyre."""

    acceleration: float
    steering_rate: float


def step_bicycle(
    state: BicycleState,
    control: Control,
    dt_s: float,
    vehicle: VehicleParameters = PACIFICA,
    allow_reverse: bool = False,
) -> BicycleState:
    """The state `dt_s` later.

    Position and yaw advance with the speed and steer that the step began with; the commands pass a
    first-order lag. nuPlan lets a braking vehicle roll backwards; here it stops, unless `allow_reverse`.
    Raises ValueError on a command that is not finite: a NaN must not spread silently over an episode.
    """
    if not (math.isfinite(control.acceleration) and math.isfinite(control.steering_rate)):
        raise ValueError(f"control is {control}, expected finite acceleration and steering_rate")
    if not dt_s > 0:
        raise ValueError(f"dt_s is {dt_s}, expected a positive number of seconds")

    acceleration_gain = dt_s / (dt_s + vehicle.acceleration_time_s)
    steer_gain = dt_s / (dt_s + vehicle.steer_time_s)
    acceleration = state.acceleration + acceleration_gain * (control.acceleration - state.acceleration)
    steer = state.steer + steer_gain * control.steering_rate * dt_s
    speed = state.speed + acceleration * dt_s
    if speed < 0 and not allow_reverse:
        speed, acceleration = 0.0, 0.0

    yaw = state.yaw + state.yaw_rate(vehicle) * dt_s
    return replace(
        state,
        x=state.x + state.speed * math.cos(state.yaw) * dt_s,
        y=state.y + state.speed * math.sin(state.yaw) * dt_s,
        yaw=math.remainder(yaw, 2 * math.pi),
        speed=speed,
        acceleration=acceleration,
        steer=min(max(steer, -vehicle.max_steer), vehicle.max_steer),
    )
