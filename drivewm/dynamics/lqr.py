"""The LQR tracker: turns a planned trajectory into accelerations and steering rates.

Decoupled as in nuPlan (Karnchanachari et al., 2024): a one-step LQR on the speed reached at the end of the
tracking horizon, then a one-step LQR on (lateral error, heading error, steer), linearized about zero error
along the reference's curvature. The speed and curvature of the reference are least-squares fits to its poses,
with a penalty on jerk and on curvature rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from drivewm.dynamics.bicycle import PACIFICA, BicycleState, Control, VehicleParameters
from drivewm.geometry.se2 import wrap_angle

_CURVATURE_PENALTY = 1e-10  # keeps the fit solvable where the reference stands still


@dataclass(frozen=True)
class LQRParameters:
    """Weights and horizon; the defaults are nuPlan's. `horizon` counts steps of `dt_s`."""

    q_longitudinal: float = 10.0
    r_longitudinal: float = 1.0
    q_lateral: tuple[float, float, float] = (1.0, 10.0, 0.0)  # lateral error, heading error, steer
    r_lateral: float = 1.0
    dt_s: float = 0.1
    horizon: int = 10
    jerk_penalty: float = 1e-4
    curvature_rate_penalty: float = 1e-2
    stop_gain: float = 0.5
    stop_speed: float = 0.2


@dataclass(frozen=True)
class Reference:
    """A trajectory sampled every `dt_s`, ready to be tracked. Time 0 is the moment of planning.

    poses: (N+1, 3) float64, x, y, unwrapped yaw in the global frame; speed: (N,) m/s; curvature: (N,) 1/m.
    """

    poses: np.ndarray
    speed: np.ndarray
    curvature: np.ndarray
    dt_s: float

    @classmethod
    def from_poses(cls, poses: np.ndarray, dt_s: float, parameters: LQRParameters | None = None) -> Reference:
        """From global `poses` (F+1, 3), `dt_s` apart; the first is where the vehicle was when it planned."""
        parameters = parameters or LQRParameters()
        poses = np.asarray(poses, dtype=np.float64)
        if poses.ndim != 2 or poses.shape[1] != 3 or len(poses) < 2:
            raise ValueError(f"poses have shape {poses.shape}, expected (at least 2, 3)")
        if not np.isfinite(poses).all():
            raise ValueError("poses hold NaN or infinity, expected finite x, y, yaw")
        given_s = dt_s * np.arange(len(poses))
        times_s = parameters.dt_s * np.arange(int(round(given_s[-1] / parameters.dt_s)) + 1)
        unwrapped = np.column_stack([poses[:, :2], np.unwrap(poses[:, 2])])
        sampled = np.column_stack([np.interp(times_s, given_s, column) for column in unwrapped.T])
        speed = fit_speed(sampled, parameters.dt_s, parameters.jerk_penalty)
        curvature = fit_curvature(sampled[:, 2], speed, parameters.dt_s, parameters.curvature_rate_penalty)
        return cls(sampled, speed, curvature, parameters.dt_s)

    def pose_at(self, time_s: float) -> np.ndarray:
        """(3,) the reference pose, held at its ends."""
        return _interpolate(self.poses, time_s / self.dt_s)

    def speed_at(self, time_s: float) -> float:
        return float(_interpolate(self.speed, time_s / self.dt_s))

    def curvature_at(self, time_s: np.ndarray) -> np.ndarray:
        return np.interp(time_s / self.dt_s, np.arange(len(self.curvature)), self.curvature)


def fit_speed(poses: np.ndarray, dt_s: float, jerk_penalty: float) -> np.ndarray:
    """(N,) speeds along `poses` (N+1, 3): least squares on displacements with a penalty on squared jerk.

    Unknowns are the first speed and N-1 accelerations; step i moves by speed_i * dt along its yaw.
    """
    displacement = np.diff(poses[:, :2], axis=0).reshape(-1)
    direction = np.stack([np.cos(poses[:-1, 2]), np.sin(poses[:-1, 2])], axis=1)
    integrate = _integrator(len(direction), dt_s)
    design = (dt_s * direction[:, :, None] * integrate[:, None, :]).reshape(len(displacement), -1)
    jerk = np.diff(np.eye(len(direction)), axis=0)[1:] / dt_s
    unknowns = _solve(design.T @ design + jerk_penalty * jerk.T @ jerk, design.T @ displacement)
    return integrate @ unknowns


def fit_curvature(yaw: np.ndarray, speed: np.ndarray, dt_s: float, rate_penalty: float) -> np.ndarray:
    """(N,) curvatures along unwrapped `yaw` (N+1,): least squares on yaw steps, penalty on curvature rate."""
    integrate = _integrator(len(speed), dt_s)
    design = dt_s * speed[:, None] * integrate
    penalty = np.full(len(speed), rate_penalty)
    penalty[0] = _CURVATURE_PENALTY
    return integrate @ _solve(design.T @ design + np.diag(penalty), design.T @ np.diff(yaw))


@dataclass(frozen=True)
class LQRTracker:
    """Follows a `Reference`: `control` once every physics step."""

    vehicle: VehicleParameters = PACIFICA
    parameters: LQRParameters = field(default_factory=LQRParameters)

    def reference(self, poses: np.ndarray, dt_s: float) -> Reference:
        """`Reference.from_poses` with this tracker's parameters."""
        return Reference.from_poses(poses, dt_s, self.parameters)

    def control(self, state: BicycleState, reference: Reference, time_s: float) -> Control:
        """The command for `state` at `time_s` after the moment of planning."""
        p = self.parameters
        goal_speed = reference.speed_at(time_s + p.horizon * p.dt_s)
        if state.speed <= p.stop_speed and goal_speed <= p.stop_speed:
            return Control(acceleration=-p.stop_gain * (state.speed - goal_speed), steering_rate=0.0)
        acceleration = self._acceleration(state.speed, goal_speed)
        return Control(acceleration, self._steering_rate(state, reference, time_s, acceleration))

    def _acceleration(self, speed: float, goal_speed: float) -> float:
        """argmin of q (speed + a * horizon - goal)^2 + r a^2."""
        p = self.parameters
        gain = p.q_longitudinal * p.horizon * p.dt_s
        return gain * (goal_speed - speed) / (gain * p.horizon * p.dt_s + p.r_longitudinal)

    def _steering_rate(self, state: BicycleState, reference: Reference, time_s: float, acceleration: float) -> float:
        """The constant steering rate that minimizes the weighted error at the end of the horizon."""
        p = self.parameters
        steps = np.arange(p.horizon)
        speeds = state.speed + acceleration * p.dt_s * steps
        curvatures = reference.curvature_at(time_s + p.dt_s * steps)

        # Errors, and what a steering rate of 1 adds to them; plain floats, since matrix products take twice as long.
        wheelbase_m = self.vehicle.wheelbase_m
        lateral, heading, steer = self._initial_error(state, reference.pose_at(time_s))
        d_lateral = d_heading = d_steer = 0.0
        for speed, curvature in zip(speeds.tolist(), curvatures.tolist(), strict=True):
            # lateral' = v * heading; heading' = v * (steer / wheelbase - curvature); steer' = rate
            moved = speed * p.dt_s
            lateral, heading = lateral + moved * heading, heading + moved * (steer / wheelbase_m - curvature)
            d_lateral, d_heading = d_lateral + moved * d_heading, d_heading + moved * d_steer / wheelbase_m
            d_steer += p.dt_s
        q_lateral, q_heading, q_steer = p.q_lateral
        pull = q_lateral * d_lateral * lateral + q_heading * d_heading * wrap_angle(heading) + q_steer * d_steer * steer
        return -pull / (q_lateral * d_lateral**2 + q_heading * d_heading**2 + q_steer * d_steer**2 + p.r_lateral)

    @staticmethod
    def _initial_error(state: BicycleState, pose: np.ndarray) -> tuple[float, float, float]:
        x, y, yaw = pose.tolist()
        lateral = -(state.x - x) * math.sin(yaw) + (state.y - y) * math.cos(yaw)
        return lateral, wrap_angle(state.yaw - yaw), state.steer


def _integrator(count: int, dt_s: float) -> np.ndarray:
    """(count, count): maps (first value, rates...) to the values over time."""
    matrix = np.tril(np.full((count, count), dt_s))
    matrix[:, 0] = 1.0
    return matrix


def _solve(normal: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Least squares keeps the answer defined where a short reference leaves the system rank-deficient."""
    return np.linalg.lstsq(normal, right, rcond=None)[0]


def _interpolate(values: np.ndarray, index: float) -> np.ndarray:
    index = min(max(index, 0.0), len(values) - 1.0)
    low = min(int(index), len(values) - 2) if len(values) > 1 else 0
    high = min(low + 1, len(values) - 1)
    return values[low] + (index - low) * (values[high] - values[low])
