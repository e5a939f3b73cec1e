"""Which scenes a town data set has: where, in which split, with which options. All else follows from this."""

from __future__ import annotations

from dataclasses import dataclass

from drivewm.data.nuscenes_schema import LOCATIONS
from drivewm.geometry import VoxelGrid
from drivewm.simulation import FAMILIES
from drivewm.simulation.town import EXTENT_M

TRAIN_LOCATIONS, VAL_LOCATION = LOCATIONS[:3], LOCATIONS[3]
"""Splits share no location, so they share no road."""
VAL_SHARE = 0.22
KEYFRAME_HZ, PHYSICS_HZ, SWEEP_HZ = 2, 10, 20
LEAD_S = 0.5
"""Sweeps begin this long before the first keyframe."""
_LARGEST_IMAGE_PX = 8192
_MOST_DENSE = 3.0
HELD_OUT, HELD_OUT_SHARE = "held_out", 0.11
"""Combinations of a situation's parts that the other splits never show; a split of data sets with situations."""
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
        families: of scenarios, which take turns.
        density: vehicles and people relative to the usual number; 0 for none but those whom a situation needs.

    Raises:
        ValueError: a number is out of range.
    """

    scenes: int
    seed: int
    grid: VoxelGrid
    duration_s: float = 20.0
    sensors: TownSensors = TownSensors()
    families: tuple[str, ...] = ("nominal",)
    density: float = 1.0

    def __post_init__(self) -> None:
        most = _LAST_NUMBER - _FIRST_NUMBER + 1
        if not 1 <= self.scenes <= most:
            raise ValueError(f"scenes must be 1 to {most} (their names have four digits), got {self.scenes}")
        if self.seed < 0:
            raise ValueError(f"seed must be >= 0, got {self.seed}")
        if not 1.0 / KEYFRAME_HZ <= self.duration_s <= 90.0:
            raise ValueError(f"duration_s must be {1.0 / KEYFRAME_HZ} to 90 s, got {self.duration_s}")
        unknown = [name for name in self.families if name not in FAMILIES]
        if unknown or not self.families:
            raise ValueError(f"families must be some of {', '.join(FAMILIES)}, got {self.families}")
        if not 0.0 <= self.density <= _MOST_DENSE:
            raise ValueError(f"density must be 0 to {_MOST_DENSE}, got {self.density}")
        if (self.grid.extent_m[:2] > EXTENT_M).any():
            raise ValueError(f"grid must not be larger than a town, {EXTENT_M} m, got {self.grid.extent_m[:2]} m")

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
            "families": list(self.families),
            "density": float(self.density),
        }


@dataclass(frozen=True)
class ScenePlan:
    """One scene to be: name, number, location, split and family, of which it is the `index`-th at both."""

    name: str
    number: int
    location: str
    split: str
    family: str
    index: int


def plan_scenes(scenes: int, families: tuple[str, ...] = ("nominal",)) -> list[ScenePlan]:
    """Scenes of all splits: about 22 % val, and with situations 11 % held out, both at a location of their own."""
    situations = tuple(family for family in families if family != "nominal")
    val = max(1, round(VAL_SHARE * scenes)) if scenes > 1 else 0
    held_out = max(1, round(HELD_OUT_SHARE * scenes)) if scenes > 2 and situations else 0
    plans: list[ScenePlan] = []
    seen: dict[tuple[str, str, str], int] = {}
    for split, count, kinds in (
        ("train", scenes - val - held_out, families),
        ("val", val, families),
        (HELD_OUT, held_out, situations),
    ):
        for i in range(count):
            # One location further with every round, or each family would keep to its own.
            turn = (i + i // len(kinds)) % len(TRAIN_LOCATIONS)
            place = TRAIN_LOCATIONS[turn] if split == "train" else VAL_LOCATION
            key = split, place, kinds[i % len(kinds)]
            number = _FIRST_NUMBER + len(plans)
            plans.append(ScenePlan(f"scene-{number:04d}", number, place, split, key[2], seen.get(key, 0)))
            seen[key] = seen.get(key, 0) + 1
    return plans
