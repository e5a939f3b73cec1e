"""The ego's CAN bus, in the messages of nuScenes' CAN bus expansion.

Units and signs are those of its documentation: angles of the steering wheel and rates of turning are positive to the
left. Accelerations are what a sensor feels, so that gravity is in their z. There is no noise, and no battery or sun is
modelled: those values are constant. The sensors of pedals and wheels, 100 Hz to 970 Hz in nuScenes, come at 20 Hz.
`lights` is our own: the stop lines [[x, y], ...] [m, global] that lights close to the ego, whenever that changes.
"""

from __future__ import annotations

import numpy as np

from drivewm.dynamics.bicycle import VehicleParameters
from drivewm.simulation import TownSimulator

POSE_HZ, IMU_HZ, STEERING_HZ, MONITOR_HZ, SENSORS_HZ = 50, 100, 100, 2, 20

STEERING_RATIO = 16.2
"""Turns of the steering wheel for one of the tyre."""
GRAVITY = 9.81

_WHEEL_RADIUS_M, _TRACK_M = 0.36, 1.73
_MASS_KG, _GEAR_RATIO = 2000.0, 9.3
_INDICATE_M = 30.0
# What the pedals do [m/s^2]: the acceleration of a full throttle, the braking at 126 bar, what rolling alone costs.
_FULL_THROTTLE, _FULL_BRAKE, _ROLLING = 3.0, 9.0, 0.15
_STANDING_SPEED = 0.05
_LARGEST_BRAKE, _LARGEST_PEDAL = 126, 1000
_WHEEL_RANGE_DEG = (-780.0, 779.9)
# Ranges of the raw sensors in nuScenes.
_BRAKE_RANGE, _STEERING_RANGE, _THROTTLE_RANGE = (0.166, 0.631), (0.176, 0.252), (0.105, 0.411)


class CanBus:
    """Listens to a simulator while it drives.

    Args:
        simulator: in the episode to listen to.
        offset_us: added to the simulator's clock [microseconds].
    """

    def __init__(self, simulator: TownSimulator, offset_us: int = 0) -> None:
        self._simulator, self._offset_us = simulator, offset_us
        self._rows: list[tuple[float, ...]] = []
        self._lights: list[dict] = []
        lanes, route = simulator.town.lanes, list(simulator.scenario.route)
        begin = np.concatenate([[0.0], np.cumsum(lanes.table.length[route])])
        # Where the ego indicates: stations on the route, and 1 for left, -1 for right.
        self._turns = [
            (begin[i] - _INDICATE_M, begin[i + 1], int(lanes.turn[lane]))
            for i, lane in enumerate(route)
            if lanes.turn[lane]
        ]

    def listen(self) -> None:
        """Takes down the vehicle's state now; call it at every physics step."""
        ego, stamp = self._simulator.ego, self._simulator.timestamp_us + self._offset_us
        progress = self._simulator.progress_m
        self._rows.append((stamp, ego.x, ego.y, ego.yaw, ego.acceleration, ego.steer, progress))
        lights = self._simulator.red_lights().round(3).tolist()
        if not self._lights or self._lights[-1]["red"] != lights:
            self._lights.append({"utime": stamp, "red": lights})

    def messages(self) -> dict[str, list | dict]:
        """All messages by name, from the first state to the last: `NuScenesCanBus` reads each as a file of its own.

        Raises:
            ValueError: fewer than three states were taken down.
        """
        if len(self._rows) < 3:
            raise ValueError(f"the CAN bus has {len(self._rows)} states, expected at least 3 to tell speeds from")
        motion = Motion(np.array(self._rows), self._simulator.vehicle)
        found = {
            "ms_imu": _imu(motion.at(IMU_HZ)),
            "pose": _pose(motion.at(POSE_HZ)),
            "steeranglefeedback": _steering(motion.at(STEERING_HZ)),
            "vehicle_monitor": _monitor(motion.at(MONITOR_HZ), self._turns),
            "zoe_veh_info": _vehicle_info(motion.at(SENSORS_HZ), self._simulator.vehicle),
            "zoesensors": _sensors(motion.at(SENSORS_HZ)),
        }
        messages = {name: _rows(columns) for name, columns in found.items()}
        meta = {name: _statistics(columns) for name, columns in found.items()}
        return {**messages, "meta": meta, "lights": self._lights}


class Motion:
    """A drive as a smooth function of time, from states at even steps.

    Args:
        states: `(N, 7)` time [microseconds], x, y [m], yaw [rad], acceleration [m/s^2], steer [rad], progress [m].
        vehicle: that was driven.
    """

    def __init__(self, states: np.ndarray, vehicle: VehicleParameters) -> None:
        self.vehicle = vehicle
        self._begin_us, self._end_us = int(states[0, 0]), int(states[-1, 0])
        self._time_s = (states[:, 0] - states[0, 0]) / 1e6
        self._path = np.column_stack([states[:, 1:3], np.unwrap(states[:, 3])])
        # A state's speed is that of the step after it; the rates at the state itself lie in the middle of two steps.
        self._rate = np.gradient(self._path, self._time_s, axis=0, edge_order=2)
        speed = np.hypot(self._rate[:, 0], self._rate[:, 1])
        steer_rate = np.gradient(states[:, 5], self._time_s)
        self._rest = np.column_stack([speed, self._rate[:, 2], states[:, 4:7], steer_rate])

    def at(self, rate_hz: int) -> dict[str, np.ndarray]:
        """Samples at a rate, both ends included; arrays `(M,)`.

        Returns:
            utime [microseconds, int64], x, y, yaw (unwrapped), speed, yaw_rate, acceleration, steer, progress,
            steer_rate; SI units.
        """
        utime = np.arange(self._begin_us, self._end_us + 1, 1_000_000 // rate_hz)
        time_s = (utime - self._begin_us) / 1e6
        low = np.clip(np.searchsorted(self._time_s, time_s, side="right") - 1, 0, len(self._time_s) - 2)
        step = (self._time_s[low + 1] - self._time_s[low])[:, None]
        share = (time_s - self._time_s[low])[:, None] / step
        # Cubic Hermite: through all poses, with their rates, and no further than the neighbours of a step.
        before, after = (1 - share) ** 2, share**2
        path = before * (1 + 2 * share) * self._path[low] + after * (3 - 2 * share) * self._path[low + 1]
        path += step * (before * share * self._rate[low] - after * (1 - share) * self._rate[low + 1])
        rest = [np.interp(time_s, self._time_s, column) for column in self._rest.T]
        names = ("x", "y", "yaw", "speed", "yaw_rate", "acceleration", "steer", "progress", "steer_rate")
        return {"utime": utime, **dict(zip(names, [*path.T, *rest], strict=True))}


def _vector(*components: np.ndarray | float, decimals: int) -> np.ndarray:
    """Components `(M,)` or constant as rows `(M, K)`."""
    return np.stack(np.broadcast_arrays(*components), axis=-1).round(decimals) + 0.0  # no -0.0


def _felt(motion: dict[str, np.ndarray]) -> np.ndarray:
    """Acceleration `(M, 3)` that a sensor at the rear axle feels [m/s^2]."""
    return _vector(motion["acceleration"], motion["speed"] * motion["yaw_rate"], GRAVITY, decimals=4)


def _quaternion(yaw: np.ndarray) -> np.ndarray:
    """Quaternions w, x, y, z `(M, 4)` of a turn about z, with w >= 0."""
    half = np.remainder(yaw + np.pi, 2 * np.pi) / 2 - np.pi / 2
    return _vector(np.cos(half), 0.0, 0.0, np.sin(half), decimals=6)


def _wheel_deg(motion: dict[str, np.ndarray]) -> np.ndarray:
    """Angle of the steering wheel [deg], positive to the left."""
    return np.clip(np.rad2deg(motion["steer"]) * STEERING_RATIO, *_WHEEL_RANGE_DEG)


def _pedals(motion: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Throttle and brake, 0 to 1."""
    drive = motion["acceleration"] + _ROLLING * (motion["speed"] > _STANDING_SPEED)
    return np.clip(drive / _FULL_THROTTLE, 0.0, 1.0), np.clip(-drive / _FULL_BRAKE, 0.0, 1.0)


def _wheel_rpm(motion: dict[str, np.ndarray], ahead_m: float) -> tuple[np.ndarray, np.ndarray]:
    """Left and right wheel of the axle `ahead_m` before the rear one [1/min]."""
    to_rpm = 60.0 / (2 * np.pi * _WHEEL_RADIUS_M)
    sides = (motion["speed"] - side * motion["yaw_rate"] * _TRACK_M / 2 for side in (1, -1))
    left, right = (np.hypot(speed, motion["yaw_rate"] * ahead_m) * to_rpm for speed in sides)
    return left, right


def _imu(motion):
    rotation_rate = _vector(0.0, 0.0, motion["yaw_rate"], decimals=5)
    columns = {"linear_accel": _felt(motion), "q": _quaternion(motion["yaw"]), "rotation_rate": rotation_rate}
    return {**columns, "utime": motion["utime"]}


def _pose(motion):
    return {
        "accel": _felt(motion),
        "orientation": _quaternion(motion["yaw"]),
        "pos": _vector(motion["x"], motion["y"], 0.0, decimals=4),
        "rotation_rate": _vector(0.0, 0.0, motion["yaw_rate"], decimals=5),
        "utime": motion["utime"],
        "vel": _vector(motion["speed"], 0.0, 0.0, decimals=4),
    }


def _steering(motion):
    return {"utime": motion["utime"], "value": (motion["steer"] * STEERING_RATIO).round(4) + 0.0}


def _monitor(motion, turns):
    throttle, brake = _pedals(motion)
    left, right = _wheel_rpm(motion, 0.0)
    constant = np.ones(len(brake), np.int64)
    signal = np.zeros(len(brake), np.int64)
    for begin, end, side in turns:
        signal[(signal == 0) & (motion["progress"] >= begin) & (motion["progress"] < end)] = side
    wheel = _wheel_deg(motion)
    return {
        "available_distance": 200 * constant,
        "battery_level": 80 * constant,
        "brake": (brake * _LARGEST_BRAKE).round().astype(np.int64),
        "brake_switch": np.where(brake > 0, 2, 1),
        "gear_position": 7 * constant,
        "left_signal": (signal > 0).astype(np.int64),
        "rear_left_rpm": left.round(2),
        "rear_right_rpm": right.round(2),
        "right_signal": (signal < 0).astype(np.int64),
        "steering": wheel.round(1) + 0.0,
        "steering_speed": (np.rad2deg(motion["steer_rate"]) * STEERING_RATIO).round(1) + 0.0,
        "throttle": (throttle * _LARGEST_PEDAL).round().astype(np.int64),
        "utime": motion["utime"],
        "vehicle_speed": (3.6 * motion["speed"]).round(2),
        "yaw_rate": np.rad2deg(motion["yaw_rate"]).round(1) + 0.0,
    }


def _vehicle_info(motion, vehicle):
    throttle, _ = _pedals(motion)
    pedal = (throttle * _LARGEST_PEDAL).round().astype(np.int64)
    torque = np.round(2 * motion["acceleration"] * _MASS_KG * _WHEEL_RADIUS_M / _GEAR_RATIO) / 2 + 0.0
    front, rear = _wheel_rpm(motion, vehicle.wheelbase_m), _wheel_rpm(motion, 0.0)
    none = np.zeros(len(pedal), np.int64)
    wheel = _wheel_deg(motion).round(1) + 0.0
    return {
        "FL_wheel_speed": front[0].round(2),
        "FR_wheel_speed": front[1].round(2),
        "RL_wheel_speed": rear[0].round(2),
        "RR_wheel_speed": rear[1].round(2),
        "left_solar": none,
        "longitudinal_accel": (np.round(motion["acceleration"] / 0.05) * 0.05).round(2) + 0.0,
        "meanEffTorque": torque,
        "odom": (np.maximum(motion["progress"], 0.0) * 100).astype(np.int64) % 125,
        "odom_speed": (3.6 * motion["speed"]).round(1),
        "pedal_cc": pedal,
        "regen": (100 * np.clip(-motion["acceleration"], 0.0, 1.0)).round().astype(np.int64),
        "requestedTorqueAfterProc": torque,
        "right_solar": none,
        "steer_corrected": wheel,
        "steer_offset_can": none,
        "steer_raw": wheel,
        "transversal_accel": (motion["speed"] * motion["yaw_rate"] / GRAVITY).round(3) + 0.0,
        "utime": motion["utime"],
    }


def _sensors(motion):
    throttle, brake = _pedals(motion)
    steering = 0.5 + 0.5 * _wheel_deg(motion) / -_WHEEL_RANGE_DEG[0]
    shares = {
        "brake_sensor": (brake, _BRAKE_RANGE),
        "steering_sensor": (steering, _STEERING_RANGE),
        "throttle_sensor": (throttle, _THROTTLE_RANGE),
    }
    columns = {name: (low + share * (high - low)).round(4) for name, (share, (low, high)) in shares.items()}
    return {**columns, "utime": motion["utime"]}


def _rows(columns: dict[str, np.ndarray]) -> list[dict]:
    """One dict a message, from columns `(M,)` or `(M, K)`."""
    names = list(columns)
    values = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [dict(zip(names, row, strict=True)) for row in values]


def _statistics(columns: dict[str, np.ndarray]) -> dict:
    """What nuScenes' meta file says about the messages of a type."""
    utime = columns["utime"]
    timespan = float(utime[-1] - utime[0]) / 1e6
    stats = {}
    for name, column in columns.items():
        parts = {"": column, "_diff": np.diff(column, axis=0)}
        stats[name] = {
            f"{kind}{suffix}": round(float(getattr(part, kind)()), 6)
            for kind in ("max", "mean", "min", "std")
            for suffix, part in parts.items()
        }
    return {
        "message_count": len(utime),
        "message_freq": round((len(utime) - 1) / timespan, 3),
        "timespan": timespan,
        "var_stats": stats,
    }
