"""Pinhole cameras like those of nuScenes, ray cast against the analytic scene."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from drivewm.geometry import se3
from drivewm.geometry.cameras import PictureCut
from drivewm.simulation import _camera_kernels as kernels
from drivewm.simulation import _shading_kernels
from drivewm.simulation.bodies import Bodies
from drivewm.simulation.ground import TERRAIN, Ground
from drivewm.simulation.shading import Light, paint_bodies
from drivewm.structures.labels import OCC3D

GROUND, NOTHING = kernels.GROUND, kernels.NOTHING
_SECTORS = 1440
_SHADOW_CELL_M = 2.5
_RIGID = 1e-6
# x right, y down, z forward in the camera's frame; x forward, y left, z up in the ego's.
_R_EGO_FORWARD = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
_NUSCENES_SIZE, _NUSCENES_CENTER_PX = (1600, 900), (816.0, 491.0)
# Name, position in the ego frame [m], heading [degrees], focal length at 1600 x 900 [px].
_NUSCENES_RIG = (
    ("CAM_FRONT", (1.70, 0.0, 1.51), 0.0, 1266.0),
    ("CAM_FRONT_RIGHT", (1.55, -0.49, 1.50), -55.0, 1261.0),
    ("CAM_BACK_RIGHT", (1.02, -0.48, 1.56), -110.0, 1260.0),
    ("CAM_BACK", (0.03, 0.0, 1.57), 180.0, 809.0),
    ("CAM_BACK_LEFT", (1.04, 0.48, 1.59), 110.0, 1257.0),
    ("CAM_FRONT_LEFT", (1.52, 0.49, 1.51), 55.0, 1272.0),
)


@dataclass(frozen=True)
class CameraConfig:
    """One camera. Pixel (i, j), row and column, covers u in [j, j + 1) and v in [i, i + 1): its centre is at a half.

    Attributes:
        name: such as CAM_FRONT.
        T_ego_camera: `(4, 4)`; the camera looks along its z, x is right and y down.
        intrinsics: `(3, 3)` [px], upper triangular: (u, v, 1) * depth = intrinsics @ (x, y, z).
        width, height: of the image [px].
    """

    name: str
    T_ego_camera: np.ndarray = field(repr=False)
    intrinsics: np.ndarray = field(repr=False)
    width: int
    height: int

    def __post_init__(self) -> None:
        for attribute, shape in (("T_ego_camera", (4, 4)), ("intrinsics", (3, 3))):
            value = np.array(getattr(self, attribute), np.float64)
            if value.shape != shape or not np.isfinite(value).all():
                raise ValueError(f"{self.name}: {attribute} must be {shape} and finite, got {value.tolist()}")
            value.setflags(write=False)
            object.__setattr__(self, attribute, value)
        if not self.name:
            raise ValueError("CameraConfig.name must not be empty")
        if self.width < 1 or self.height < 1:
            raise ValueError(f"{self.name}: width and height must be >= 1, got {self.width} and {self.height}")
        rotation, K = self.T_ego_camera[:3, :3], self.intrinsics
        turned = np.allclose(rotation @ rotation.T, np.eye(3), atol=_RIGID) and np.linalg.det(rotation) > 0
        if not turned or not np.array_equal(self.T_ego_camera[3], [0, 0, 0, 1]):
            raise ValueError(f"{self.name}: T_ego_camera must be a rigid transform, got {self.T_ego_camera.tolist()}")
        if not (K[0, 0] > 0 and K[1, 1] > 0 and np.array_equal(K[[1, 2, 2, 2], [0, 0, 1, 2]], [0, 0, 0, 1])):
            raise ValueError(
                f"{self.name}: intrinsics must be upper triangular with positive focal lengths and 1 in the corner, "
                f"got {K.tolist()}"
            )
        if not self.T_ego_camera[2, 3] > 0:
            raise ValueError(f"{self.name}: the camera must be above the ground, got z = {self.T_ego_camera[2, 3]} m")

    def scaled(self, width: int, height: int) -> CameraConfig:
        """The same camera at another resolution, without distortion, see `PictureCut`."""
        if width < 1 or height < 1:
            raise ValueError(f"{self.name}: cannot be scaled to {width} x {height}")
        K = PictureCut((self.width, self.height), (width, height)).intrinsics(self.intrinsics)
        return CameraConfig(self.name, self.T_ego_camera, K, width, height)

    def project(self, points_ego: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where points `(N, 3)` [m] of the ego frame fall: `(N, 2)` u, v [px], and their depth `(N,)` [m].

        Points behind the camera have a depth <= 0 and meaningless u, v.
        """
        seen = se3.transform_points(se3.inverse(self.T_ego_camera), points_ego) @ self.intrinsics.T
        depth = np.where(seen[:, 2] == 0.0, np.nan, seen[:, 2])
        return seen[:, :2] / depth[:, None], seen[:, 2]

    def rays(self) -> np.ndarray:
        """Unit directions `(H, W, 3)` in the ego frame through the pixels' centres."""
        u, v = np.meshgrid(np.arange(self.width) + 0.5, np.arange(self.height) + 0.5)
        rays = np.stack([u, v, np.ones_like(u)], axis=-1) @ np.linalg.inv(self.intrinsics).T
        rays = rays @ self.T_ego_camera[:3, :3].T
        return rays / np.linalg.norm(rays, axis=-1, keepdims=True)


@dataclass(frozen=True)
class CameraImage:
    """What one camera sees. All but rgb belong to the pixels' centres and are exact.

    Attributes:
        rgb: `(H, W, 3)` uint8.
        depth: `(H, W)` float32 distance along the optical axis [m], inf for the sky.
        semantic: `(H, W)` uint8 classes of `OCC3D`; free is the sky.
        body: `(H, W)` int32 index into `Bodies.classes`, or GROUND or NOTHING.
        track: `(H, W)` int64 the road user, as in `AgentBoxes.track`; -1 for scenery, ground and sky.
    """

    rgb: np.ndarray
    depth: np.ndarray
    semantic: np.ndarray
    body: np.ndarray
    track: np.ndarray


def nuscenes_rig(width: int = 400, height: int = 224) -> tuple[CameraConfig, ...]:
    """nuScenes' six cameras, clockwise from the front; see `CameraConfig.scaled` for other sizes than 1600 x 900."""
    rig = []
    for name, position, heading, focal in _NUSCENES_RIG:
        K = np.array([[focal, 0.0, _NUSCENES_CENTER_PX[0]], [0.0, focal, _NUSCENES_CENTER_PX[1]], [0.0, 0.0, 1.0]])
        T = se3.from_xyzyaw(*position, np.deg2rad(heading)) @ se3.from_rt(_R_EGO_FORWARD, np.zeros(3))
        rig.append(CameraConfig(name, T, K, *_NUSCENES_SIZE).scaled(width, height))
    return tuple(rig)


class Cameras:
    """Takes pictures of bodies and ground; each camera is rendered in a thread of its own, as far as cores go."""

    def __init__(self, configs: Sequence[CameraConfig], light: Light = Light(), max_range_m: float = 200.0) -> None:  # noqa: B008
        """Nothing beyond `max_range_m` is seen. Raises ValueError for two cameras of one name or a range <= 0."""
        names = [config.name for config in configs]
        if len(set(names)) < len(names):
            raise ValueError(f"cameras must have different names, got {names}")
        if not max_range_m > 0:
            raise ValueError(f"Cameras.max_range_m must be positive, got {max_range_m}")
        self.configs, self.light, self.max_range_m = tuple(configs), light, float(max_range_m)

    def render(self, bodies: Bodies, ground: Ground, pose: np.ndarray) -> dict[str, CameraImage]:
        """One image a camera, by name, all of the same moment.

        Args:
            bodies: in the ego frame. A body that holds a camera is not seen by it.
            ground: global frame.
            pose: `(3,)` of the ego, global frame.
        """
        pose = np.asarray(pose, np.float64)
        solids = kernels.Solids(
            bodies.turned_boxes(),
            np.ascontiguousarray(bodies.cylinders, np.float64),
            np.ascontiguousarray(bodies.ellipsoids, np.float64),
        )
        surface = kernels.Surface(
            ground.classes,
            float(ground.resolution_m),
            ground.marking,
            float(ground.marking_resolution_m),
            np.asarray(ground.origin_m, np.float64),
            pose,
            TERRAIN,
        )
        sun = self.light.sun_direction(float(pose[2]))
        shadows = kernels.sort_shadows(solids, sun, self.max_range_m, _SHADOW_CELL_M)
        scene = bodies, solids, paint_bodies(bodies), surface, shadows
        threads = min(len(self.configs), len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 4)
        with ThreadPoolExecutor(max(threads, 1)) as pool:
            images = list(pool.map(lambda config: self._image(config, *scene), self.configs))
        return {config.name: image for config, image in zip(self.configs, images, strict=True)}

    def _image(self, config, bodies, solids, paint, surface, shadows) -> CameraImage:
        to_camera = np.linalg.inv(config.intrinsics)
        camera = kernels.Pinhole(
            config.T_ego_camera[:3, 3].copy(), config.T_ego_camera[:3, :3] @ to_camera, to_camera, self.max_range_m
        )
        shape = config.height, config.width
        distance, depth = np.empty(shape), np.empty(shape, np.float32)
        semantic, body = np.empty(shape, np.uint8), np.empty(shape, np.int32)
        rgb = np.empty((*shape, 3), np.uint8)
        sectors = kernels.sort_into_sectors(solids, camera.origin, self.max_range_m, _SECTORS)
        classes = bodies.classes
        kernels.cast_image(solids, classes, sectors, surface, camera, distance, depth, semantic, body, OCC3D.free)
        air = _shading_kernels.Air(float(self.light.haze_m), 1.0 / float(config.intrinsics[0, 0]))
        _shading_kernels.shade_image(solids, paint, sectors, surface, shadows, air, camera, distance, body, rgb)
        return CameraImage(rgb, depth, semantic, body, bodies.track_of(body))
