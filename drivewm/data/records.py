"""What a scene is before it becomes rows of tables: plain values that go through JSON unchanged."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

import numpy as np

from drivewm.geometry import se3

LIDAR = "LIDAR_TOP"
"""The channel whose keyframes make the samples."""


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
    """One keyframe: time [microseconds] and boxes."""

    timestamp_us: int
    boxes: list[BoxRecord]


@dataclass(frozen=True)
class SensorData:
    """One file of a sensor.

    Attributes:
        timestamp_us: when it was taken [microseconds].
        ego_translation, ego_rotation: ego pose at that time (global), quaternion w, x, y, z.
        file: relative to the data root.
        frame: number of the keyframe that it belongs to: its own, or for a sweep in between the next one.
        is_key_frame: is it the keyframe's own?
        lidarseg_file: classes of a sweep's points, relative to the data root; '' for none.
    """

    timestamp_us: int
    ego_translation: list[float]
    ego_rotation: list[float]
    file: str
    frame: int
    is_key_frame: bool = True
    lidarseg_file: str = ""


@dataclass(frozen=True)
class SensorRecord:
    """One sensor of a scene and its files in the order of time.

    Attributes:
        channel: such as LIDAR_TOP or CAM_FRONT.
        translation, rotation: in the ego frame, quaternion w, x, y, z.
        data: its files.
        camera_intrinsic: 3 x 3 [px]; [] for a LiDAR.
        width, height: of a camera's images [px]; 0 for a LiDAR.
    """

    channel: str
    translation: list[float]
    rotation: list[float]
    data: list[SensorData]
    camera_intrinsic: list[list[float]] = field(default_factory=list)
    width: int = 0
    height: int = 0


@dataclass(frozen=True)
class SceneRecord:
    """One scene: its split, sensors, keyframes, and route `[[x, y], ...]` [m, global] or []."""

    name: str
    location: str
    split: str
    description: str
    sensors: list[SensorRecord]
    frames: list[FrameRecord]
    route: list[list[float]]

    def to_json(self) -> dict:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict) -> SceneRecord:
        """The inverse of `to_json`."""
        frames = [FrameRecord(**{**f, "boxes": [BoxRecord(**box) for box in f["boxes"]]}) for f in value["frames"]]
        sensors = [SensorRecord(**{**s, "data": [SensorData(**d) for d in s["data"]]}) for s in value["sensors"]]
        return cls(**{**value, "frames": frames, "sensors": sensors})


def pose_fields(T: np.ndarray) -> tuple[list[float], list[float]]:
    """Translation [m] and rotation (w, x, y, z) of `T (4, 4)` as lists, as tables hold them."""
    rotation, translation = se3.to_quaternion(T)
    return translation.tolist(), rotation.tolist()
