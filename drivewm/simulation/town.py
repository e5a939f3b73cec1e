"""Town: one procedural place, made from a seed and a location name."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from drivewm.simulation.bodies import Bodies
from drivewm.simulation.ground import Ground, paint_ground
from drivewm.simulation.kinds import PARKED_TRACKS, road_user_bodies
from drivewm.simulation.lanes import LaneNet, build_lanes
from drivewm.simulation.scenery import Scenery, plan_scenery
from drivewm.simulation.signals import Signals, plan_signals
from drivewm.simulation.streets import LANE_WIDTH_M, Street, generate_streets
from drivewm.simulation.walkways import WalkNet, build_walkways
from drivewm.structures.road_map import Lane, RoadMap

EXTENT_M = 330.0
"""How wide a town is, if nothing else is asked for."""
_MIN_EXTENT_M, _MAX_EXTENT_M = 100.0, 2000.0


@dataclass(frozen=True)
class Town:
    """Roads, ground and scenery of one place. The same seed and location always give the same town.

    Attributes:
        seed, location, extent_m: what it was generated from.
        nodes: `(J, 2)` junctions [m].
        streets: between junctions.
        lanes, walks: where vehicles drive and people walk.
        signals: the lights of its junctions.
        ground: the surface raster.
        scenery: buildings, vegetation and parked vehicles.
        static: bodies of the whole scenery.
    """

    seed: int
    location: str
    extent_m: float
    nodes: np.ndarray
    streets: list[Street]
    lanes: LaneNet
    walks: WalkNet
    signals: Signals
    ground: Ground
    scenery: Scenery
    static: Bodies

    @classmethod
    def generate(cls, seed: int, location: str, extent_m: float = EXTENT_M) -> Town:
        """Make a town about `extent_m` wide [m].

        Raises:
            ValueError: for a negative seed or an extent outside of 100 to 2000 m.
        """
        if seed < 0:
            raise ValueError(f"Town seed must be >= 0, got {seed}")
        if not _MIN_EXTENT_M <= extent_m <= _MAX_EXTENT_M:
            raise ValueError(f"Town extent_m must be within {_MIN_EXTENT_M} to {_MAX_EXTENT_M} m, got {extent_m}")
        rng = np.random.default_rng([seed, zlib.crc32(location.encode())])
        nodes, streets = generate_streets(rng, extent_m)
        lanes = build_lanes(streets, len(nodes))
        walks = build_walkways(rng, nodes, streets, lanes)
        signals = plan_signals(rng, nodes, streets, lanes, walks)
        ground = paint_ground(nodes, streets, lanes, walks)
        scenery = plan_scenery(rng, streets, walks, signals, ground)
        parked = PARKED_TRACKS + np.arange(len(scenery.parked_boxes))
        static = scenery.bodies + road_user_bodies(scenery.parked_boxes, scenery.parked_kinds, parked)
        return cls(seed, location, float(extent_m), nodes, streets, lanes, walks, signals, ground, scenery, static)

    def road_map(self) -> RoadMap:
        """Lanes, connectors and drivable raster as a `RoadMap`."""
        lanes = {
            i: Lane(
                lane_id=i,
                centerline=self.lanes.table.polyline(i),
                width_m=LANE_WIDTH_M,
                successors=self.lanes.successors[i],
                intersection=int(self.lanes.junction[i]) if self.lanes.is_connector[i] else None,
            )
            for i in range(len(self.lanes))
        }
        origin = tuple(float(v) for v in self.ground.origin_m)
        return RoadMap(lanes, self.ground.drivable, origin, self.ground.resolution_m)
