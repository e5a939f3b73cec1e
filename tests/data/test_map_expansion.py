"""The town's map expansion, read by the unmodified devkit and compared with the town."""

from __future__ import annotations

import json

import descartes.patch
import matplotlib
import numpy as np
import pytest
import shapely
from nuscenes.map_expansion.arcline_path_utils import discretize_lane, length_of_lane
from nuscenes.map_expansion.bitmap import BitMap
from nuscenes.map_expansion.map_api import NuScenesMap
from nuscenes.map_expansion.utils import get_disconnected_lanes, get_egoposes_on_drivable_ratio
from nuscenes.nuscenes import NuScenes

from drivewm.data import map_layers
from drivewm.data.map_expansion import map_expansion
from drivewm.data.nuscenes_rows import token
from drivewm.data.nuscenes_schema import LOCATIONS
from drivewm.data.town_scene import town_at
from drivewm.simulation import Town
from drivewm.simulation.kinds import CAR
from drivewm.structures import OCC3D
from tests.conftest import TOWN_SEED

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  (after the choice of what draws)

KEY = f"town/{TOWN_SEED}"


@pytest.fixture(scope="module")
def maps(town_root) -> dict[str, NuScenesMap]:
    return {location: NuScenesMap(str(town_root), location) for location in LOCATIONS}


@pytest.fixture(params=LOCATIONS)
def place(request, maps) -> tuple[NuScenesMap, Town]:
    """A map and the town that it is of."""
    return maps[request.param], town_at(TOWN_SEED, request.param)


def lane_token(town: Town, lane: int) -> str:
    return token(KEY, town.location, "lane_connector" if town.lanes.is_connector[lane] else "lane", lane)


def share_in_common(shape, cells: np.ndarray, town: Town) -> float:
    """Intersection over union of a shape and cells `(H, W)` of the town's ground."""
    ground = town.ground
    low, cell = ground.origin_m, ground.resolution_m
    centers = (low[axis] + (np.arange(cells.shape[axis]) + 0.5) * cell for axis in range(2))
    shapely.prepare(shape)
    inside = shapely.contains_xy(shape, *np.meshgrid(*centers, indexing="ij"))
    return (inside & cells).sum() / (inside | cells).sum()


def test_says_what_it_is(place):
    devkit, town = place
    content = devkit.json_obj
    assert content["version"] == "1.3" and content["source"] == f"procedural town, seed {TOWN_SEED}"
    assert devkit.canvas_edge == pytest.approx(town.ground.classes.shape * np.array(town.ground.resolution_m), abs=0.1)
    for layer in devkit.layer_names:
        tokens = [record["token"] for record in content[layer]]
        assert len(set(tokens)) == len(tokens)
        assert tokens or (layer == "traffic_light" and not len(town.signals.lanes(town.lanes))), layer


def test_polygons_are_valid_and_within_the_canvas(place):
    devkit, _ = place
    canvas = shapely.box(0.0, 0.0, *devkit.canvas_edge)
    for record in devkit.polygon:
        polygon = devkit.extract_polygon(record["token"])
        assert polygon.is_valid and polygon.area > 0.4 and canvas.contains(polygon)
    lights = {record["line_token"] for record in devkit.traffic_light}
    for record in devkit.line:
        assert devkit.extract_line(record["token"]).length > (0.3 if record["token"] in lights else 1.0)


def test_surfaces_are_those_of_the_ground(place):
    devkit, town = place
    surfaces = {
        "drivable_area": (devkit.drivable_area[0]["polygon_tokens"], town.ground.drivable, 0.98),
        "walkway": (
            [record["polygon_token"] for record in devkit.walkway],
            town.ground.classes == OCC3D.index("sidewalk"),
            0.97,
        ),
    }
    for name, (tokens, cells, least) in surfaces.items():
        union = shapely.unary_union([devkit.extract_polygon(name) for name in tokens])
        assert share_in_common(union, cells, town) > least, name


def test_what_vehicles_use_is_drivable(place):
    devkit, _ = place
    drivable = shapely.unary_union([devkit.extract_polygon(t) for t in devkit.drivable_area[0]["polygon_tokens"]])
    for layer in ("road_segment", "road_block", "lane", "lane_connector", "stop_line", "carpark_area", "ped_crossing"):
        for record in devkit.json_obj[layer]:
            polygon = devkit.extract_polygon(record["polygon_token"])
            assert (polygon - drivable).area < 0.02 * polygon.area + 0.05, layer
    lanes = [devkit.extract_polygon(record["polygon_token"]) for record in devkit.lane]
    assert sum(lane.area for lane in lanes) - shapely.unary_union(lanes).area < 1.0  # lanes do not overlap
    for record in devkit.walkway:
        assert (devkit.extract_polygon(record["polygon_token"]) & drivable).area < 2.0


def test_centerlines_are_those_of_the_lanes(place):
    devkit, town = place
    for lane in range(len(town.lanes)):
        name, line = lane_token(town, lane), town.lanes.table.polyline(lane)
        path = devkit.get_arcline_path(name)
        poses = np.array(devkit.discretize_lanes([name], 0.25)[name])
        away = shapely.distance(shapely.LineString(line), shapely.points(poses[:, :2]))
        back = shapely.distance(shapely.LineString(poses[:, :2]), shapely.points(line))
        assert max(away.max(), back.max()) < 0.05
        assert length_of_lane(path) == pytest.approx(town.lanes.table.length[lane], rel=2e-3)
        for one, other in zip(path, path[1:], strict=False):
            np.testing.assert_allclose(one["end_pose"], other["start_pose"], atol=1e-3)
            np.testing.assert_allclose(discretize_lane([one], 0.25)[-1], one["end_pose"], atol=1e-3)
        forward = np.diff(poses[:, :2], axis=0)
        far = np.linalg.norm(forward, axis=1) > 0.1
        turned = np.arctan2(forward[far, 1], forward[far, 0]) - poses[:-1][far, 2]
        assert np.abs(np.angle(np.exp(1j * turned))).max() < 0.05
    assert len(devkit.discretize_centerlines(1.0)) == len(town.lanes)


def test_connections_are_those_of_the_road_map(place):
    devkit, town = place
    for lane, row in town.road_map().lanes.items():
        name = lane_token(town, lane)
        assert devkit.get_outgoing_lane_ids(name) == [lane_token(town, after) for after in row.successors]
        for after in row.successors:
            follower = lane_token(town, after)
            assert name in devkit.get_incoming_lane_ids(follower)
            end = devkit.get_arcline_path(name)[-1]["end_pose"]
            start = devkit.get_arcline_path(follower)[0]["start_pose"]
            np.testing.assert_allclose(end[:2], start[:2], atol=1e-3)
            assert abs(np.angle(np.exp(1j * (end[2] - start[2])))) < 0.02
    assert get_disconnected_lanes(devkit) == []


def test_queries_by_place(place):
    devkit, town = place
    for lane in np.flatnonzero(~town.lanes.is_connector)[::7]:
        line = town.lanes.table.polyline(lane)
        x, y = line[len(line) // 2]
        name = lane_token(town, lane)
        assert devkit.get_closest_lane(x, y, radius=2) == name
        street, side = town.lanes.street[lane], int(town.lanes.forward[lane])
        on = devkit.layers_on_point(x, y)
        assert on["lane"] == name and on["drivable_area"] == devkit.drivable_area[0]["token"]
        assert on["road_block"] == token(KEY, town.location, "road_block", f"{street}/{side}")
        assert on["road_segment"] == token(KEY, town.location, "road_segment", street) and on["walkway"] == ""
        near = devkit.get_records_in_radius(x, y, 2.5, ["lane", "road_divider", "lane_connector"])
        beside = 1 + int((town.lanes.beside[lane] >= 0).sum()) + int(town.lanes.index[lane] == 0)
        assert name in near["lane"] and len(near["lane"]) == beside and not near["lane_connector"]
        end = town.lanes.table.pose(np.array([lane]), town.lanes.table.length[[lane]] - 0.5)[0]
        assert devkit.get_next_roads(*end[:2])["road_segment"] == [
            token(KEY, town.location, "road_segment", f"junction/{town.lanes.junction[lane]}")
        ]
    for x, y in town.nodes:
        assert devkit.get("road_segment", devkit.record_on_point(x, y, "road_segment"))["is_intersection"]
    for x, y, _ in town.walks.crossing_pose:
        assert devkit.record_on_point(x, y, "ped_crossing")
    for x, y in town.scenery.parked_boxes[town.scenery.parked_kinds == CAR, :2]:
        assert devkit.record_on_point(x, y, "drivable_area")


def test_edges_and_stop_lines_say_the_direction(place):
    devkit, town = place
    for lane in np.flatnonzero(~town.lanes.is_connector):
        record, line = devkit.get("lane", lane_token(town, lane)), town.lanes.table.polyline(lane)
        for edge, end in (("from_edge_line_token", line[0]), ("to_edge_line_token", line[-1])):
            assert devkit.extract_line(record[edge]).distance(shapely.Point(end)) < 0.01
        inward = line[1] - line[0]
        for side, sign in (("left", 1.0), ("right", -1.0)):
            node = record[f"{side}_lane_divider_segment_nodes"][0]
            beside = np.array([node["x"], node["y"]]) - line[0]
            assert np.sign(inward[0] * beside[1] - inward[1] * beside[0]) == sign
    lit = {name for record in devkit.stop_line for name in record["traffic_light_tokens"]}
    assert lit == {record["token"] for record in devkit.traffic_light}
    kinds = {record["stop_line_type"] for record in devkit.stop_line}
    assert kinds == {"YIELD", "PED_CROSSING"} | ({"TRAFFIC_LIGHT"} if lit else set())
    for record in devkit.stop_line:
        line = devkit.extract_polygon(record["polygon_token"])
        block = devkit.get("road_block", record["road_block_token"])
        assert devkit.extract_polygon(block["polygon_token"]).buffer(0.05).contains(line)
        for light in record["traffic_light_tokens"]:
            # Those who wait have it on their right and see its face.
            pose = devkit.get("traffic_light", light)["pose"]
            ahead = np.array([np.cos(pose["rz"]), np.sin(pose["rz"])])
            x, y = np.array([pose["tx"], pose["ty"]]) - np.array(line.centroid.coords[0])
            assert -1.0 < ahead @ [x, y] < 12.0 and -15.0 < ahead[0] * y - ahead[1] * x < -2.0
        for waits_for in record["ped_crossing_tokens"]:
            crossing = devkit.extract_polygon(devkit.get("ped_crossing", waits_for)["polygon_token"])
            assert 0.3 < line.distance(crossing) < 1.5
            # The line comes first.
            start = devkit.extract_line(block["from_edge_line_token"])
            assert start.distance(line.centroid) < start.distance(crossing.centroid)


def test_ego_poses_are_on_the_drivable_area(town_root, maps):
    devkit = NuScenes("v1.0-town", str(town_root), verbose=False)
    for scene in devkit.scene:
        location = devkit.get("log", scene["log_token"])["location"]
        assert get_egoposes_on_drivable_ratio(devkit, maps[location], scene["token"]) == 1.0


@pytest.fixture
def figures(monkeypatch):
    # The devkit draws polygons with descartes, whose last version does not know how shapely 2 gives coordinates.
    monkeypatch.setattr(descartes.patch, "asarray", lambda ring: np.asarray(ring.coords))
    yield
    plt.close("all")


def test_it_can_be_drawn(town_root, maps, figures):
    devkit = maps[LOCATIONS[0]]
    town = town_at(TOWN_SEED, LOCATIONS[0])
    basemap = BitMap(str(town_root), LOCATIONS[0], "basemap")
    assert basemap.image.shape == town.ground.classes.shape[::-1]
    x, y = town.nodes[0]
    _, axes = devkit.render_layers(devkit.non_geometric_layers, figsize=(4, 4), bitmap=basemap)
    assert len(axes.patches) > 100 and len(axes.images) == 1
    devkit.render_centerlines(figsize=(4, 4))
    figure, _ = devkit.render_map_patch((x - 40, y - 40, x + 40, y + 40), figsize=(4, 4), bitmap=basemap)
    figure.canvas.draw()
    layers = ["drivable_area", "lane", "ped_crossing", "walkway", "road_divider"]
    masks = devkit.get_map_mask((x, y, 80.0, 80.0), 0.0, layers, (160, 160))
    assert masks.shape == (5, 160, 160) and masks.any(axis=(1, 2)).all() and masks[0, 80, 80]


def test_the_picture_is_the_right_way_round(town_root):
    town = town_at(TOWN_SEED, LOCATIONS[1])
    image = BitMap(str(town_root), LOCATIONS[1], "basemap").image
    cells = np.floor(town.nodes / town.ground.resolution_m).astype(int)
    assert len(set(image[image.shape[0] - 1 - cells[:, 1], cells[:, 0]])) == 1  # all junctions are road
    assert image[0, 0] != image[image.shape[0] - 1 - cells[0, 1], cells[0, 0]]


def test_same_seed_same_map(town_root):
    location = LOCATIONS[2]
    again = map_expansion(Town.generate(TOWN_SEED, location), KEY)
    assert json.loads((town_root / "maps" / "expansion" / f"{location}.json").read_text()) == again
    other = map_expansion(Town.generate(TOWN_SEED, location), "another")
    assert {node["token"] for node in other["node"]}.isdisjoint(node["token"] for node in again["node"])


@pytest.mark.parametrize("turn", [0.0, 0.4, -1.6, 2.5])
def test_arcs_of_a_circle_and_of_a_clothoid(turn):
    """A line of constant curvature is one arc; one of growing curvature is followed within the tolerance."""
    share = np.linspace(0.0, 1.0, 81)
    for yaw in (1.0 + turn * share, 1.0 + turn * share**2):
        step = 0.5 * np.stack([np.cos(yaw), np.sin(yaw)], axis=-1)
        line = np.concatenate([[[10.0, 20.0]], 10.0 + np.cumsum((step[1:] + step[:-1]) / 2, axis=0) + [0.0, 10.0]])
        chain = map_layers.arc_chain(line)
        away = np.min([arc.distance(line) for arc in chain], axis=0)
        assert away.max() <= map_layers.LINE_TOLERANCE_M + 1e-9
        assert chain[0].start[:2] == tuple(line[0]) and chain[-1].end[:2] == tuple(line[-1])
        for one, other in zip(chain, chain[1:], strict=False):
            assert one.end == pytest.approx(other.start, abs=1e-3)
        signs = {np.sign(arc.curvature) for arc in chain if abs(arc.curvature) > 1e-4}
        assert signs <= {np.sign(turn)} and len(chain) <= 8


def test_points_become_corners_of_a_ring():
    ring = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0]])
    found = map_layers.with_points(ring, np.array([[1.0, 0.0], [3.98, 4.01], [2.0, 2.0]]))
    np.testing.assert_array_equal(found, [[0.0, 0.0], [1.0, 0.0], [4.0, 0.0], [3.98, 4.01], [0.0, 4.0]])
