"""The town as a map of nuScenes' map expansion, version 1.3, which the devkit's `NuScenesMap` opens.

Coordinates are those of the data set's ego poses. What touches shares its nodes, so that the devkit finds what comes
next.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from drivewm.data import map_layers
from drivewm.data.basemap import PIXEL_M
from drivewm.data.nuscenes_rows import token
from drivewm.geometry import se2
from drivewm.host import write_bytes, write_json
from drivewm.simulation import Town, paths
from drivewm.simulation.ground import DRIVABLE, PARKING_MARGIN_M
from drivewm.simulation.signals import LIGHT_HEIGHT_M, LIGHT_SIZE_M
from drivewm.simulation.stops import CROSSING_STOP_M, stop_lines
from drivewm.simulation.streets import LANE_WIDTH_M, SIGN
from drivewm.structures.labels import OCC3D

VERSION = "1.3"
LAYERS = (
    "polygon", "line", "node", "drivable_area", "road_segment", "road_block", "lane", "lane_connector",
    "ped_crossing", "walkway", "stop_line", "carpark_area", "road_divider", "lane_divider", "traffic_light",
)  # fmt: skip

# Stop lines reach back from where the bumpers are to be.
_STOP_DEPTH_M = 1.0
# Grey of each surface in the picture beneath the map.
_GREY = {"driveable_surface": 230, "other_flat": 200, "sidewalk": 90}
_GREY_TERRAIN = 150
# What is painted between the directions of a street, there on avenues and at all edges, and between other lanes.
_MIDDLE_LINE, _EDGE_LINE, _BETWEEN_LANES = "DOUBLE_DASHED_WHITE", "SINGLE_SOLID_WHITE", "SINGLE_DASHED_WHITE"


def write_map_expansion(folder: str | Path, town: Town, key: str) -> None:
    """Writes `maps/expansion/LOCATION.json` and the picture `maps/basemap/LOCATION.png` that the devkit draws below it.

    Args:
        folder: the data root.
        town: whose map it is.
        key: goes into every token, e.g. the seed.
    """
    maps = Path(folder) / "maps"
    write_json(maps / "expansion" / f"{town.location}.json", map_expansion(town, key))
    grey = np.full(len(OCC3D.names), _GREY_TERRAIN, np.uint8)
    for name, value in _GREY.items():
        grey[OCC3D.index(name)] = value
    before = np.round(town.ground.origin_m / town.ground.resolution_m).astype(int)  # pictures begin at global (0, 0)
    surface = np.pad(grey[town.ground.classes], [(n, 0) for n in before], constant_values=_GREY_TERRAIN)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(surface.T[::-1])).save(buffer, format="PNG", compress_level=1)
    write_bytes(maps / "basemap" / f"{town.location}.png", buffer.getvalue())


def map_expansion(town: Town, key: str) -> dict:
    """All layers of a town's map as JSON values; the same town and key give the same map."""
    tables = _Tables(key, town.location)
    drivable = map_layers.surface(town, DRIVABLE)
    area = tables.add(
        "drivable_area", 0, polygon_tokens=[tables.polygon(part) for part in map_layers.polygons(drivable)]
    )
    _add_roads(tables, town, area)
    _add_lanes(tables, town)
    _add_people(tables, town, drivable)
    _add_stop_lines(tables, town)
    extent = town.ground.origin_m + np.array(town.ground.classes.shape) * town.ground.resolution_m
    return {
        "version": VERSION,
        "source": f"procedural town, seed {town.seed}",
        "canvas_edge": [round(float(np.ceil(round(e / PIXEL_M, 6)) * PIXEL_M), 3) for e in extent],
        **tables.layers,
        "arcline_path_3": tables.paths,
        "connectivity": _connectivity(tables, town),
    }


class _Tables:
    """The map in the making: records by layer, whose geometry is nodes that are shared where they coincide."""

    def __init__(self, key: str, location: str) -> None:
        self.key, self.location = key, location
        self.layers: dict[str, list[dict]] = {name: [] for name in LAYERS}
        self.paths: dict[str, list[dict]] = {}
        self._nodes: set[str] = set()

    def token(self, layer: str, index: int | str) -> str:
        return token(self.key, self.location, layer, index)

    def add(self, layer: str, index: int | str, **fields) -> str:
        """A record of a layer; returns its token."""
        name = self.token(layer, index)
        self.layers[layer].append({"token": name, **fields})
        return name

    def nodes(self, points: np.ndarray) -> list[str]:
        """Tokens of the nodes at points `(N, 2)` [m], of which there is one a millimetre."""
        found = []
        for x, y in (np.round(points, 3) + 0.0).tolist():
            name = self.token("node", f"{x:.3f}/{y:.3f}")
            if name not in self._nodes:
                self._nodes.add(name)
                self.layers["node"].append({"token": name, "x": x, "y": y})
            found.append(name)
        return found

    def line(self, points: np.ndarray) -> str:
        """A line through points `(N, 2)`; returns its token."""
        return self.add("line", len(self.layers["line"]), node_tokens=self.nodes(points))

    def polygon(self, shape: np.ndarray | Polygon) -> str:
        """A polygon, or a ring of points `(N, 2)`; returns its token."""
        shape = Polygon(shape) if isinstance(shape, np.ndarray) else shape
        outer, *holes = (self.nodes(np.array(r.coords)[:-1]) for r in (shape.exterior, *shape.interiors))
        holes = [{"node_tokens": hole} for hole in holes]
        return self.add("polygon", len(self.layers["polygon"]), exterior_node_tokens=outer, holes=holes)


def _add_roads(tables: _Tables, town: Town, area: str) -> None:
    """A road segment for each street and junction; of streets also a block a direction, the divider, parking strips."""
    for number, street in enumerate(town.streets):
        half_m = street.half_m
        sections = [map_layers.section(street, end, map_layers.cross_section(street)) for end in (0, 1)]
        ring = map_layers.with_points(map_layers.band(street, half_m, -half_m), np.concatenate(sections))
        segment = tables.add(
            "road_segment",
            number,
            polygon_token=tables.polygon(ring),
            is_intersection=False,
            drivable_area_token=area,
        )
        middle = tables.line(map_layers.parallel(street, 0.0))
        tables.add("road_divider", number, line_token=middle, road_segment_token=segment)
        for side, sign in enumerate(SIGN):
            edges = [map_layers.section(street, end, (0.0, sign * half_m)) for end in (0, 1)]
            block = tables.add(
                "road_block",
                f"{number}/{side}",
                polygon_token=tables.polygon(map_layers.band(street, 0.0, sign * half_m)),
                from_edge_line_token=tables.line(edges[side == 0]),  # on the left one drives against the street
                to_edge_line_token=tables.line(edges[side == 1]),
                road_segment_token=segment,
            )
            if street.parking[side]:
                inner, outer = sign * half_m, sign * street.kerb_m(side)
                heading = paths.headings(street.parallel(inner, PARKING_MARGIN_M))
                yaw = se2.wrap_angle(heading[len(heading) // 2] + (np.pi if side == 0 else 0.0))
                tables.add(
                    "carpark_area",
                    f"{number}/{side}",
                    polygon_token=tables.polygon(map_layers.band(street, inner, outer, PARKING_MARGIN_M)),
                    orientation=round(float(yaw), 6),
                    road_block_token=block,
                )
    for node in range(len(town.nodes)):
        tables.add(
            "road_segment",
            f"junction/{node}",
            polygon_token=tables.polygon(map_layers.intersection(town, node)),
            is_intersection=True,
            drivable_area_token=area,
        )


def _add_lanes(tables: _Tables, town: Town) -> None:
    """Lanes, connectors, and the centrelines of both."""
    lanes = town.lanes
    for i in range(len(lanes)):
        centerline = lanes.table.polyline(i)
        if lanes.is_connector[i]:
            ring = map_layers.strip(centerline, LANE_WIDTH_M)
            name = tables.add("lane_connector", i, polygon_token=tables.polygon(ring))
        else:
            street, forward = town.streets[lanes.street[i]], bool(lanes.forward[i])
            inner, outer = (LANE_WIDTH_M * (lanes.index[i] + k) * (-1.0 if forward else 1.0) for k in (0, 1))
            edges = [map_layers.section(street, end, (inner, outer)) for end in (0, 1)]
            left, right = (map_layers.parallel(street, m)[:: 1 if forward else -1] for m in (inner, outer))
            middle = _MIDDLE_LINE if street.lanes == 1 else _EDGE_LINE
            left_line, right_line = (
                _BETWEEN_LANES if lane >= 0 else edge
                for lane, edge in zip(lanes.beside[i], (middle, _EDGE_LINE), strict=True)
            )
            name = tables.add(
                "lane",
                i,
                polygon_token=tables.polygon(map_layers.band(street, inner, outer)),
                lane_type="CAR",
                from_edge_line_token=tables.line(edges[not forward]),
                to_edge_line_token=tables.line(edges[forward]),
                left_lane_divider_segments=_segments(tables, left, left_line),
                right_lane_divider_segments=_segments(tables, right, right_line),
            )
            if lanes.beside[i, 1] >= 0:
                segments = _segments(tables, right, _BETWEEN_LANES)
                tables.add("lane_divider", i, line_token=tables.line(right), lane_divider_segments=segments)
        tables.paths[name] = [arc.path() for arc in map_layers.arc_chain(centerline)]


def _segments(tables: _Tables, line: np.ndarray, kind: str) -> list[dict]:
    """A border of a lane: each node with what is painted from there on."""
    nodes = tables.nodes(line)
    return [{"node_token": node, "segment_type": kind if i + 1 < len(nodes) else "NIL"} for i, node in enumerate(nodes)]


def _lane_token(tables: _Tables, town: Town, lane: int) -> str:
    return tables.token("lane_connector" if town.lanes.is_connector[lane] else "lane", lane)


def _connectivity(tables: _Tables, town: Town) -> dict[str, dict]:
    """Which lanes and connectors lead to each, and which follow."""
    names = [_lane_token(tables, town, lane) for lane in range(len(town.lanes))]
    return {
        name: {"incoming": [names[j] for j in before], "outgoing": [names[j] for j in after]}
        for name, before, after in zip(names, town.lanes.predecessors, town.lanes.successors, strict=True)
    }


def _add_people(tables: _Tables, town: Town, drivable: BaseGeometry) -> None:
    """Crossings and walkways."""
    street_of = dict(zip(town.walks.crossing.tolist(), town.walks.street.tolist(), strict=True))
    for number in range(len(town.walks.crossing_pose)):
        tables.add(
            "ped_crossing",
            number,
            polygon_token=tables.polygon(map_layers.crossing(town, number, drivable)),
            road_segment_token=tables.token("road_segment", street_of[number]),
        )
    sidewalks = map_layers.surface(town, [OCC3D.index("sidewalk")]) - drivable
    for number, part in enumerate(map_layers.polygons(sidewalks)):
        tables.add("walkway", number, polygon_token=tables.polygon(part))


def _add_stop_lines(tables: _Tables, town: Town) -> None:
    """Where vehicles wait: before each crossing, and before junctions; and the lights that they wait for."""
    lanes, line_m, lit = town.lanes, stop_lines(town), set(town.signals.lanes(town.lanes).tolist())
    heads = {
        lanes.predecessors[connector][0]: pose
        for connector, pose in zip(town.signals.head_connector, town.signals.heads, strict=True)
    }
    for lane in np.flatnonzero(~lanes.is_connector):
        length, street, forward = lanes.table.length[lane], int(lanes.street[lane]), bool(lanes.forward[lane])
        block, entry = tables.token("road_block", f"{street}/{int(forward)}"), round(length - line_m[lane], 6)
        lights = [tables.token("traffic_light", f"{street}/{int(forward)}")] if lane in lit else []
        if lane in heads:
            _add_light(tables, f"{street}/{int(forward)}", heads[lane], block)
        crossings = {
            round(station - CROSSING_STOP_M, 6): number for station, number, _ in town.walks.lane_crossings[lane]
        }
        for number, station in enumerate(sorted({entry, *crossings})):
            if station < _STOP_DEPTH_M:
                continue
            corners = [
                lanes.table.pose(np.array([lane]), np.array([station - back]), left)[0, :2]
                for back, left in (
                    (0.0, LANE_WIDTH_M / 2),
                    (0.0, -LANE_WIDTH_M / 2),
                    (_STOP_DEPTH_M, -LANE_WIDTH_M / 2),
                    (_STOP_DEPTH_M, LANE_WIDTH_M / 2),
                )
            ]
            waits_for = [tables.token("ped_crossing", crossings[station])] if station in crossings else []
            here = lights if station == entry else []
            tables.add(
                "stop_line",
                f"{lane}/{number}",
                polygon_token=tables.polygon(np.array(corners)),
                stop_line_type="TRAFFIC_LIGHT" if here else "PED_CROSSING" if waits_for else "YIELD",
                ped_crossing_tokens=waits_for,
                traffic_light_tokens=here,
                road_block_token=block,
            )


def _add_light(tables: _Tables, number: str, pose: np.ndarray, block: str) -> None:
    """A light that hangs at the height of its pole and faces those who come."""
    x, y, yaw = pose.tolist()
    across = LIGHT_SIZE_M[1] / 2 * np.array([-np.sin(yaw), np.cos(yaw)])
    still = {"tx": 0.0, "ty": 0.0, "rx": 0.0, "ry": 0.0, "rz": 0.0}
    tables.add(
        "traffic_light",
        number,
        traffic_light_type="VERTICAL",
        from_road_block_token=block,
        line_token=tables.line(np.stack([pose[:2] + across, pose[:2] - across])),
        pose={"tx": round(x, 3), "ty": round(y, 3), "tz": LIGHT_HEIGHT_M, "rx": 0.0, "ry": 0.0, "rz": round(yaw, 6)},
        items=[
            {"color": color, "shape": "CIRCLE", "rel_pos": {**still, "tz": height}, "to_road_block_tokens": []}
            for color, height in (("RED", 0.3), ("YELLOW", 0.0), ("GREEN", -0.3))
        ],
    )
