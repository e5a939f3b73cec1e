"""Between two physics steps: where all that moves is then, and a LiDAR's revolution meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from drivewm.geometry import se2
from drivewm.simulation.bodies import Bodies
from drivewm.simulation.kinds import road_user_bodies
from drivewm.simulation.lidar import Lidar, LidarSweep
from drivewm.simulation.town import Town

REVOLUTION_STEPS = 20
"""A revolution is cast in so many steps, in each of which all stands still: 2.5 ms each at 20 Hz, 3 cm at 12 m/s."""
# More than the LiDAR's place on the ego, and than anything moves or turns in a revolution.
_MARGIN_M, _MARGIN_RAD = 5.0, 0.2


@dataclass(frozen=True)
class Moment:
    """Where the ego and all road users that may move are at one time, global frame.

    Attributes:
        ego: `(3,)` pose of the rear axle.
        boxes: `(M, 7)` centre x, y, z, length, width, height [m], yaw [rad]; row i is always the same road user.
        velocity: `(M, 2)` [m/s].
        kinds: `(M,)` indices into `KINDS`.
        tracks: `(M,)` int64 who it is.
    """

    ego: np.ndarray
    boxes: np.ndarray
    velocity: np.ndarray
    kinds: np.ndarray
    tracks: np.ndarray

    def bodies(self) -> Bodies:
        """What the road users consist of, global frame."""
        return road_user_bodies(self.boxes, self.kinds, self.tracks)


def between(before: Moment, after: Moment, share: float) -> Moment:
    """The moment that lies `share` in [0, 1] of the way from `before` to `after`.

    Positions and yaw are linear in time; so is what the ego's physics does within a step. `share` 1 gives `after` to
    the bit, and so does any share where nothing moves.
    """
    ego, boxes = after.ego.copy(), after.boxes.copy()
    for now, then, yaw in ((ego, before.ego, 2), (boxes, before.boxes, 6)):
        change = now - then
        change[..., yaw] = se2.wrap_angle(change[..., yaw])
        now -= (1.0 - share) * change
    return replace(after, ego=ego, boxes=boxes)


def sweep_in_motion(
    lidar: Lidar, town: Town, begin: Moment, end: Moment, rng: np.random.Generator | None
) -> LidarSweep:
    """The revolution that lasts from `begin` to `end`, in the frames of the end.

    As in nuScenes the ego's motion is compensated, since all points are given in the LiDAR frame of the end: the town
    is sharp. What moves is smeared: each ray meets it where it was when the ray was fired. The LiDAR turns by steps
    (`REVOLUTION_STEPS`) at whose middle all stands still.

    Args:
        lidar: the sensor.
        town: what stands, and the ground.
        begin, end: of the revolution; for 20 Hz they lie 50 ms apart.
        rng: of noise and drop-out; None for a perfect sensor.
    """
    radius = lidar.config.max_range_m + _MARGIN_M
    static = town.static.near(end.ego[:2], radius).seen_from(end.ego)
    moments = [between(begin, end, (step + 0.5) / REVOLUTION_STEPS) for step in range(REVOLUTION_STEPS)]
    users, bodies = end.bodies(), []
    for moment, chosen in zip(moments, _ahead_of_rays(end, radius), strict=True):
        bodies.append(static + _moved(users.of_tracks(end.tracks[chosen]), end, moment).seen_from(end.ego))
    poses = np.stack([_seen_from(moment.ego, end.ego) for moment in moments])
    return lidar.revolve(bodies, poses, town.ground, end.ego, rng)


def _moved(bodies: Bodies, now: Moment, then: Moment) -> Bodies:
    """Bodies of road users at one moment, where they are at another; the same to the bit where nothing moves."""
    order = np.argsort(now.tracks)
    parts = {}
    for name, track in (
        ("boxes", bodies.box_track),
        ("cylinders", bodies.cylinder_track),
        ("ellipsoids", bodies.ellipsoid_track),
    ):
        row = order[np.searchsorted(now.tracks[order], track)]
        old, new = now.boxes[row][:, [0, 1, 6]], then.boxes[row][:, [0, 1, 6]]
        moves = (old != new).any(-1)
        values, old, new = getattr(bodies, name).copy(), old[moves], new[moves]
        turn = new[:, 2] - old[:, 2]
        x, y = (values[moves, :2] - old[:, :2]).T
        values[moves, 0] = new[:, 0] + np.cos(turn) * x - np.sin(turn) * y
        values[moves, 1] = new[:, 1] + np.sin(turn) * x + np.cos(turn) * y
        if name == "boxes":
            values[moves, 6] += turn
        parts[name] = values
    return replace(bodies, **parts)


def _ahead_of_rays(end: Moment, radius_m: float) -> np.ndarray:
    """Which road users the rays of each step may meet: bool `(REVOLUTION_STEPS, M)`. What moves, moves little."""
    offset = end.boxes[:, :2] - end.ego[:2]
    distance, reach = np.hypot(*offset.T), 0.5 * np.hypot(end.boxes[:, 3], end.boxes[:, 4]) + _MARGIN_M
    azimuth = np.arctan2(offset[:, 1], offset[:, 0]) - end.ego[2]
    half = np.where(distance > reach, np.arcsin(np.minimum(reach / np.maximum(distance, reach), 1.0)), np.pi)
    step = 2 * np.pi / REVOLUTION_STEPS
    rays = -np.pi - step * (np.arange(REVOLUTION_STEPS) + 0.5)  # from behind the vehicle, clockwise
    turned = np.abs(se2.wrap_angle(rays[:, None] - azimuth))
    return (turned <= half + 0.5 * step + _MARGIN_RAD) & (distance <= radius_m + reach)


def _seen_from(pose: np.ndarray, own: np.ndarray) -> np.ndarray:
    """`pose (3,)` in the frame of `own`; zero to the bit where they are equal, which `se2.relative` is not."""
    dx, dy, turn = pose - own
    cos, sin = np.cos(own[2]), np.sin(own[2])
    return np.array([cos * dx + sin * dy, cos * dy - sin * dx, se2.wrap_angle(turn)])
