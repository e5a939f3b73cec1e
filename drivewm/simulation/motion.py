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
# Bodies this much further than the LiDAR's range are looked at: where it stands on the ego, and how far that moves.
_MARGIN_M = 5.0


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

    def only(self, rows: np.ndarray) -> Moment:
        """The same moment with these road users `(M,)` bool alone."""
        parts = {name: getattr(self, name)[rows] for name in ("boxes", "velocity", "kinds", "tracks")}
        return Moment(self.ego, **parts)

    def near(self, center: np.ndarray, radius_m: float) -> np.ndarray:
        """Which road users may come within `radius_m` of `center (2,)`: bool `(M,)`."""
        reach = radius_m + 0.5 * np.hypot(self.boxes[:, 3], self.boxes[:, 4])
        return np.hypot(self.boxes[:, 0] - center[0], self.boxes[:, 1] - center[1]) <= reach


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
    near = end.near(end.ego[:2], radius)
    begin, end = begin.only(near), end.only(near)
    moments = [between(begin, end, (step + 0.5) / REVOLUTION_STEPS) for step in range(REVOLUTION_STEPS)]
    bodies = [static + moment.bodies().seen_from(end.ego) for moment in moments]
    poses = np.stack([_seen_from(moment.ego, end.ego) for moment in moments])
    return lidar.revolve(bodies, poses, town.ground, end.ego, rng)


def _seen_from(pose: np.ndarray, own: np.ndarray) -> np.ndarray:
    """`pose (3,)` in the frame of `own`; zero to the bit where they are equal, which `se2.relative` is not."""
    dx, dy, turn = pose - own
    cos, sin = np.cos(own[2]), np.sin(own[2])
    return np.array([cos * dx + sin * dy, cos * dy - sin * dx, se2.wrap_angle(turn)])
