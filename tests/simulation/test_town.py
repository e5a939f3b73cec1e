"""The town: a connected road net, lanes that join, scenery off the road, the same bytes for the same seed."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from drivewm.geometry.boxes import bev_corners
from drivewm.simulation import Town
from drivewm.simulation.streets import generate_streets
from drivewm.structures.labels import OCC3D

SEEDS = (0, 1, 2, 3)


def digest(town: Town) -> str:
    parts = [
        town.ground.classes,
        town.lanes.table.points,
        town.walks.table.points,
        town.static.boxes,
        town.static.cylinders,
    ]
    return hashlib.sha256(b"".join(np.ascontiguousarray(p).tobytes() for p in parts)).hexdigest()


@pytest.fixture(scope="module", params=SEEDS)
def town(request) -> Town:
    return Town.generate(request.param, "somewhere", extent_m=220.0)


def test_same_seed_same_town_in_any_process():
    here = digest(Town.generate(5, "here", 220.0))
    assert here == digest(Town.generate(5, "here", 220.0))
    assert here != digest(Town.generate(5, "there", 220.0)) and here != digest(Town.generate(6, "here", 220.0))
    code = "from test_town import *; print(digest(Town.generate(5, 'here', 220.0)))"
    out = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path + [str(__file__).rsplit('/', 1)[0]]!r}; {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.strip() == here


def test_lanes_join_without_a_step_or_a_kink(town):
    table = town.lanes.table
    for lane in range(len(town.lanes)):
        assert len(town.lanes.successors[lane]) >= 1
        for following in town.lanes.successors[lane]:
            a, b = table.polyline(lane), table.polyline(following)
            np.testing.assert_allclose(a[-1], b[0], atol=1e-6)
            turn = np.arctan2(*(a[-1] - a[-2])[::-1]) - np.arctan2(*(b[1] - b[0])[::-1])
            assert abs((turn + np.pi) % (2 * np.pi) - np.pi) < 0.2
            assert lane in town.lanes.predecessors[following]


def test_every_lane_can_be_reached_from_every_other(town):
    for start in (0, len(town.streets)):
        reached, frontier = {start}, [start]
        while frontier:
            here = frontier.pop()
            for lane in (*town.lanes.successors[here], *town.lanes.beside[here].tolist()):
                if lane >= 0 and lane not in reached:
                    reached.add(lane)
                    frontier.append(lane)
        assert len(reached) >= len(town.lanes) - 1


def test_conflicts_are_mutual_and_between_connectors_of_one_junction(town):
    conflict = town.lanes.conflicts >= 0
    np.testing.assert_array_equal(conflict, conflict.T)
    a, b = np.nonzero(conflict)
    assert town.lanes.is_connector[a].all() and (town.lanes.junction[a] == town.lanes.junction[b]).all()


def test_lanes_are_drivable_over_the_width_of_a_bus(town):
    road_map = town.road_map()
    for lane in range(len(town.lanes)):
        pose = town.lanes.table.pose(np.full(40, lane), np.linspace(0, town.lanes.table.length[lane], 40))
        for side in (-1.2, 1.2):
            beside = pose[:, :2] + side * np.stack([-np.sin(pose[:, 2]), np.cos(pose[:, 2])], -1)
            assert road_map.is_drivable(beside).all()
    assert not road_map.is_drivable(np.array([-1e5, 0.0]))


def test_scenery_keeps_off_the_road(town):
    # Buildings, hedges and trunks stand beside the road; parked vehicles stand on the parking strips.
    scenery = town.scenery
    corners = bev_corners(scenery.bodies.boxes).reshape(-1, 2)
    feet = np.concatenate([corners, scenery.bodies.boxes[:, :2], scenery.bodies.cylinders[:, :2]])
    assert not town.road_map().is_drivable(feet).any()
    if len(scenery.parked_boxes):
        for street in town.streets:
            gap = np.linalg.norm(bev_corners(scenery.parked_boxes)[:, :, None] - street.centerline, axis=-1)
            assert gap.min() > street.half_m - 0.3


def test_the_surfaces_are_all_there(town):
    for name in ("driveable_surface", "sidewalk", "terrain"):
        assert (town.ground.classes == OCC3D.index(name)).mean() > 0.02


def test_straight_and_curved_streets_are_both_common():
    curved = [s.curved for seed in range(12) for s in generate_streets(np.random.default_rng(seed), 330.0)[1]]
    assert 0.2 < np.mean(curved) < 0.8


@pytest.mark.parametrize(
    "arguments, word", [((-1, "x"), "seed"), ((0, "x", 10.0), "extent_m"), ((0, "x", float("nan")), "extent_m")]
)
def test_an_impossible_town_is_refused(arguments, word):
    with pytest.raises(ValueError, match=word):
        Town.generate(*arguments)
