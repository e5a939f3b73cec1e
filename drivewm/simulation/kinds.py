"""Kinds of road users: their nuScenes category, class, size and the few boxes that they are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.geometry import se2
from drivewm.simulation.bodies import Bodies
from drivewm.structures.labels import OCC3D


@dataclass(frozen=True)
class Kind:
    """A kind of road user.

    Attributes:
        category: nuScenes category name.
        label: class of `OCC3D`.
        size_m: ranges of length, width, height.
        share: how common it is in traffic.
        speed: range of desired speeds [m/s].
        parts: boxes in units of its own length, width, height: x, y, z of the centre, l, w, h.
    """

    category: str
    label: int
    size_m: tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
    share: float
    speed: tuple[float, float]
    parts: tuple[tuple[float, ...], ...]


# A body's lower edge, as a share of its height, is left free for the wheels.
_CAR = ((0.0, 0.0, 0.34, 1.0, 1.0, 0.48), (-0.06, 0.0, 0.79, 0.56, 0.88, 0.42))
_TRUCK = ((0.39, 0.0, 0.40, 0.22, 0.94, 0.72), (-0.13, 0.0, 0.54, 0.74, 1.0, 0.92))
_BUS = ((0.0, 0.0, 0.53, 1.0, 1.0, 0.94),)
_BICYCLE = ((0.0, 0.0, 0.29, 1.0, 0.3, 0.58), (-0.05, 0.0, 0.76, 0.35, 0.9, 0.48))
_PERSON = ((0.0, 0.0, 0.5, 1.0, 1.0, 1.0),)

KINDS = (
    Kind("vehicle.car", OCC3D.index("car"), ((3.9, 4.9), (1.7, 1.95), (1.45, 1.8)), 0.72, (7.0, 12.5), _CAR),
    Kind("vehicle.truck", OCC3D.index("truck"), ((6.2, 8.2), (2.2, 2.4), (2.7, 3.4)), 0.12, (6.5, 10.5), _TRUCK),
    Kind("vehicle.bus.rigid", OCC3D.index("bus"), ((9.5, 11.0), (2.4, 2.5), (3.0, 3.3)), 0.08, (6.5, 10.5), _BUS),
    Kind("vehicle.bicycle", OCC3D.index("bicycle"), ((1.7, 1.9), (0.6, 0.7), (1.65, 1.8)), 0.08, (4.5, 6.5), _BICYCLE),
    Kind(
        "human.pedestrian.adult",
        OCC3D.index("pedestrian"),
        ((0.5, 0.7), (0.5, 0.7), (1.55, 1.9)),
        0.0,
        (0.9, 1.7),
        _PERSON,
    ),
)
CAR, TRUCK, BUS, BICYCLE, PEDESTRIAN = range(len(KINDS))
LABEL_OF_KIND = np.array([k.label for k in KINDS], np.int64)


def draw_sizes(rng: np.random.Generator, kinds: np.ndarray) -> np.ndarray:
    """Length, width, height `(N, 3)` [m] for kinds `(N,)`."""
    ranges = np.array([k.size_m for k in KINDS])[kinds]
    return ranges[..., 0] + rng.random((len(kinds), 3)) * (ranges[..., 1] - ranges[..., 0])


def road_user_bodies(boxes: np.ndarray, kinds: np.ndarray) -> Bodies:
    """Bodies of road users with boxes `(N, 7)` and kinds `(N,)`; people are upright cylinders."""
    parts, labels = [], []
    for number, kind in enumerate(KINDS):
        own = boxes[kinds == number]
        if number == PEDESTRIAN or not len(own):
            continue
        for part in np.array(kind.parts):
            box = own.copy()
            box[:, :2] = se2.transform_points(own[:, [0, 1, 6]], (part[:2] * own[:, 3:5])[:, None])[:, 0]
            box[:, 2] = own[:, 2] - own[:, 5] / 2 + part[2] * own[:, 5]
            box[:, 3:6] = part[3:] * own[:, 3:6]
            parts.append(box)
            labels.append(np.full(len(box), kind.label, np.uint8))
    people = boxes[kinds == PEDESTRIAN]
    radius = np.minimum(people[:, 3], people[:, 4]) / 2
    cylinders = np.stack([people[:, 0], people[:, 1], np.zeros(len(people)), people[:, 5], radius], axis=-1)
    return Bodies(
        np.concatenate([np.zeros((0, 7)), *parts]),
        np.concatenate([np.zeros(0, np.uint8), *labels]),
        cylinders,
        np.full(len(people), KINDS[PEDESTRIAN].label, np.uint8),
        np.zeros((0, 5)),
        np.zeros(0, np.uint8),
    )
