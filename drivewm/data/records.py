"""What a scene is before it becomes rows of tables: plain values that go through JSON unchanged."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from drivewm.geometry import se3


@dataclass(frozen=True)
class BoxRecord:
    """One annotated box.

    Attributes:
        track: identity, unique in its scene.
        category: nuScenes category name.
        attribute: nuScenes attribute name, or '' for none.
        translation: centre x, y, z [m, global].
        size: width, length, height [m] (nuScenes' order).
        rotation: quaternion w, x, y, z.
        visibility: token of the visibility level.
        num_lidar_pts: LiDAR points inside.
    """

    track: str
    category: str
    attribute: str
    translation: list[float]
    size: list[float]
    rotation: list[float]
    visibility: str
    num_lidar_pts: int


@dataclass(frozen=True)
class FrameRecord:
    """One keyframe: time [microseconds], ego pose (global), sweep file (relative to the data root), boxes."""

    timestamp_us: int
    ego_translation: list[float]
    ego_rotation: list[float]
    lidar_file: str
    boxes: list[BoxRecord]


@dataclass(frozen=True)
class SceneRecord:
    """One scene: its split, calibration of LIDAR_TOP, keyframes, and route `[[x, y], ...]` [m, global] or []."""

    name: str
    location: str
    split: str
    description: str
    lidar_translation: list[float]
    lidar_rotation: list[float]
    frames: list[FrameRecord]
    route: list[list[float]]

    def to_json(self) -> dict:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict) -> SceneRecord:
        """The inverse of `to_json`."""
        frames = [FrameRecord(**{**f, "boxes": [BoxRecord(**box) for box in f["boxes"]]}) for f in value["frames"]]
        return cls(**{**value, "frames": frames})


def pose_fields(T: np.ndarray) -> tuple[list[float], list[float]]:
    """Translation [m] and rotation (w, x, y, z) of `T (4, 4)` as lists, as tables hold them."""
    rotation, translation = se3.to_quaternion(T)
    return translation.tolist(), rotation.tolist()
