"""A spinning LiDAR like nuScenes' LIDAR_TOP, ray cast against the analytic scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from drivewm.geometry import se2, se3
from drivewm.simulation import _kernels
from drivewm.simulation.bodies import Bodies
from drivewm.simulation.ground import Ground
from drivewm.structures.labels import OCC3D

GROUND, NOTHING = -2, -1
_SECTORS = 720
# x right, y forward in the sensor's frame; x forward, y left in the ego's.
_R_EGO_LIDAR = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])

# Share of light that comes back at right incidence, by class: so that mean intensities are about those of nuScenes.
_REFLECTIVITY = np.full(OCC3D.num_classes, 0.20)
for _name, _value in {
    "car": 0.22,
    "bus": 0.26,
    "truck": 0.26,
    "bicycle": 0.15,
    "pedestrian": 0.22,
    "driveable_surface": 0.10,
    "other_flat": 0.13,
    "sidewalk": 0.22,
    "terrain": 0.22,
    "manmade": 0.22,
    "vegetation": 0.19,
}.items():
    _REFLECTIVITY[OCC3D.index(_name)] = _value


@dataclass(frozen=True)
class LidarConfig:
    """The sensor. Angles in radians, lengths in metres.

    Attributes:
        beams: number of rings, evenly spaced from `lowest` to `highest` elevation.
        azimuth_steps: rays of a ring in one revolution.
        mount_m: position in the ego frame.
        max_range_m: further bodies give no return.
        range_noise_m: standard deviation of the range.
        drop_out: share of returns that get lost; grazing and far ones more often.
    """

    beams: int = 32
    azimuth_steps: int = 1080
    lowest: float = float(np.deg2rad(-30.67))
    highest: float = float(np.deg2rad(10.67))
    mount_m: tuple[float, float, float] = (0.944, 0.0, 1.84)
    max_range_m: float = 75.0
    range_noise_m: float = 0.02
    drop_out: float = 0.03

    def __post_init__(self) -> None:
        if self.beams < 1 or self.azimuth_steps < 1:
            raise ValueError(f"a LiDAR needs beams and azimuth_steps >= 1, got {self.beams} and {self.azimuth_steps}")
        if not self.max_range_m > 0:
            raise ValueError(f"LidarConfig.max_range_m must be positive, got {self.max_range_m}")

    @property
    def T_ego_lidar(self) -> np.ndarray:
        """`(4, 4)`: the sensor in the ego frame."""
        return se3.from_rt(_R_EGO_LIDAR, np.array(self.mount_m))

    def directions(self) -> tuple[np.ndarray, np.ndarray]:
        """Unit ray directions `(R, 3)` in the LiDAR frame and their ring `(R,)`, in the order of firing."""
        elevation = np.linspace(self.lowest, self.highest, self.beams)
        # The spin starts behind the vehicle and turns clockwise, as in nuScenes.
        azimuth = -np.pi / 2 - 2 * np.pi * (np.arange(self.azimuth_steps) + 0.5) / self.azimuth_steps
        azimuth, elevation = np.meshgrid(azimuth, elevation, indexing="ij")
        flat = np.cos(elevation)
        rays = np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)], axis=-1)
        ring = np.broadcast_to(np.arange(self.beams), azimuth.shape)
        return rays.reshape(-1, 3), ring.reshape(-1)


@dataclass(frozen=True)
class LidarSweep:
    """One revolution; R rays of which N came back. The LiDAR frame is that of its end, whose time is its stamp.

    Attributes:
        points: `(N, 5)` float32 x, y, z [m] in the LiDAR frame, intensity in 0..255, ring.
        point_class: `(N,)` uint8 class of what was hit.
        point_track: `(N,)` int64 the road user that was hit, as in `AgentBoxes.track`; -1 for scenery and ground.
        point_ray: `(N,)` int64 the ray of each point.
        ray_directions: `(R, 3)` float32 unit vectors in the LiDAR frame.
        ray_origins: `(R, 3)` float32 where each ray began, in the LiDAR frame [m]: zero where the ego stood still.
        ray_depth_m: `(R,)` float64 true distance along each ray, inf where nothing is in range.
        T_ego_lidar: `(4, 4)`.
    """

    points: np.ndarray
    point_class: np.ndarray
    point_track: np.ndarray
    point_ray: np.ndarray
    ray_directions: np.ndarray = field(repr=False)
    ray_origins: np.ndarray = field(repr=False)
    ray_depth_m: np.ndarray = field(repr=False)
    T_ego_lidar: np.ndarray = field(repr=False)

    @property
    def ray_hit(self) -> np.ndarray:
        """Which rays came back: bool `(R,)`."""
        hit = np.zeros(len(self.ray_directions), bool)
        hit[self.point_ray] = True
        return hit

    def points_ego(self) -> np.ndarray:
        """Points `(N, 5)` float64 in the ego frame."""
        return se3.transform_points(self.T_ego_lidar, self.points.astype(np.float64))


def cast(
    bodies: Bodies, origin: np.ndarray, directions: np.ndarray, max_range_m: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First body along rays from one origin.

    Args:
        bodies: in the frame of the rays, whose z = 0 is the ground.
        origin: `(3,)` [m]. A body that holds it is not seen.
        directions: `(R, 3)` unit vectors.
        max_range_m: rays end here.

    Returns:
        depth `(R,)` [m] (inf if nothing is met), body `(R,)` int64 (an index into `bodies.classes`, or GROUND or
        NOTHING) and the cosine of incidence `(R,)`.
    """
    directions = np.ascontiguousarray(directions, np.float64)
    depth, body, cosine = np.empty(len(directions)), np.empty(len(directions), np.int64), np.empty(len(directions))
    _kernels.cast(
        np.asarray(origin, np.float64),
        directions,
        bodies.turned_boxes(),
        np.ascontiguousarray(bodies.cylinders),
        np.ascontiguousarray(bodies.ellipsoids),
        float(max_range_m),
        _SECTORS,
        depth,
        body,
        cosine,
    )
    return depth, body, cosine


class Lidar:
    """Takes sweeps of bodies and ground."""

    def __init__(self, config: LidarConfig = LidarConfig()) -> None:  # noqa: B008
        self.config = config
        self._directions, self._ring = config.directions()

    def sweep(self, bodies: Bodies, ground: Ground, pose: np.ndarray, rng: np.random.Generator | None) -> LidarSweep:
        """One sweep without motion: all rays at one moment.

        Args:
            bodies: in the ego frame.
            ground: classes of the ground, global frame.
            pose: `(3,)` of the ego, global frame.
            rng: of noise and drop-out; None for a perfect sensor.
        """
        return self.revolve([bodies], np.zeros((1, 3)), ground, pose, rng)

    def revolve(
        self,
        bodies: Sequence[Bodies],
        ego: np.ndarray,
        ground: Ground,
        pose: np.ndarray,
        rng: np.random.Generator | None,
    ) -> LidarSweep:
        """One sweep in K steps of equal angle, between which the ego and the bodies move.

        Args:
            bodies: those of each step, in the ego frame of the sweep's end.
            ego: `(K, 3)` where the ego is in each step, in its own frame of the sweep's end.
            ground: classes of the ground, global frame.
            pose: `(3,)` of the ego at the end, global frame.
            rng: of noise and drop-out; None for a perfect sensor.

        Returns:
            all points in the LiDAR frame of the end: what stands is where it stands, what moves is smeared.

        Raises:
            ValueError: there is no step, or there are more or fewer bodies than poses.
        """
        if len(bodies) != len(ego) or not len(ego):
            raise ValueError(f"a revolution needs bodies and a pose for each step, got {len(bodies)} and {len(ego)}")
        config, rays = self.config, len(self._directions)
        origin, direction = np.empty((rays, 3)), np.empty((rays, 3))
        depth, cosine = np.empty(rays), np.empty(rays)
        body, label, track = np.empty(rays, np.int64), np.zeros(rays, np.uint8), np.full(rays, -1)
        bounds = config.beams * (np.arange(len(ego) + 1) * config.azimuth_steps // len(ego))
        for step, T_end_then in enumerate(se3.from_se2(np.asarray(ego, np.float64)) @ config.T_ego_lidar):
            own = slice(bounds[step], bounds[step + 1])
            origin[own], direction[own] = T_end_then[:3, 3], self._directions[own] @ T_end_then[:3, :3].T
            depth[own], body[own], cosine[own] = cast(
                bodies[step], T_end_then[:3, 3], direction[own], config.max_range_m
            )
            met = body[own] >= 0
            label[own][met] = bodies[step].classes[body[own][met]]
            track[own] = bodies[step].track_of(body[own])
        ray = np.flatnonzero(body != NOTHING)
        distance, incidence = depth[ray], cosine[ray]
        if rng is not None:
            lost = config.drop_out * (1.0 + 2.0 * (incidence < 0.08) + (distance / config.max_range_m) ** 2)
            kept = rng.random(len(ray)) >= lost
            distance = distance + config.range_noise_m * rng.standard_normal(len(ray))
            ray, distance, incidence = ray[kept], distance[kept], incidence[kept]
        on_ground, met_class = body[ray] == GROUND, label[ray]
        xy = (origin[ray] + distance[:, None] * direction[ray])[on_ground, :2]
        met_class[on_ground] = ground.lookup(se2.transform_points(np.asarray(pose, np.float64), xy))
        intensity = 255.0 * _REFLECTIVITY[met_class] * np.sqrt(incidence) * np.exp(-distance / 120.0)
        if rng is not None:
            intensity = intensity * np.clip(1.0 + 0.1 * rng.standard_normal(len(ray)), 0.0, 2.0)
        R_lidar_ego = config.T_ego_lidar[:3, :3].T
        origin, direction = (origin - config.mount_m) @ R_lidar_ego.T, direction @ R_lidar_ego.T
        xyz = origin[ray] + distance[:, None] * direction[ray]
        points = np.column_stack([xyz, np.clip(np.round(intensity), 0, 255), self._ring[ray]]).astype(np.float32)
        return LidarSweep(
            points,
            met_class,
            track[ray],
            ray,
            direction.astype(np.float32),
            origin.astype(np.float32),
            depth,
            config.T_ego_lidar,
        )
