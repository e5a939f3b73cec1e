"""Road maps from nuScenes' map expansion: lanes, what joins them, and where one may drive."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import shapely
from PIL import Image, ImageDraw

from drivewm.data.errors import DataError
from drivewm.data.files import read_json, resolve
from drivewm.structures.road_map import Lane, RoadMap

OLDEST_VERSION = "1.3"
"""Earlier ones have no centrelines."""

_LAYERS = ("polygon", "node", "drivable_area", "road_segment", "lane", "lane_connector")
_STEP_M = 0.5
_NO_STEP_M = 1e-3
_NEAR_M = 5.0

Area = tuple[float, float, float, float]


def load_road_map(
    data_root: str | Path, location: str, area: Area | None = None, resolution_m: float = 0.25
) -> RoadMap | None:
    """Reads `maps/expansion/LOCATION.json`.

    Lanes are numbered in the order of the file, connectors after them. A connector belongs to the intersection (a road
    segment) on which its middle lies, or to the nearest within 5 m. Real maps name followers that do not exist: they
    are left out. The width is that of the lane's polygon on average.

    Args:
        data_root: of the data set.
        location: such as boston-seaport.
        area: x from, y from, x to, y to [m, global]: only lanes that touch it, and their raster; None for all.
        resolution_m: edge of a raster cell; the raster reaches up to half a cell over the drivable polygons.

    Returns:
        the map, or None where this location has no expansion.

    Raises:
        DataError: the file is broken. ValueError: the area or the resolution is empty.
    """
    if area is not None and not (area[0] < area[2] and area[1] < area[3]):
        raise ValueError(f"area must be x from, y from, x to, y to [m] with from < to, got {area}")
    if not resolution_m > 0:
        raise ValueError(f"resolution_m must be positive, got {resolution_m}")
    path = resolve(data_root, f"maps/expansion/{location}.json", "log.json", "location")
    if not path.exists():
        return None
    expansion = _Expansion(path)
    if area is None:
        area = (0.0, 0.0, *expansion.canvas_m)
    return RoadMap(_lanes(expansion, area), _drivable(expansion, area, resolution_m), area[:2], resolution_m)


class _Expansion:
    """The file's layers, by token, with errors that say what is wrong.

    (The devkit's `NuScenesMap` would build more, knows four locations only and changes how matplotlib draws.)
    """

    def __init__(self, path: Path) -> None:
        self.path, self.content = path, read_json(path, dict)
        version = str(self.content.get("version", "1.0"))
        if version < OLDEST_VERSION:
            raise DataError(path, "version", version, f"map expansion {OLDEST_VERSION} or later")
        missing = sorted({*_LAYERS, "canvas_edge", "arcline_path_3", "connectivity"}.difference(self.content))
        if missing:
            raise DataError(path, "layers", f"no {', '.join(missing)}", "nuScenes' map expansion")
        try:
            self.by_token = {name: {row["token"]: row for row in self.content[name]} for name in _LAYERS}
            self.canvas_m = tuple(float(v) for v in self.content["canvas_edge"])
            self.xy = {token: (float(row["x"]), float(row["y"])) for token, row in self.by_token["node"].items()}
        except (TypeError, KeyError, ValueError) as error:
            raise DataError(path, "layers", f"rows without their fields ({error})", "rows with token, x, y") from None

    def rows(self, layer: str) -> list[dict]:
        return self.content[layer]

    def follow(self, rows: dict, token: str, field: str) -> dict:
        if token not in rows:
            raise DataError(self.path, field, f"token {token}", "a token that is there")
        return rows[token]

    def field(self, row: dict, layer: str, name: str):
        if name not in row:
            raise DataError(self.path, layer, f"no {name} in row {row['token']}", f"{name}")
        return row[name]

    def polygon(self, token: str) -> shapely.Polygon:
        row = self.follow(self.by_token["polygon"], token, "polygon_token")
        rings = [self.field(row, "polygon", "exterior_node_tokens")]
        rings += [self.field({**hole, "token": token}, "holes", "node_tokens") for hole in row.get("holes", [])]
        outer, *holes = ([self.follow(self.xy, node, "node_tokens") for node in ring] for ring in rings)
        if len(outer) < 3:
            raise DataError(self.path, "exterior_node_tokens", f"{len(outer)} nodes in row {token}", "three or more")
        return shapely.Polygon(outer, [hole for hole in holes if len(hole) >= 3])

    def centerline(self, token: str) -> np.ndarray:
        """Points `(N, 2)` every half metre."""
        from nuscenes.map_expansion.arcline_path_utils import discretize_lane

        path = self.follow(self.content["arcline_path_3"], token, "arcline_path_3")
        try:
            points = np.array(discretize_lane(path, _STEP_M), np.float64)[:, :2]
        except (KeyError, TypeError, IndexError, ValueError, ZeroDivisionError) as error:
            raise DataError(self.path, "arcline_path_3", f"{token}: {error!r}", "a chain of arcs") from None
        moved = np.linalg.norm(np.diff(points, axis=0), axis=1) > _NO_STEP_M  # where arcs meet, both have the point
        points = points[np.append(True, moved)]
        if len(points) < 2 or not np.isfinite(points).all():
            raise DataError(self.path, "arcline_path_3", f"no line of {token}", "a chain of arcs with a length")
        return points


def _lanes(expansion: _Expansion, area: Area) -> dict[int, Lane]:
    """Lanes that touch the area, and the connectors."""
    intersections = [
        expansion.polygon(expansion.field(row, "road_segment", "polygon_token"))
        for row in expansion.rows("road_segment")
        if expansion.field(row, "road_segment", "is_intersection")
    ]
    tree, frame = shapely.STRtree(intersections), shapely.box(*area)
    rows = [(layer, row) for layer in ("lane", "lane_connector") for row in expansion.rows(layer)]
    number = {row["token"]: i for i, (_, row) in enumerate(rows)}
    if len(number) < len(rows):
        raise DataError(expansion.path, "lane", "a token twice", "one row a token")
    lines = {token: expansion.centerline(token) for token in number}
    inside = {token for token, line in lines.items() if frame.intersects(shapely.LineString(line))}
    found = {}
    for layer, row in rows:
        token = row["token"]
        if token not in inside:
            continue
        line, joined = shapely.LineString(lines[token]), expansion.content["connectivity"].get(token, {})
        near = []
        if layer == "lane_connector":
            near = tree.query_nearest(line.interpolate(0.5, normalized=True), max_distance=_NEAR_M)
        found[number[token]] = Lane(
            lane_id=number[token],
            centerline=lines[token],
            width_m=expansion.polygon(expansion.field(row, layer, "polygon_token")).area / line.length,
            successors=tuple(number[after] for after in joined.get("outgoing", ()) if after in inside),
            intersection=int(near[0]) if len(near) else None,
        )
    return found


def _drivable(expansion: _Expansion, area: Area, resolution_m: float) -> np.ndarray:
    """Drivable polygons as a raster `(H, W)`, H along x, with holes where nothing else covers them."""
    origin = np.array(area[:2])
    shape = np.ceil((np.array(area[2:]) - origin) / resolution_m).astype(int)
    raster, frame = np.zeros(shape, bool), shapely.box(*area)
    for row in expansion.rows("drivable_area"):
        for token in expansion.field(row, "drivable_area", "polygon_tokens"):
            polygon = expansion.polygon(token)
            if not frame.intersects(shapely.box(*polygon.bounds)):
                continue
            # Only its own part of the raster is painted: real maps have hundreds of polygons in kilometres.
            low = np.clip(np.floor((np.array(polygon.bounds[:2]) - origin) / resolution_m).astype(int), 0, shape)
            high = np.clip(np.ceil((np.array(polygon.bounds[2:]) - origin) / resolution_m).astype(int), 0, shape)
            if (high > low).all():
                part = raster[low[0] : high[0], low[1] : high[1]]
                part |= _painted(polygon, origin + low * resolution_m, tuple(high - low), resolution_m)
    return raster


def _painted(polygon: shapely.Polygon, origin: np.ndarray, shape: tuple[int, int], resolution_m: float) -> np.ndarray:
    """Cells `(H, W)` whose centre lies in a polygon or within half a cell of its border."""
    image = Image.new("1", shape)  # a picture's x runs along its width: global x
    draw = ImageDraw.Draw(image)
    for ring, value in ((polygon.exterior, 1), *((hole, 0) for hole in polygon.interiors)):
        pixels = (np.array(ring.coords) - origin) / resolution_m - 0.5
        draw.polygon([tuple(p) for p in pixels.tolist()], fill=value)
    return np.array(image).T
