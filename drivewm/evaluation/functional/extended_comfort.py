"""Extended comfort (NAVSIM v2's EC): do plans made 0.5 s apart mean the same motion?"""

from __future__ import annotations

import math

import numpy as np

from drivewm.dynamics.bicycle import PACIFICA, BicycleState, step_bicycle
from drivewm.dynamics.lqr import LQRTracker
from drivewm.evaluation.functional.comfort import comfort_signals
from drivewm.structures import Rollout

PLANS_APART_S = 0.5
LIMITS = {"acceleration": 0.7, "jerk": 0.5, "yaw_rate": 0.1, "yaw_acceleration": 0.1}
"""Largest root mean square of the difference in each signal [m/s^2, m/s^3, rad/s, rad/s^2]."""
_UNROLL_DT_S = 0.1
_MIN_STEER_SPEED = 0.1


def extended_comfort(rollout: Rollout) -> float | None:
    """Share of the pairs of plans made 0.5 s apart that agree, in [0, 1]; None without a pair.

    NAVSIM has one pair a scene and scores it 0 or 1. Compared is what a vehicle would do that follows each plan, over
    the time that both cover: the RMS of the differences of acceleration and jerk (magnitudes), yaw rate and yaw
    acceleration must be within `LIMITS`.
    """
    at, apart = {int(step): k for k, step in enumerate(rollout.plan_step)}, round(PLANS_APART_S / rollout.dt_s)
    pairs = [(k, at[step + apart]) for step, k in at.items() if step + apart in at]
    shift = round(PLANS_APART_S / _UNROLL_DT_S)
    steps = round((rollout.plans.shape[1] - 1) * rollout.plan_dt_s / _UNROLL_DT_S) + 1
    if not pairs or steps - shift < 3:  # fewer have no second derivative
        return None
    used = sorted({k for pair in pairs for k in pair})
    motion = dict(zip(used, (_unroll(rollout, k, steps) for k in used), strict=True))
    earlier = np.stack([motion[k][:, shift:] for k, _ in pairs])
    later = np.stack([motion[k][:, : steps - shift] for _, k in pairs])
    one, other = (comfort_signals(*m.swapaxes(0, 1), _UNROLL_DT_S) for m in (earlier, later))
    agree = np.ones(len(pairs), bool)
    for name, limit in LIMITS.items():
        agree &= np.sqrt(((getattr(one, name) - getattr(other, name)) ** 2).mean(-1)) <= limit
    return float(agree.mean())


def _unroll(rollout: Rollout, k: int, steps: int) -> np.ndarray:
    """Yaw, speed and acceleration `(3, steps)` of a vehicle that follows plan k from where it was made.

    Always nuPlan's vehicle and tracker, as in NAVSIM: a rollout does not tell its wheelbase.
    """
    tracker = LQRTracker(PACIFICA)
    reference = tracker.reference(rollout.plans[k], rollout.plan_dt_s)
    state, states = _state(rollout, int(rollout.plan_step[k])), []
    for step in range(steps):
        states.append((state.yaw, state.speed, state.acceleration))
        state = step_bicycle(state, tracker.control(state, reference, step * _UNROLL_DT_S), _UNROLL_DT_S, PACIFICA)
    return np.array(states).T


def _state(rollout: Rollout, step: int) -> BicycleState:
    """The ego at a step; its steer is what turned it until the next step (straight where it stands)."""
    speed, acceleration = float(rollout.speed[step]), float(rollout.acceleration[step])
    begin = min(step, len(rollout.poses) - 2)
    turned = math.remainder(rollout.poses[begin + 1, 2] - rollout.poses[begin, 2], 2 * math.pi)
    driven = float(rollout.speed[begin]) * rollout.dt_s
    steer = math.atan(turned * PACIFICA.wheelbase_m / driven) if driven > _MIN_STEER_SPEED * rollout.dt_s else 0.0
    limit = PACIFICA.max_steer
    return BicycleState(*rollout.poses[step].tolist(), speed, acceleration, min(max(steer, -limit), limit))
