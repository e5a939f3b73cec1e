"""Which scenes a town data set has: where, in which split, with which options. All else follows from this."""

from __future__ import annotations

from dataclasses import dataclass

from drivewm.data.nuscenes_schema import LOCATIONS
from drivewm.geometry import VoxelGrid

TRAIN_LOCATIONS, VAL_LOCATION = LOCATIONS[:3], LOCATIONS[3]
"""Splits share no location, so they share no road."""
VAL_SHARE = 0.22
KEYFRAME_HZ, PHYSICS_HZ, SWEEP_HZ = 2, 10, 20
LEAD_S = 0.5
"""Sweeps begin this long before the first keyframe."""
_LARGEST_IMAGE_PX = 8192
# Numbers that nuScenes does not use: no scene of ours is on a list of the devkit.
_FIRST_NUMBER, _LAST_NUMBER = 2001, 9999


@dataclass(frozen=True)
class TownSensors:
    """What is written of the sensors, beside the LiDAR's keyframes.

    Attributes:
        cameras: six cameras' images at keyframes, and `mask_camera` from them.
        image_size: width and height of the images [px].
        sweeps: all LiDAR sweeps at 20 Hz, not only keyframes.
        depth, semantic: images of the cameras' depth and of classes; they need cameras.

    Raises:
        ValueError: an image without width or height or too large, depth or semantic images without cameras.
    """

    cameras: bool = True
    image_size: tuple[int, int] = (400, 224)
    sweeps: bool = True
    depth: bool = False
    semantic: bool = False

    def __post_init__(self) -> None:
        if len(self.image_size) != 2 or not all(1 <= n <= _LARGEST_IMAGE_PX for n in self.image_size):
            raise ValueError(
                f"image_size must be a width and a height of 1 to {_LARGEST_IMAGE_PX} px, got {tuple(self.image_size)}"
            )
        if (self.depth or self.semantic) and not self.cameras:
            raise ValueError(f"cameras must be on for depth or semantic images, got {self}")

    def description(self) -> dict:
        """For dataset.json; the size of images that are not written does not matter."""
        size = {"image_size": list(self.image_size)} if self.cameras else {}
        flags = {name: getattr(self, name) for name in ("cameras", "sweeps", "depth", "semantic")}
        return {**flags, **size}


LIDAR_KEYFRAMES = TownSensors(cameras=False, sweeps=False)
"""No more than the models of this package learn from."""


@dataclass(frozen=True)
class TownOptions:
    """Everything that the bytes of a town data set depend on.

    Attributes:
        scenes: number of scenes.
        seed: of towns, traffic and sensors.
        grid: for the labels.
        duration_s: of a scene; it has `duration_s * 2 + 1` keyframes.
        sensors: what is written of the sensors.

    Raises:
        ValueError: a number is out of range.
    """

    scenes: int
    seed: int
    grid: VoxelGrid
    duration_s: float = 20.0
    sensors: TownSensors = TownSensors()

    def __post_init__(self) -> None:
        most = _LAST_NUMBER - _FIRST_NUMBER + 1
        if not 1 <= self.scenes <= most:
            raise ValueError(f"scenes must be 1 to {most} (their names have four digits), got {self.scenes}")
        if self.seed < 0:
            raise ValueError(f"seed must be >= 0, got {self.seed}")
        if not 1.0 / KEYFRAME_HZ <= self.duration_s <= 90.0:
            raise ValueError(f"duration_s must be {1.0 / KEYFRAME_HZ} to 90 s, got {self.duration_s}")

    @property
    def keyframes(self) -> int:
        """Keyframes a scene."""
        return int(self.duration_s * KEYFRAME_HZ) + 1

    def description(self) -> dict:
        """Content of dataset.json."""
        return {
            "schema_version": 1,
            "kind": "town",
            "grid": {"range_m": list(self.grid.range_m), "voxel_m": self.grid.voxel_m},
            "seed": self.seed,
            "scenes": self.scenes,
            "duration_s": float(self.duration_s),
            "sensors": self.sensors.description(),
        }


@dataclass(frozen=True)
class ScenePlan:
    """One scene to be: its name and number, where, in which split; it is the `index`-th of `count` at its location."""

    name: str
    number: int
    location: str
    split: str
    index: int
    count: int


def plan_scenes(scenes: int) -> list[ScenePlan]:
    """Scenes of both splits; about 22 % are for validation, all of these at one location of their own."""
    val = max(1, round(VAL_SHARE * scenes)) if scenes > 1 else 0
    places = [TRAIN_LOCATIONS[i % len(TRAIN_LOCATIONS)] for i in range(scenes - val)] + [VAL_LOCATION] * val
    seen = dict.fromkeys(LOCATIONS, 0)
    plans = []
    for i, location in enumerate(places):
        split = "val" if location == VAL_LOCATION else "train"
        number = _FIRST_NUMBER + i
        plans.append(ScenePlan(f"scene-{number:04d}", number, location, split, seen[location], places.count(location)))
        seen[location] += 1
    return plans
