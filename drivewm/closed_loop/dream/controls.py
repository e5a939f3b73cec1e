"""Who drives while dream and town are compared: no planner, but the expert, and the expert gone wrong."""

from __future__ import annotations

import math
from collections.abc import Callable

from drivewm.dynamics.bicycle import BicycleState, Control, VehicleParameters
from drivewm.simulation import TownSimulator
from drivewm.simulation.simulator import DT_S

_FULL, _HARD = 2.5, -6.0
"""Accelerations [m/s^2]."""
_VEER_RADPS, _LARGEST_RATE = 0.2, 0.9


def expert(simulator: TownSimulator) -> Control:
    """What keeps to the road and the distances."""
    return simulator.expert_control()


def straight_on(simulator: TownSimulator) -> Control:
    """Keeps speed and heading, whatever comes."""
    return Control(0.0, _steer_to(simulator.ego, 0.0, simulator.vehicle))


def full_speed(simulator: TownSimulator) -> Control:
    """Along the route, faster and faster, whoever is in the way."""
    return Control(_FULL, simulator.expert_control().steering_rate)


def hard_braking(simulator: TownSimulator) -> Control:
    """Along the route, to a standstill."""
    return Control(_HARD, simulator.expert_control().steering_rate)


def veer_left(simulator: TownSimulator) -> Control:
    """Off to the left at the same speed, where others come the other way."""
    return _veer(simulator, _VEER_RADPS)


def veer_right(simulator: TownSimulator) -> Control:
    """Off to the right at the same speed, where things are parked and the road ends."""
    return _veer(simulator, -_VEER_RADPS)


CONTROLS: dict[str, Callable[[TownSimulator], Control]] = {
    control.__name__: control for control in (expert, straight_on, full_speed, hard_braking, veer_left, veer_right)
}
"""By name: what to do now, a control for one physics step."""


def _veer(simulator: TownSimulator, yaw_rate: float) -> Control:
    """At a constant yaw rate [rad/s]; slower than 3 m/s the curve is that of 3 m/s."""
    ego, vehicle = simulator.ego, simulator.vehicle
    return Control(0.0, _steer_to(ego, math.atan(vehicle.wheelbase_m * yaw_rate / max(ego.speed, 3.0)), vehicle))


def _steer_to(ego: BicycleState, steer: float, vehicle: VehicleParameters) -> float:
    """The steering rate [rad/s] that turns the tyres to an angle [rad] in one step, as far as it goes."""
    gain = DT_S / (DT_S + vehicle.steer_time_s)
    return min(max((steer - ego.steer) / (DT_S * gain), -_LARGEST_RATE), _LARGEST_RATE)
