"""Road maps read from a map expansion: the town's, compared with the town, and maps with something wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import shapely

from drivewm.data import DataError, UnsafePathError
from drivewm.data.nuscenes_schema import LOCATIONS
from drivewm.data.road_map import load_road_map
from drivewm.data.town_scene import town_at
from drivewm.simulation import Town
from drivewm.structures.road_map import RoadMap
from tests.conftest import TOWN_SEED


@pytest.fixture(scope="module", params=LOCATIONS[:2])
def place(request, town_root) -> tuple[RoadMap, Town]:
    return load_road_map(town_root, request.param), town_at(TOWN_SEED, request.param)


def by_town(loaded: RoadMap, town: Town) -> dict[int, int]:
    """Number in the loaded map of each lane of the town: the lane that starts and ends where it does."""
    ends = {i: np.concatenate([lane.centerline[0], lane.centerline[-1]]) for i, lane in loaded.lanes.items()}
    found = {}
    for i, lane in town.road_map().lanes.items():
        own = np.concatenate([lane.centerline[0], lane.centerline[-1]])
        found[i] = min(ends, key=lambda j: np.abs(ends[j] - own).max())
    assert sorted(found.values()) == sorted(loaded.lanes)
    return found


def test_lanes_are_those_of_the_town(place):
    loaded, town = place
    number = by_town(loaded, town)
    intersections: dict[int, set[int]] = {}
    for i, lane in town.road_map().lanes.items():
        own = loaded.lanes[number[i]]
        assert own.lane_id == number[i] and own.centerline.dtype == np.float64
        line, read = shapely.LineString(lane.centerline), shapely.LineString(own.centerline)
        assert line.hausdorff_distance(read) < 0.3
        assert own.centerline[0] == pytest.approx(lane.centerline[0], abs=0.01)  # in driving direction
        assert np.linalg.norm(np.diff(own.centerline, axis=0), axis=1).min() > 1e-3
        assert set(own.successors) == {number[after] for after in lane.successors}
        assert own.width_m == pytest.approx(lane.width_m, rel=0.1)
        assert (own.intersection is None) == (lane.intersection is None)
        if lane.intersection is not None:
            intersections.setdefault(lane.intersection, set()).add(own.intersection)
    assert all(len(members) == 1 for members in intersections.values())
    assert len(set.union(*intersections.values())) == len(intersections)


@pytest.mark.parametrize("resolution_m", [0.125, 0.25])
def test_the_raster_is_the_ground(place, town_root, resolution_m):
    _, town = place
    loaded, truth = load_road_map(town_root, town.location, resolution_m=resolution_m), town.road_map()
    rng = np.random.default_rng(0)
    points = np.concatenate([lane.centerline for lane in truth.lanes.values()])
    near = points[rng.integers(0, len(points), 20_000)] + rng.uniform(-12, 12, (20_000, 2))
    inside, expected = loaded.is_drivable(near), truth.is_drivable(near)
    assert 0.2 < expected.mean() < 0.9 and (inside == expected).mean() > 0.98
    np.testing.assert_array_equal(loaded.is_drivable(points), True)


def test_part_of_a_map(place, town_root):
    whole, town = place
    x, y = town.nodes[0]
    area = (x - 30.0, y - 20.0, x + 30.0, y + 40.0)
    part = load_road_map(town_root, town.location, area)
    frame = shapely.box(*area)
    touching = {i for i, lane in whole.lanes.items() if frame.intersects(shapely.LineString(lane.centerline))}
    assert set(part.lanes) == touching and 0 < len(touching) < len(whole.lanes)
    for i, lane in part.lanes.items():
        np.testing.assert_array_equal(lane.centerline, whole.lanes[i].centerline)
        assert lane.successors == tuple(after for after in whole.lanes[i].successors if after in touching)
    points = np.random.default_rng(1).uniform(area[:2], area[2:], (5000, 2))
    assert (part.is_drivable(points) == whole.is_drivable(points)).mean() > 0.99
    assert part.drivable.shape == (240, 240)


def test_holes_are_not_drivable(tmp_path):
    """A square of 20 m with a hole of 10 m, in which lies an island of road of 4 m."""

    def square(name: str, half: float) -> list[dict]:
        corners = ((-1, -1), (1, -1), (1, 1), (-1, 1))
        return [{"token": f"{name}{i}", "x": 30 + half * x, "y": 20 + half * y} for i, (x, y) in enumerate(corners)]

    rings = {"a": square("a", 10.0), "b": square("b", 5.0), "c": square("c", 2.0)}
    names = {name: [node["token"] for node in ring] for name, ring in rings.items()}
    content = {
        "version": "1.3",
        "canvas_edge": [60.0, 40.0],
        "node": [node for ring in rings.values() for node in ring],
        "polygon": [
            {"token": "p", "exterior_node_tokens": names["a"], "holes": [{"node_tokens": names["b"]}]},
            {"token": "q", "exterior_node_tokens": names["c"], "holes": []},
        ],
        "drivable_area": [{"token": "d", "polygon_tokens": ["p", "q"]}],
        **{name: [] for name in ("road_segment", "lane", "lane_connector")},
        "arcline_path_3": {},
        "connectivity": {},
    }
    path = tmp_path / "maps/expansion/boston-seaport.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))
    loaded = load_road_map(tmp_path, "boston-seaport")
    assert loaded.lanes == {} and loaded.drivable.shape == (240, 160)
    offset = np.random.default_rng(0).uniform(-15, 15, (5000, 2))
    distance = np.abs(offset).max(axis=1)
    expected = (distance < 2) | ((distance > 5) & (distance < 10))
    clear = np.min([np.abs(distance - edge) for edge in (2, 5, 10)], axis=0) > 0.3
    np.testing.assert_array_equal(loaded.is_drivable(offset + [30, 20])[clear], expected[clear])


def test_no_expansion_and_names_that_leave_the_root(town_root, tmp_path):
    assert load_road_map(tmp_path, LOCATIONS[0]) is None
    with pytest.raises(UnsafePathError, match="location"):
        load_road_map(town_root, "../../etc")
    with pytest.raises(ValueError, match="area must be"):
        load_road_map(town_root, LOCATIONS[0], (0.0, 0.0, 0.0, 5.0))
    with pytest.raises(ValueError, match="resolution_m"):
        load_road_map(town_root, LOCATIONS[0], resolution_m=0.0)


def _rename(content):
    content["lane"][0]["polygon_token"] = "nobody"


def _no_path(content):
    del content["arcline_path_3"][content["lane"][0]["token"]]


def _bad_path(content):
    content["arcline_path_3"][content["lane"][0]["token"]] = [{"radius": 1.0}]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.pop("connectivity"), "no connectivity"),
        (lambda c: c.update(version="1.2"), "version: found 1.2"),
        (lambda c: c["node"][0].pop("x"), "rows without their fields"),
        (_rename, "polygon_token: found token nobody"),
        (_no_path, "arcline_path_3"),
        (_bad_path, "a chain of arcs"),
        (lambda c: c["polygon"][0].update(exterior_node_tokens=["nowhere"]), "node_tokens: found token nowhere"),
        (lambda c: c["lane"].append(c["lane"][0]), "a token twice"),
    ],
)
def test_broken_maps(town_root, tmp_path, change, words):
    path = Path(tmp_path, "maps/expansion", f"{LOCATIONS[0]}.json")
    path.parent.mkdir(parents=True)
    content = json.loads((town_root / "maps/expansion" / path.name).read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=words):
        load_road_map(tmp_path, LOCATIONS[0])


def test_followers_that_do_not_exist_are_left_out(town_root, tmp_path):
    root = Path(shutil.copytree(town_root / "maps", tmp_path / "maps")).parent
    path = root / "maps/expansion" / f"{LOCATIONS[0]}.json"
    content = json.loads(path.read_text())
    for row in content["connectivity"].values():
        row["outgoing"].append("nobody")
    path.write_text(json.dumps(content))
    before, after = (load_road_map(folder, LOCATIONS[0]) for folder in (town_root, root))
    assert [lane.successors for lane in before.lanes.values()] == [lane.successors for lane in after.lanes.values()]
