"""How the town looks: where the sun stands, and which colour and pattern each body has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.simulation import _body_paint_kernels as patterns
from drivewm.simulation._shading_kernels import Paint
from drivewm.simulation.bodies import LAMPS, SCENERY, Bodies
from drivewm.structures.labels import OCC3D


@dataclass(frozen=True)
class Light:
    """Sun and air.

    Attributes:
        sun_azimuth, sun_elevation: where the sun stands in the global frame [rad]; the elevation in (0, pi / 2].
        haze_m: at this distance two thirds of the light are haze.
    """

    sun_azimuth: float = 0.9
    sun_elevation: float = float(np.deg2rad(42.0))
    haze_m: float = 150.0

    def __post_init__(self) -> None:
        if not 0 < self.sun_elevation <= np.pi / 2:
            raise ValueError(f"Light.sun_elevation must be in (0, pi / 2], got {self.sun_elevation}")
        if not self.haze_m > 0:
            raise ValueError(f"Light.haze_m must be positive, got {self.haze_m}")

    def sun_direction(self, yaw: float) -> np.ndarray:
        """Unit vector `(3,)` to the sun in the frame of an ego with heading `yaw` [rad]."""
        azimuth, flat = self.sun_azimuth - yaw, np.cos(self.sun_elevation)
        return np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(self.sun_elevation)])


def _linear(*colors: tuple[int, int, int]) -> np.ndarray:
    """Linear light `(N, 3)` of colours in 0..255."""
    return (np.array(colors, np.float64) / 255.0) ** 2


_VEHICLES = _linear(
    (225, 226, 228), (168, 172, 176), (88, 92, 97), (24, 25, 28), (38, 62, 112), (140, 28, 28),
    (205, 205, 200), (120, 124, 130), (40, 72, 66), (150, 138, 116), (52, 54, 60), (96, 128, 158),
)  # fmt: skip
_COLORS = {
    "others": _linear((70, 84, 72), (62, 74, 96), (60, 60, 62), (120, 96, 50)),
    "barrier": _linear((190, 52, 38)),
    "bicycle": _linear((40, 42, 46), (150, 40, 36), (52, 96, 140), (60, 120, 76)),
    "bus": _linear((206, 60, 48), (222, 220, 214), (60, 100, 168), (226, 178, 62)),
    "car": _VEHICLES,
    "construction_vehicle": _linear((222, 158, 34)),
    "motorcycle": _linear((36, 36, 40), (140, 30, 30), (52, 60, 84)),
    "pedestrian": _linear(
        (150, 50, 44), (58, 78, 122), (196, 188, 172), (64, 66, 70), (92, 116, 84), (178, 142, 74), (110, 76, 112)
    ),
    "traffic_cone": _linear((232, 96, 34)),
    "trailer": _linear((196, 196, 190), (112, 130, 150), (134, 140, 120)),
    "truck": _linear((214, 214, 210), (188, 190, 192), (150, 60, 50), (70, 96, 136), (200, 180, 130)),
    "manmade": _linear(
        (196, 180, 152),
        (160, 96, 76),
        (206, 198, 184),
        (148, 140, 130),
        (186, 158, 118),
        (172, 122, 98),
        (214, 208, 196),
    ),
    "vegetation": _linear((78, 112, 48), (66, 100, 46), (92, 120, 56), (72, 104, 60)),
}
_PALETTE = [_COLORS.get(name, _linear((128, 128, 128))) for name in OCC3D.names]
_CABS = _linear((198, 60, 48), (60, 92, 150), (220, 220, 216), (72, 120, 92), (224, 168, 52))
_FENCES = _linear((132, 104, 76), (150, 146, 138), (96, 84, 72))
_TROUSERS = _linear((48, 54, 78), (40, 40, 42), (112, 102, 84), (74, 76, 82))
_SKIN, _HELMETS = _linear((206, 164, 138), (172, 124, 96), (112, 78, 60)), _linear((40, 40, 44), (200, 200, 196))
_BARK, _POLE, _WHITE = _linear((92, 76, 60)), _linear((104, 108, 110)), _linear((222, 222, 216))

_SIGNAL, _LAMPS = _linear((38, 40, 40))[0], _linear((60, 255, 130), (255, 200, 40), (255, 60, 40)) * 1.6
_SIGNAL_M = 1.1  # manmade boxes smaller than this are heads of traffic lights

_WHEELED = [OCC3D.index(name) for name in ("car", "truck", "bus", "trailer", "bicycle", "motorcycle")]
_WHEELED += [OCC3D.index("construction_vehicle")]
_ON_GROUND_M, _WHEEL_M = 0.03, 0.25  # parts of thin wheels begin below the second
_THIN_M = 0.3
_HIPS_M, _NECK_M = 1.02, 1.2  # a person's boxes are hips or above, the posts are below the neck or it


def paint_bodies(bodies: Bodies) -> Paint:
    """Style, colour and seed of all bodies. They follow from class and size alone, so that a body keeps its looks
    wherever it is seen from, and the parts of one road user match."""
    boxes, label = bodies.boxes, bodies.box_class.astype(np.int64)
    leader = _leaders(bodies)
    seed = np.concatenate(
        [
            _hash(boxes[:, 3:6], label),
            _hash(bodies.cylinders[:, 2:], bodies.cylinder_class),
            _hash(bodies.ellipsoids[:, 3:], bodies.ellipsoid_class),
        ]
    )[leader]
    classes = bodies.classes
    style = np.full(len(classes), patterns.PLAIN, np.uint8)
    color = np.zeros((len(classes), 3))
    for kind in np.unique(classes):
        own = classes == kind
        color[own] = _pick(_PALETTE[kind], seed[own])
    _style_boxes(boxes, label, leader[: len(boxes)], style[: len(boxes)], color[: len(boxes)], seed)
    posts = slice(len(boxes), len(boxes) + len(bodies.cylinders))
    _style_posts(bodies.cylinders, bodies.cylinder_class, style[posts], color[posts], seed[posts])
    balls = slice(posts.stop, len(classes))
    _style_balls(bodies.ellipsoid_class, style[balls], color[balls], seed[balls])
    for track, lit in zip(LAMPS, _LAMPS, strict=True):
        color[balls][bodies.ellipsoid_track == track] = lit
    return Paint(style, color, seed)


def _style_boxes(boxes, label, leader, style, color, seed):
    """Set the style of boxes, and the colour where it is not that of the class."""
    seed = seed[: len(boxes)]
    bottom, largest = boxes[:, 2] - boxes[:, 5] / 2, leader == np.arange(len(boxes))
    is_a = {name: label == OCC3D.index(name) for name in OCC3D.names}
    style[is_a["manmade"]] = patterns.FACADE
    small = is_a["manmade"] & (boxes[:, 3:6].max(1, initial=0.0) < _SIGNAL_M)
    style[small], color[small] = patterns.PLAIN, _SIGNAL
    fence = ~small & is_a["manmade"] & (boxes[:, 3:5].min(1, initial=np.inf) < _THIN_M)
    style[fence], color[fence] = patterns.FENCE, _pick(_FENCES, seed[fence])
    style[is_a["vegetation"]] = patterns.LEAVES
    style[is_a["barrier"]] = patterns.STRIPES
    style[is_a["bus"]] = patterns.BUS
    style[is_a["trailer"] & largest] = patterns.CARGO
    style[is_a["car"]] = np.where(largest[is_a["car"]], patterns.CAR_BODY, patterns.CABIN)
    style[is_a["truck"]] = np.where(largest[is_a["truck"]], patterns.CARGO, patterns.CAB)
    cab = is_a["truck"] & ~largest
    color[cab] = _pick(_CABS, seed[cab])
    digger_cab = is_a["construction_vehicle"] & (boxes[:, 5] > 0.8) & (boxes[:, 2] > 1.4)
    style[digger_cab] = patterns.CABIN
    rider = (is_a["bicycle"] | is_a["motorcycle"]) & (boxes[:, 2] > 0.9) & (boxes[:, 5] > 0.35)
    color[rider] = _pick(_PALETTE[OCC3D.index("pedestrian")], seed[rider])
    hips = is_a["pedestrian"] & (boxes[:, 2] < _HIPS_M)
    color[hips] = _pick(_TROUSERS, seed[hips])
    style[np.isin(label, _WHEELED) & (bottom < _ON_GROUND_M)] = patterns.WHEEL
    style[(is_a["bicycle"] | is_a["motorcycle"]) & (bottom < _WHEEL_M)] = patterns.SPOKES


def _style_posts(cylinders, label, style, color, seed):
    """The same for cylinders: trunks, poles, people from trousers to head, cones."""
    low, high = cylinders[:, 2], cylinders[:, 3]
    for name, chosen, colors in (
        ("manmade", high > low, _POLE),
        ("vegetation", high > low, _BARK),
        ("pedestrian", low < _ON_GROUND_M, _TROUSERS),
        ("pedestrian", low > _NECK_M, _SKIN),
        ("bicycle", high > low, _TROUSERS),
        ("motorcycle", high > low, _TROUSERS),
        ("traffic_cone", (low > 0.2) & (low < 0.45), _WHITE),
    ):
        own = chosen & (label == OCC3D.index(name))
        color[own] = _pick(colors, seed[own])
    style[label == OCC3D.index("vegetation")] = patterns.BARK


def _style_balls(label, style, color, seed):
    """The same for ellipsoids: crowns of trees, and heads with hair or a helmet."""
    style[label == OCC3D.index("vegetation")] = patterns.LEAVES
    for name, colors in (("pedestrian", _SKIN), ("bicycle", _HELMETS), ("motorcycle", _HELMETS)):
        own = label == OCC3D.index(name)
        color[own] = _pick(colors, seed[own])
    style[label == OCC3D.index("pedestrian")] = patterns.HEAD


def _leaders(bodies: Bodies) -> np.ndarray:
    """For each body `(K,)` the largest one of the road user whose part it is; itself in the scenery."""
    posts, balls = bodies.cylinders, bodies.ellipsoids
    volumes = (
        np.prod(bodies.boxes[:, 3:6], axis=1),
        np.pi * posts[:, 4] ** 2 * (posts[:, 3] - posts[:, 2]),
        4 / 3 * np.pi * balls[:, 3] ** 2 * balls[:, 4],
    )
    by_size = np.argsort(-np.concatenate(volumes), kind="stable")
    _, first, member = np.unique(bodies.tracks[by_size], return_index=True, return_inverse=True)
    leader = np.empty(len(by_size), np.int64)
    leader[by_size] = by_size[first[member]]
    return np.where(bodies.tracks == SCENERY, np.arange(len(leader)), leader)


def _hash(numbers: np.ndarray, label: np.ndarray) -> np.ndarray:
    """A number `(N,)` int64 in 0 .. 2**31 from the bits of numbers `(N, M)` and a class `(N,)`."""
    bits = np.ascontiguousarray(numbers, np.float64).view(np.uint64)
    mixed = label.astype(np.uint64)
    for column in bits.T:
        mixed = (mixed ^ column) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return (mixed >> np.uint64(33)).astype(np.int64)


def _pick(colors: np.ndarray, seed: np.ndarray) -> np.ndarray:
    """One of the colours `(N, 3)` for each seed, a little brighter or darker."""
    return colors[seed % len(colors)] * (0.85 + 0.3 * ((seed >> 8) % 1000) / 1000.0)[:, None]
