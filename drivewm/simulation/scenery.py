"""Scenery: buildings, gardens, street trees and lamps along the streets, and what stands at the kerbs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.geometry import se2
from drivewm.simulation.bodies import Bodies
from drivewm.simulation.ground import TERRAIN, Ground
from drivewm.simulation.roadside import park
from drivewm.simulation.signals import LIGHT_HEIGHT_M, LIGHT_SIZE_M, Signals
from drivewm.simulation.streets import Street, place
from drivewm.simulation.walkways import WalkNet
from drivewm.structures.labels import OCC3D

_MANMADE, _VEGETATION = OCC3D.index("manmade"), OCC3D.index("vegetation")


@dataclass(frozen=True)
class Style:
    """How one side of a street is built up; ranges in metres, shares in 0..1."""

    width: tuple[float, float]
    gap: tuple[float, float]
    setback: tuple[float, float]
    depth: tuple[float, float]
    height: tuple[float, float]
    missing: float
    street_trees: float
    garden_trees: float
    border: float


_STYLES = {
    "row": Style((8, 18), (0, 2.5), (1.2, 3.5), (9, 13), (9, 18), 0.06, 0.8, 0.2, 0.3),
    "houses": Style((7, 12), (3, 9), (3, 8), (7, 10), (6.0, 10.0), 0.1, 0.6, 2.2, 0.9),
    "halls": Style((20, 36), (6, 12), (4, 9), (12, 18), (6, 12), 0.15, 0.6, 0.8, 0.6),
    "park": Style((6, 9), (20, 40), (8, 14), (6, 8), (3.5, 5), 0.6, 0.95, 3.2, 0.7),
}
_STYLE_SHARES = (0.36, 0.34, 0.14, 0.16)


@dataclass(frozen=True)
class Scenery:
    """What stands still: bodies, and parked vehicles and other things at the kerb as boxes `(P, 7)`, kinds `(P,)`."""

    bodies: Bodies
    parked_boxes: np.ndarray
    parked_kinds: np.ndarray


class _Planner:
    """Places things and remembers which ground is taken."""

    def __init__(self, rng: np.random.Generator, ground: Ground) -> None:
        self.rng, self.ground = rng, ground
        self.free = ground.classes == TERRAIN
        self.boxes: list = []
        self.cylinders: list = []
        self.ellipsoids: list = []

    def uniform(self, bounds: tuple[float, float]) -> float:
        return float(self.rng.uniform(*bounds))

    def claim(self, pose: np.ndarray, length: float, width: float) -> bool:
        """Take a rectangle of free ground, centred at `pose (3,)`; False, and nothing taken, if some of it is not."""
        step = self.ground.resolution_m * 0.7
        x, y = (np.linspace(-v / 2, v / 2, max(int(np.ceil(v / step)) + 1, 2)) for v in (length, width))
        local = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)
        cell = np.floor((se2.transform_points(pose, local) - self.ground.origin_m) / self.ground.resolution_m).astype(
            int
        )
        if (cell < 0).any() or (cell >= self.free.shape).any() or not self.free[cell[:, 0], cell[:, 1]].all():
            return False
        self.free[cell[:, 0], cell[:, 1]] = False
        return True

    def box(self, pose: np.ndarray, length: float, width: float, height: float, label: int) -> bool:
        if not self.claim(pose, length, width):
            return False
        self.boxes.append(((pose[0], pose[1], height / 2, length, width, height, pose[2]), label))
        return True

    def tree(self, pose: np.ndarray) -> None:
        if not self.claim(pose, 0.8, 0.8):
            return
        trunk, radius = self.uniform((1.9, 3.2)), self.uniform((1.2, 3.0))
        crown = radius * self.uniform((0.9, 1.7))
        self.cylinders.append(((pose[0], pose[1], 0.0, trunk + 0.5, self.uniform((0.12, 0.25))), _VEGETATION))
        self.ellipsoids.append(((pose[0], pose[1], trunk + crown, radius, crown), _VEGETATION))


def plan_scenery(
    rng: np.random.Generator, streets: list[Street], walks: WalkNet, signals: Signals, ground: Ground
) -> Scenery:
    """Build up both sides of every street, each in its own style, and put up the lights."""
    planner = _Planner(rng, ground)
    styles = list(_STYLES.values())
    sides = [(street, side) for street in streets for side in (0, 1)]
    chosen = [styles[rng.choice(len(styles), p=_STYLE_SHARES)] for _ in sides]
    for (street, side), style in zip(sides, chosen, strict=True):
        _buildings(planner, street, side, style)
    for (street, side), style in zip(sides, chosen, strict=True):
        _border(planner, street, side, style)
        _trees_and_lamps(planner, street, side, style)
    for head in signals.heads:
        _light_pole(planner, head)
    boxes, kinds = park(rng, streets, walks)
    return Scenery(Bodies.of(planner.boxes, planner.cylinders, planner.ellipsoids), boxes, kinds)


def _buildings(planner: _Planner, street: Street, side: int, style: Style) -> None:
    for row in range(2):
        station = planner.uniform((4.0, 12.0))
        behind = 0.0 if row == 0 else planner.uniform((16.0, 22.0))
        while station < street.length_m - 4.0:
            width, depth = planner.uniform(style.width), planner.uniform(style.depth)
            away = street.border_m(side) + planner.uniform(style.setback) + behind + depth / 2
            height = planner.uniform(style.height)
            if planner.rng.random() > (style.missing if row == 0 else 0.55):
                pose = place(street, side, station + width / 2, away)
                if not planner.box(pose, width, depth, height, _MANMADE):
                    station += 2.0
                    continue
            station += width + planner.uniform(style.gap)


def _border(planner: _Planner, street: Street, side: int, style: Style) -> None:
    """Hedges and fences behind the sidewalk, in pieces with gates between them."""
    if planner.rng.random() > style.border:
        return
    hedge = planner.rng.random() < 0.6
    height = planner.uniform((0.9, 1.7))
    thick = planner.uniform((0.6, 1.0)) if hedge else 0.12
    station = street.trim_m[0] + 2.0
    while station < street.length_m - street.trim_m[1] - 6.0:
        length = planner.uniform((3.0, 7.0))
        pose = place(street, side, station + length / 2, street.border_m(side) + 0.75)
        planner.box(pose, length, thick, height, _VEGETATION if hedge else _MANMADE)
        station += length + (planner.uniform((2.0, 5.0)) if planner.rng.random() < 0.3 else 0.0)


def _light_pole(planner: _Planner, head: np.ndarray) -> None:
    """A traffic light on a pole."""
    x, y, yaw = head
    length, width, height = LIGHT_SIZE_M
    planner.cylinders.append(((x, y, 0.0, LIGHT_HEIGHT_M - height / 2, 0.08), _MANMADE))
    planner.boxes.append(((x, y, LIGHT_HEIGHT_M, length, width, height, yaw), _MANMADE))


def _trees_and_lamps(planner: _Planner, street: Street, side: int, style: Style) -> None:
    if planner.rng.random() < style.street_trees:
        spacing = planner.uniform((8.0, 13.0))
        for station in np.arange(street.trim_m[0] + 3.0, street.length_m - street.trim_m[1] - 2.0, spacing):
            if planner.rng.random() < 0.85:
                planner.tree(place(street, side, station + planner.uniform((-1, 1)), street.border_m(side) + 1.7))
    for _ in range(int(style.garden_trees * street.length_m / 8.0)):
        station, away = planner.uniform((0.0, street.length_m)), planner.uniform((2.0, 24.0))
        planner.tree(place(street, side, station, street.border_m(side) + away))
        for offset in planner.rng.uniform(-3.5, 3.5, planner.rng.integers(3)):
            pose = place(street, side, station + offset, street.border_m(side) + away + planner.uniform((-1.5, 1.5)))
            planner.box(
                pose, planner.uniform((0.8, 2.5)), planner.uniform((0.8, 1.6)), planner.uniform((0.5, 1.6)), _VEGETATION
            )
    if side == 0 or planner.rng.random() < 0.4:
        for station in np.arange(
            street.trim_m[0] + 6.0, street.length_m - street.trim_m[1] - 3.0, planner.uniform((24, 34))
        ):
            pose = place(street, side, station, street.kerb_m(side) + 0.35)
            planner.cylinders.append(((pose[0], pose[1], 0.0, 8.0, 0.1), _MANMADE))
