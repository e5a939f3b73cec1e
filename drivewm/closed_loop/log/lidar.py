"""The LiDAR of a recorded scene at any pose: its rays, cast into what its sweeps have seen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from drivewm.closed_loop.log.rays import recorded_rays
from drivewm.closed_loop.log.resimulation import Objects, Scenery, cast
from drivewm.closed_loop.log.scene import LogScene
from drivewm.geometry import se3


@dataclass(frozen=True)
class ResimulatedSweep:
    """R rays of which N hit something.

    Attributes:
        directions: `(R, 3)` unit vectors, LiDAR frame.
        depth_m: `(R,)` float64, inf where nothing known is met.
        T_ego_lidar: `(4, 4)`.
    """

    directions: np.ndarray
    depth_m: np.ndarray
    T_ego_lidar: np.ndarray

    @property
    def hit(self) -> np.ndarray:
        """Which rays hit something: bool `(R,)`."""
        return np.isfinite(self.depth_m)

    @property
    def visible_share(self) -> float:
        """Share of the rays that end on something that was seen in the recording."""
        return float(self.hit.mean())

    def points_ego(self) -> np.ndarray:
        """`(N, 3)` [m, ego frame]."""
        return se3.transform_points(self.T_ego_lidar, self.directions[self.hit] * self.depth_m[self.hit, None])


class LogLidar:
    """Sweeps of a scene from poses that were not driven.

    Args:
        scene: the recording.
        without: number of a keyframe whose sweep is not used, to compare with it.
    """

    def __init__(self, scene: LogScene, without: int | None = None) -> None:
        used = [sweep for number, sweep in enumerate(scene.sweeps) if number != without]
        self.scene = scene
        self.scenery = Scenery.accumulate(used, scene.frame_poses[:, :3, 3])
        self.objects = Objects.accumulate(used)
        self._sent = lru_cache(maxsize=4)(self._rays)
        self.logged_visible_share = lru_cache(maxsize=None)(self._logged_visible_share)
        """Number of a keyframe -> share of its rays that end on something at the recorded pose."""

    def sweep(self, T_global_ego: np.ndarray, boxes: np.ndarray, track: np.ndarray, number: int) -> ResimulatedSweep:
        """What the sensor would measure.

        Args:
            T_global_ego: `(4, 4)` where the ego is.
            boxes: `(M, 7)` of the objects that are there now, global frame.
            track: `(M,)` which ones these are; those that no sweep has seen cannot be shown.
            number: of the keyframe whose rays are sent.
        """
        T_ego_lidar = self.scene.index["frame_T_ego_lidar"][self.scene.frames[number]]
        T_global_lidar = T_global_ego @ T_ego_lidar
        directions, _ = self._sent(number)
        depth = cast(
            self.scenery, self.objects.at(boxes, track), T_global_lidar[:3, 3], directions @ T_global_lidar[:3, :3].T
        )
        return ResimulatedSweep(directions, depth, T_ego_lidar)

    def recorded(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """The rays of a keyframe `(R, 3)` and the depths that were measured `(R,)`: `rays.recorded_rays`."""
        return self._sent(number)

    def _rays(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        return recorded_rays([sweep.points for sweep in self.scene.sweeps], number)

    def _logged_visible_share(self, number: int) -> float:
        boxes, track = self.scene.frame_boxes(number, in_global=True)
        return self.sweep(self.scene.frame_poses[number], boxes, track, number).visible_share
