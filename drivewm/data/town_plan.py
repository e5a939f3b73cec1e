"""Which scenes a town data set has: where, in which split, with which options. All else follows from this."""

from __future__ import annotations

from dataclasses import dataclass

from drivewm.data.nuscenes_schema import LOCATIONS
from drivewm.geometry import VoxelGrid

TRAIN_LOCATIONS, VAL_LOCATION = LOCATIONS[:3], LOCATIONS[3]
"""Splits share no location, so they share no road."""
VAL_SHARE = 0.22
KEYFRAME_HZ, PHYSICS_HZ = 2, 10
# Numbers that nuScenes does not use: no scene of ours is on a list of the devkit.
_FIRST_NUMBER, _LAST_NUMBER = 2001, 9999


@dataclass(frozen=True)
class TownOptions:
    """Everything that the bytes of a town data set depend on.

    Attributes:
        scenes: number of scenes.
        seed: of towns, traffic and sensors.
        grid: for the labels.
        duration_s: of a scene; it has `duration_s * 2 + 1` keyframes.

    Raises:
        ValueError: a number is out of range.
    """

    scenes: int
    seed: int
    grid: VoxelGrid
    duration_s: float = 20.0

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
