"""What stands at the kerb: parked vehicles, road works with cones and barriers, bicycles and bins."""

from __future__ import annotations

import numpy as np

from drivewm.simulation import kinds
from drivewm.simulation.ground import PARKING_BAY_M, PARKING_MARGIN_M
from drivewm.simulation.kinds import draw_sizes
from drivewm.simulation.streets import LEFT, PARKING_WIDTH_M, Street, place
from drivewm.simulation.walkways import WalkNet

_BAYS = {kinds.CAR: 0.90, kinds.TRUCK: 0.04, kinds.TRAILER: 0.03, kinds.PARKED_MOTORCYCLE: 0.03}
"""What stands in an occupied bay of a parking strip."""
_LONGEST_M = 6.8
_CLEAR_OF_CROSSING_M = 8.5
_WORKS_SHARE = 0.12  # of the parking strips
_WORKS_BAYS = 3
_CONE_EVERY_M = 1.5
_KERB_M = 0.36  # bicycles and bins stand this far behind the kerb, clear of those who walk


class _Kerb:
    """One side of a street, and what already stands there."""

    def __init__(self, rng: np.random.Generator, street: Street, side: int, crossings: np.ndarray) -> None:
        self.rng, self.street, self.side, self.crossings = rng, street, side, crossings
        self.boxes: list[list[float]] = []
        self.kinds: list[int] = []

    def put(self, kind: int, station: float, away_m: float, yaw: float = 0.0) -> bool:
        """Stand a thing of random size there, facing as traffic on this side does; False where it does not fit."""
        length, width, height = draw_sizes(self.rng, np.array([kind]))[0]
        pose = place(self.street, self.side, station, away_m)
        if length > _LONGEST_M or np.hypot(*(self.crossings - pose[:2]).T).min(initial=np.inf) < _CLEAR_OF_CROSSING_M:
            return False
        heading = pose[2] + (np.pi if self.side == LEFT else 0.0) + yaw
        self.boxes.append([pose[0], pose[1], height / 2, length, width, height, heading])
        self.kinds.append(kind)
        return True


def park(rng: np.random.Generator, streets: list[Street], walks: WalkNet) -> tuple[np.ndarray, np.ndarray]:
    """Boxes `(P, 7)` and kinds `(P,)` of all that stands at the kerbs of the streets."""
    boxes, found = [], []
    for street in streets:
        for side in (0, 1):
            kerb = _Kerb(rng, street, side, walks.crossing_pose[:, :2])
            if street.parking[side]:
                _bays(kerb)
            _pavement(kerb)
            boxes += kerb.boxes
            found += kerb.kinds
    return np.array(boxes, np.float64).reshape(-1, 7), np.array(found, np.int64)


def _bays(kerb: _Kerb) -> None:
    """Bays of a parking strip, some of them taken, perhaps some closed for road works."""
    rng, street = kerb.rng, kerb.street
    start, stop = (trim + PARKING_MARGIN_M + 3.5 for trim in street.trim_m)
    stations = np.arange(start, street.length_m - stop, PARKING_BAY_M)
    share = rng.uniform(0.2, 0.8)
    first = len(stations)
    if rng.random() < _WORKS_SHARE and len(stations) >= _WORKS_BAYS + 2:
        first = int(rng.integers(1, len(stations) - _WORKS_BAYS))
        _road_works(kerb, stations[first], stations[first + _WORKS_BAYS - 1])
    for bay, station in enumerate(stations):
        taken, kind = rng.random() < share, int(rng.choice(list(_BAYS), p=list(_BAYS.values())))
        if taken and not first <= bay < first + _WORKS_BAYS:
            away = street.half_m + PARKING_WIDTH_M / 2 + rng.uniform(0.0, 0.15)
            kerb.put(kind, station + rng.uniform(-0.4, 0.4), away, rng.normal(0.0, 0.015))


def _road_works(kerb: _Kerb, begin: float, end: float) -> None:
    """An excavator behind barriers, and a line of cones that leads past at both ends."""
    middle, road_m = (begin + end) / 2, kerb.street.half_m
    if not kerb.put(kinds.EXCAVATOR, middle, road_m + PARKING_WIDTH_M / 2 + 0.15, kerb.rng.normal(0.0, 0.03)):
        return
    for station in np.arange(middle - 4.6, middle + 4.7, 2.3):
        kerb.put(kinds.BARRIER, station, road_m - 0.05 + 0.3)
    for sign in (-1.0, 1.0):
        for number in range(3):
            station = middle + sign * (6.4 + _CONE_EVERY_M * number)
            kerb.put(kinds.CONE, station, road_m + 0.4 + 0.6 * number)


def _pavement(kerb: _Kerb) -> None:
    """Parked bicycles in groups, and bins, behind the kerb."""
    rng, street = kerb.rng, kerb.street
    away = street.kerb_m(kerb.side) + _KERB_M
    for kind, share, most, gap_m in ((kinds.PARKED_BICYCLE, 0.25, 3, 2.1), (kinds.BIN, 0.4, 2, 1.0)):
        if rng.random() < share:
            station = rng.uniform(street.trim_m[0] + 4.0, max(street.length_m - street.trim_m[1] - 12.0, 0.0))
            for number in range(int(rng.integers(1, most + 1))):
                kerb.put(kind, station + gap_m * number, away, rng.normal(0.0, 0.08))
