"""The Intelligent Driver Model: how hard to accelerate behind a leader (Treiber, Hennecke and Helbing, 2000)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class IDMParameters:
    """The model's parameters; the defaults are those of nuPlan's reactive traffic.

    nuPlan also clamps the braking at the comfortable 2 m/s^2, which makes its agents rear-end an ego that brakes
    hard. Here the clamp is a parameter of its own; set it to 2 to reproduce nuPlan.

    Attributes:
        desired_speed: speed on a free road [m/s].
        min_gap: gap at standstill [m].
        headway: time gap to the leader [s].
        acceleration: largest acceleration [m/s^2].
        deceleration: comfortable braking, positive [m/s^2].
        exponent: how abruptly the acceleration ends near the desired speed.
        max_braking: hardest braking, positive [m/s^2].
    """

    desired_speed: float = 10.0
    min_gap: float = 1.0
    headway: float = 1.5
    acceleration: float = 1.0
    deceleration: float = 2.0
    exponent: float = 4.0
    max_braking: float = 6.0

    def __post_init__(self) -> None:
        for name in ("desired_speed", "acceleration", "deceleration", "exponent", "max_braking"):
            if not getattr(self, name) > 0:
                raise ValueError(f"IDMParameters.{name} is {getattr(self, name)}, expected a positive number")
        for name in ("min_gap", "headway"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"IDMParameters.{name} is {getattr(self, name)}, expected a number >= 0")


NUPLAN_IDM = IDMParameters(max_braking=2.0)
"""nuPlan's agents, braking clamped at 2 m/s^2."""


def idm_acceleration(speed, gap, lead_speed, parameters: IDMParameters = IDMParameters(), desired_speed=None):  # noqa: B008
    """Acceleration [m/s^2] behind a leader; all arguments broadcast, floats or arrays of any shape.

    Args:
        speed: own speed [m/s], >= 0.
        gap: from the own front bumper to the leader's rear [m]; inf where the road is free.
        lead_speed: the leader's speed along the own heading [m/s].
        parameters: of the model.
        desired_speed: overrides `parameters.desired_speed`, e.g. one per vehicle [m/s].

    Returns:
        `a [1 - (v / v0)^delta - (s* / s)^2]`, not below `-max_braking`, with the desired gap
        `s* = s0 + max(0, v T + v (v - v_lead) / (2 sqrt(a b)))`.
    """
    p = parameters
    target = np.maximum(p.desired_speed if desired_speed is None else desired_speed, 1e-3)
    gap = np.maximum(gap, 1e-2)
    approach = speed * (speed - lead_speed) / (2.0 * np.sqrt(p.acceleration * p.deceleration))
    # Without a leader (gap inf) its speed must not matter, even where it is not a number.
    desired_gap = np.where(np.isinf(gap), 0.0, p.min_gap + np.maximum(0.0, speed * p.headway + approach))
    free = 1.0 - (speed / target) ** p.exponent
    return np.maximum(p.acceleration * (free - (desired_gap / gap) ** 2), -p.max_braking)
