"""The published raster collision, by hand and by brute force; off-road steps; the metric's columns and subset."""

import numpy as np
import pytest
import shapely

from drivewm.evaluation.functional.planning import off_road
from drivewm.evaluation.functional.planning_grid import CELLS, LIDAR_AHEAD_M, grid_collisions, rasterize
from drivewm.evaluation.metrics import OpenLoopPlanningMetric
from drivewm.geometry.boxes import bev_corners
from drivewm.structures.road_map import RoadMap
from drivewm.structures.route import Command


def box(x, y, length=4.0, width=2.0, yaw=0.0):
    """In the LiDAR frame's axes of the rear axle: x ahead of the LiDAR."""
    return np.array([x + LIDAR_AHEAD_M, y, 0.7, length, width, 1.5, yaw])


def raster_of(*boxes, steps=1):
    stacked = np.tile(np.array(boxes).reshape(1, -1, 7), (steps, 1, 1))
    return rasterize(stacked, np.ones(stacked.shape[:2], bool))


def test_a_box_by_hand():
    # Corners at 9.1 and 11.1 m ahead, 1.2 m left to 1.2 m right: (9.1 + 50) / 0.5 = 118.2 and 122.2; 97.6 and 102.4.
    occupied = raster_of(box(10.1, 0.0, length=2.0, width=2.4))[0]
    rows, columns = np.nonzero(occupied)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (118, 122, 98, 102)
    assert occupied.sum() == 5 * 5  # borders included: 2.5 m for a box of 2 m
    left = raster_of(box(0.0, 20.0))[0]
    assert np.nonzero(left)[1].max() < 100  # columns run to the right


def test_the_ego_is_eight_by_four_cells():
    """Each of its cells, and no other, collides: from 1.5 m behind the LiDAR to 2.5 m ahead, 1 m to each side."""
    hits = np.zeros((CELLS, CELLS), bool)
    for row in range(90, 112):
        for column in range(94, 106):
            occupied = np.zeros((1, CELLS, CELLS), bool)
            occupied[0, row, column] = True
            hits[row, column] = grid_collisions(np.zeros((1, 3)), occupied)[0]
    rows, columns = np.nonzero(hits)
    assert hits.sum() == 32
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (97, 104, 98, 101)


def test_its_place_is_cut_off_to_cells_and_it_never_turns():
    # The box begins at row 106: the ego's front, row 104, gets there after two cells.
    occupied = raster_of(box(4.9, 0.0), steps=4)  # 2.9 m ahead: (2.9 + 50) / 0.5 = 105.8
    poses = np.array([[0.0, 0, 0], [0.99, 0, 0], [1.01, 0, 0], [3.0, 0, 0]])
    np.testing.assert_array_equal(grid_collisions(poses, occupied), [False, False, True, True])
    # Standing across, its real front is 2.5 m to the left; the raster's is still ahead.
    beside = raster_of(box(0.0, 3.4, width=1.0), steps=1)
    assert not grid_collisions(np.array([[0.0, 0.0, 0.0]]), beside)[0]
    turned = np.array([[LIDAR_AHEAD_M, -LIDAR_AHEAD_M, np.pi / 2]])  # the LiDAR is where it was
    assert not grid_collisions(turned, beside)[0]
    assert grid_collisions(turned, raster_of(box(2.5, 0.0, length=1.0)))[0]


def test_beyond_the_raster_the_ego_is_held_at_the_border():
    occupied = raster_of(box(49.0, 0.0))
    assert grid_collisions(np.array([[90.0, 0.0, 0.0]]), occupied)[0]
    assert not raster_of(box(80.0, 0.0)).any()


def test_against_brute_force():
    """Every cell looked at by itself: shapely for drawn boxes, a loop for the ego's cells."""
    rng = np.random.default_rng(0)
    steps, count = 6, 8
    boxes = np.concatenate(
        [
            rng.uniform(-20, 20, (steps, count, 2)),
            np.zeros((steps, count, 1)),
            rng.uniform(1, 8, (steps, count, 3)),
            rng.uniform(-4, 4, (steps, count, 1)),
        ],
        axis=-1,
    )
    valid = rng.random((steps, count)) < 0.6
    poses = np.concatenate([rng.uniform(-12, 12, (steps, 2)), rng.uniform(-3, 3, (steps, 1))], axis=-1)
    occupied = rasterize(boxes, valid)
    seen = []
    for step in range(steps):
        drawn = []
        for corners in bev_corners(boxes[step])[valid[step]]:
            rounded = np.round((np.stack([corners[:, 0] - LIDAR_AHEAD_M, -corners[:, 1]], axis=-1) + 50.0) / 0.5)
            drawn.append(shapely.Polygon(rounded))
        area = shapely.unary_union(drawn)
        cells = np.stack(np.meshgrid(np.arange(CELLS), np.arange(CELLS), indexing="ij"), axis=-1)
        away = shapely.distance(area, shapely.points(cells.astype(float)))
        assert occupied[step][away == 0].all()  # all cells inside are drawn
        assert not occupied[step][away > 0.75].any()  # and borders are lines of one cell
        x, y, yaw = poses[step]
        hit = False
        for row in range(97, 105):
            for column in range(98, 102):
                r = int(row + (x + LIDAR_AHEAD_M * (np.cos(yaw) - 1)) / 0.5)
                c = int(column - (y + LIDAR_AHEAD_M * np.sin(yaw)) / 0.5)
                hit |= bool(occupied[step, r, c])
        assert grid_collisions(poses[step : step + 1], occupied[step : step + 1])[0] == hit
        seen.append(hit)
    assert 0 < sum(seen) < steps


def test_borders_are_drawn_as_opencv_draws_them():
    cv2 = pytest.importorskip("cv2")
    rng = np.random.default_rng(1)
    differ = 0
    for _ in range(50):
        one = box(*rng.uniform(-20, 20, 2), *rng.uniform(1, 8, 2), rng.uniform(-4, 4))
        corners = bev_corners(one)
        cells = np.round((np.stack([corners[:, 0] - LIDAR_AHEAD_M, -corners[:, 1]], axis=-1) + 50.0) / 0.5)
        image = cv2.fillPoly(np.zeros((CELLS, CELLS), np.uint8), [cells[:, ::-1].astype(np.int32)], 1)
        differ += (raster_of(one)[0] != image.astype(bool)).sum() / image.sum()
    assert differ / 50 < 0.06  # of the cells: at borders alone


def test_wrong_shapes():
    with pytest.raises(ValueError, match=r"boxes \(F, M, 7\)"):
        rasterize(np.zeros((2, 7)), np.ones(2, bool))
    with pytest.raises(ValueError, match=r"poses \(1, 3\)"):
        grid_collisions(np.zeros((2, 3)), np.zeros((1, CELLS, CELLS), bool))


def road(width_m=8.0):
    """A road along global y: x from 100 to 100 + width."""
    drivable = np.zeros((400, 400), bool)
    drivable[200 : 200 + int(2 * width_m)] = True
    return RoadMap({}, drivable, (0.0, 0.0), 0.5)


def test_off_road_by_hand():
    # The ego stands in the middle of the road and looks along it; 4 m long, 2 m wide, 3 m free to each side.
    pose = np.array([104.0, 100.0, np.pi / 2])
    ego = np.array([[5.0, left, 0.7, 4.0, 2.0, 1.5, 0.0] for left in (0.0, 2.9, 3.1, -2.9, -3.1)])
    np.testing.assert_array_equal(off_road(ego, pose, road()), [False, False, True, False, True])
    across = np.array([[0.0, 2.9, 0.7, 4.0, 2.0, 1.5, np.pi / 2]])
    assert off_road(across, pose, road())[0]
    assert off_road(np.array([[500.0, 0.0, 0.7, 4.0, 2.0, 1.5, 0.0]]), pose, road())[0]


def line(speed, left=0.0, steps=6):
    times = 0.5 * np.arange(1, steps + 1)
    return np.stack([speed * times, np.full(steps, left), np.zeros(steps)], axis=-1)


def sample(command, speed=8.0, left=0.0, **more):
    """Truth at 4 m/s runs into a box that begins 12 m ahead of the LiDAR; so does a faster plan, earlier."""
    boxes = np.tile(box(14.0, 0.0), (6, 1, 1))
    planning = {
        "scene": "a",
        "plans": {"fast": line(speed, left)},
        "truth": line(4.0),
        "valid": np.ones(6, bool),
        "dt_s": 0.5,
        "boxes": boxes,
        "boxes_valid": np.ones((6, 1), bool),
        "command": command,
    }
    return {"planning": planning | more}


def test_the_metric_has_both_ways_with_and_without_the_truths_own():
    metric = OpenLoopPlanningMetric()
    metric.process(None, [sample(Command.STRAIGHT, speed=5.2)])
    out = metric.evaluate(size=1)
    # The ego is on rows 97 to 104, the box on 124 to 132. At 5.2 m/s the front is on row 124.8 at 2 s, cut off to 124,
    # and the rear is still in the box at 3 s; the truth gets there with 10 m, at 2.5 s.
    assert out["fast/collision_grid_instant/1s"] == 0 and out["fast/collision_grid_instant/2s"] == 100
    assert out["ground_truth/collision_grid_instant/2s"] == 0 and out["ground_truth/collision_grid_instant/3s"] == 100
    assert out["fast/collision_grid_mean/3s"] == pytest.approx(100 * 3 / 6)
    assert out["fast/collision_grid_clean_mean/3s"] == pytest.approx(100 * 1 / 6)
    assert out["fast/collision_grid_clean_instant/3s"] == 0
    assert {k.split("/")[1] for k in out if k.startswith("fast/collision")} == {
        f"collision{way}{drop}_{average}"
        for way in ("", "_grid")
        for drop in ("", "_clean")
        for average in ("instant", "mean")
    }


def test_the_subset_is_chosen_by_the_route_and_counted():
    metric = OpenLoopPlanningMetric()
    commands = (Command.STRAIGHT, Command.LEFT, Command.RIGHT, Command.NONE)
    metric.process(None, [sample(c, speed=v) for c, v in zip(commands, (4.0, 6.0, 8.0, 4.0), strict=True)])
    out = metric.evaluate(size=4)
    assert out["samples_instant/1s"] == 4 and out["non_straight/samples_instant/1s"] == 2
    assert out["fast/l2_instant/1s"] == pytest.approx((0 + 2 + 4 + 0) / 4)
    assert out["non_straight/fast/l2_instant/1s"] == pytest.approx(3.0)
    metric.process(None, [sample(Command.STRAIGHT)])
    out = metric.evaluate(size=1)
    assert out["non_straight/samples_mean/3s"] == 0 and "non_straight/fast/l2_mean/1s" not in out
    metric.process(None, [sample(None), sample(Command.LEFT)])
    assert not any(name.startswith("non_straight") for name in metric.evaluate(size=2))


def test_off_road_columns_where_all_samples_have_a_map():
    here = {"road_map": road(), "pose": np.array([104.0, 100.0, np.pi / 2])}
    metric = OpenLoopPlanningMetric()
    metric.process(None, [sample(Command.LEFT, **here), sample(Command.LEFT, left=5.0, **here)])
    out = metric.evaluate(size=2)
    assert out["fast/off_road_instant/1s"] == 50 and out["ground_truth/off_road_mean/3s"] == 0
    assert "fast/off_road_clean_instant/1s" not in out
    metric.process(None, [sample(Command.LEFT, **here), sample(Command.LEFT)])
    assert not any("off_road" in name for name in metric.evaluate(size=2))
