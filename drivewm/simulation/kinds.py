"""Kinds of road users and of things that stand at the road: nuScenes category, class, sizes, shape."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.simulation import shapes
from drivewm.simulation.bodies import Bodies
from drivewm.structures.labels import OCC3D

Range = tuple[float, float]


@dataclass(frozen=True)
class Kind:
    """A kind of road user.

    Attributes:
        category: nuScenes category name.
        class_name: of `OCC3D`.
        size_m: ranges of length, width, height.
        shape: the primitives that it consists of.
        share: how common it is in traffic; 0 for what does not drive.
        speed: range of desired speeds [m/s].
    """

    category: str
    class_name: str
    size_m: tuple[Range, Range, Range]
    shape: shapes.Shape
    share: float = 0.0
    speed: Range = (0.0, 0.0)

    @property
    def label(self) -> int:
        """Class of `OCC3D`."""
        return OCC3D.index(self.class_name)


_BIKE, _MOTORBIKE = ((1.7, 1.9), (0.6, 0.7)), ((1.9, 2.3), (0.7, 0.85))
_BODY = ((0.5, 0.7), (0.5, 0.7))
KINDS = (
    Kind("vehicle.car", "car", ((3.9, 4.9), (1.7, 1.95), (1.45, 1.8)), shapes.CAR, 0.64, (7.0, 12.5)),
    Kind("vehicle.truck", "truck", ((6.2, 8.2), (2.2, 2.4), (2.7, 3.4)), shapes.TRUCK, 0.11, (6.5, 10.5)),
    Kind("vehicle.bus.rigid", "bus", ((9.5, 11.0), (2.4, 2.5), (3.0, 3.3)), shapes.BUS, 0.07, (6.5, 10.5)),
    Kind("vehicle.bicycle", "bicycle", (*_BIKE, (1.65, 1.8)), shapes.BICYCLE, 0.08, (4.5, 6.5)),
    Kind("vehicle.motorcycle", "motorcycle", (*_MOTORBIKE, (1.5, 1.7)), shapes.MOTORCYCLE, 0.075, (7.0, 12.5)),
    Kind("human.pedestrian.adult", "pedestrian", (*_BODY, (1.55, 1.9)), shapes.PERSON, 0.0, (0.9, 1.7)),
    # what stands at the road
    Kind("vehicle.trailer", "trailer", ((4.5, 6.2), (2.0, 2.3), (2.2, 2.9)), shapes.TRAILER),
    Kind(
        "vehicle.construction",
        "construction_vehicle",
        ((5.0, 6.2), (2.0, 2.2), (2.7, 3.1)),
        shapes.EXCAVATOR,
        0.025,
        (4.0, 6.5),
    ),
    Kind("vehicle.bicycle", "bicycle", (*_BIKE, (1.0, 1.15)), shapes.PARKED_BICYCLE),
    Kind("vehicle.motorcycle", "motorcycle", (*_MOTORBIKE, (1.05, 1.2)), shapes.PARKED_MOTORCYCLE),
    Kind("movable_object.trafficcone", "traffic_cone", ((0.36, 0.42), (0.36, 0.42), (0.7, 0.8)), shapes.CONE),
    Kind("movable_object.barrier", "barrier", ((1.8, 2.2), (0.5, 0.6), (0.9, 1.1)), shapes.BARRIER),
    Kind("movable_object.pushable_pullable", "others", ((0.6, 0.8), (0.6, 0.8), (1.0, 1.25)), shapes.BIN),
)
CAR, TRUCK, BUS, BICYCLE, MOTORCYCLE, PEDESTRIAN = range(6)
TRAILER, EXCAVATOR, PARKED_BICYCLE, PARKED_MOTORCYCLE, CONE, BARRIER, BIN = range(6, len(KINDS))
LABEL_OF_KIND = np.array([k.label for k in KINDS], np.int64)
VEHICLE_TRACKS, WALKER_TRACKS, ACTOR_TRACKS, PARKED_TRACKS = 1, 1000, 5000, 10000
"""Tracks of moving vehicles, people, a scenario's actors, and what is parked or stands at the kerb begin here."""


def draw_sizes(rng: np.random.Generator, kinds: np.ndarray) -> np.ndarray:
    """Length, width, height `(N, 3)` [m] for kinds `(N,)`."""
    ranges = np.array([k.size_m for k in KINDS])[kinds]
    return ranges[..., 0] + rng.random((len(kinds), 3)) * (ranges[..., 1] - ranges[..., 0])


def road_user_bodies(boxes: np.ndarray, kinds: np.ndarray, tracks: np.ndarray) -> Bodies:
    """Bodies of what has boxes `(N, 7)`, kinds `(N,)` and tracks `(N,)` int64; every part lies within its box."""
    bodies = Bodies.of()
    for number in np.unique(kinds).tolist():
        own, kind = kinds == number, KINDS[number]
        parts = []
        for parts_of in (shapes.blocks_of, shapes.posts_of, shapes.balls_of):
            numbers = parts_of(kind.shape, boxes[own])
            # One part of all road users after the other.
            whose = np.tile(tracks[own], len(numbers) // own.sum())
            parts += [numbers, np.full(len(numbers), kind.label, np.uint8), whose]
        bodies += Bodies(*parts)
    return bodies
