"""Semantic label sets: names, colours, which class is free space and which classes move."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LabelSet:
    """An ordered set of voxel classes.

    Attributes:
        names: class i is called `names[i]`.
        colors: RGB in 0..255 of each class.
        free: class of empty voxels.
        things: classes of single objects, rare among the voxels; the others are surfaces and masses.
        movable: classes of things that can move by themselves.
        ground: classes of flat ground.
    """

    names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    free: int
    things: tuple[int, ...]
    movable: tuple[int, ...]
    ground: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.names) != len(self.colors):
            raise ValueError(f"LabelSet has {len(self.names)} names but {len(self.colors)} colors")
        for field in ("things", "movable", "ground"):
            wrong = [i for i in (*getattr(self, field), self.free) if not 0 <= i < len(self.names)]
            if wrong:
                raise ValueError(f"LabelSet.{field} or free names classes {wrong} outside of 0..{len(self.names) - 1}")

    @property
    def num_classes(self) -> int:
        """Number of classes, free included."""
        return len(self.names)

    @property
    def occupied(self) -> tuple[int, ...]:
        """All classes but free: those that mIoU averages over."""
        return tuple(i for i in range(self.num_classes) if i != self.free)

    @property
    def palette(self) -> np.ndarray:
        """Colours as `(num_classes, 3)` uint8."""
        return np.array(self.colors, np.uint8)

    def index(self, name: str) -> int:
        """Class of that name; ValueError if there is none."""
        if name not in self.names:
            raise ValueError(f"no class is called {name!r}; there are {', '.join(self.names)}")
        return self.names.index(name)


OCC3D = LabelSet(
    names=(
        "others",
        "barrier",
        "bicycle",
        "bus",
        "car",
        "construction_vehicle",
        "motorcycle",
        "pedestrian",
        "traffic_cone",
        "trailer",
        "truck",
        "driveable_surface",
        "other_flat",
        "sidewalk",
        "terrain",
        "manmade",
        "vegetation",
        "free",
    ),
    colors=(
        (90, 90, 90),
        (255, 120, 50),
        (255, 192, 203),
        (255, 220, 0),
        (0, 130, 230),
        (0, 190, 190),
        (236, 130, 0),
        (230, 30, 30),
        (255, 240, 150),
        (135, 60, 0),
        (130, 40, 200),
        (150, 148, 155),
        (120, 110, 130),
        (228, 192, 158),
        (150, 190, 110),
        (174, 176, 200),
        (40, 135, 50),
        (255, 255, 255),
    ),
    free=17,
    things=(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
    movable=(2, 3, 4, 5, 6, 7, 9, 10),
    ground=(11, 12, 13, 14),
)
"""Occ3D-nuScenes' classes: nuScenes-lidarseg's 16, `others` and `free`."""
