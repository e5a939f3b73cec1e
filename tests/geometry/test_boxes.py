"""Oriented boxes, against shapely's polygons."""

import numpy as np
import pytest
from shapely.geometry import MultiPoint, Point, Polygon

from drivewm.geometry import boxes as B


@pytest.fixture
def boxes():
    rng = np.random.default_rng(0)
    count = 60
    return np.concatenate(
        [rng.uniform(-6, 6, (count, 3)), rng.uniform(0.5, 5, (count, 3)), rng.uniform(-4, 4, (count, 1))], axis=1
    )


def test_corner_order_is_that_of_the_docstring():
    front_left, rear_left, rear_right, front_right = B.bev_corners(np.array([1.0, 2.0, 0.0, 4.0, 2.0, 1.5, 0.0]))
    np.testing.assert_allclose(front_left, [3, 3])
    np.testing.assert_allclose(rear_left, [-1, 3])
    np.testing.assert_allclose(rear_right, [-1, 1])
    np.testing.assert_allclose(front_right, [3, 1])


def test_corners_keep_area_and_run_counterclockwise(boxes):
    for box, corners in zip(boxes, B.bev_corners(boxes), strict=True):
        polygon = Polygon(corners)
        assert polygon.area == pytest.approx(box[3] * box[4])
        assert polygon.exterior.is_ccw
        np.testing.assert_allclose([polygon.centroid.x, polygon.centroid.y], box[:2], atol=1e-9)


def test_overlap_as_in_shapely(boxes):
    corners = B.bev_corners(boxes)
    overlap = B.polygons_overlap(corners[:, None], corners[None])
    polygons = [Polygon(c) for c in corners]
    expected = np.array([[a.intersection(b).area > 0 for b in polygons] for a in polygons])
    assert 0.05 < expected.mean() < 0.95
    np.testing.assert_array_equal(overlap, expected)


def test_touching_is_no_overlap():
    unit = B.bev_corners(np.array([0.0, 0, 0, 2, 2, 2, 0]))
    assert not B.polygons_overlap(unit, unit + [2.0, 0.0])
    assert not B.polygons_overlap(unit, unit + [2.0, 2.0])
    assert B.polygons_overlap(unit, unit + [1.999, 0.0])


def test_points_in_boxes_as_in_shapely(boxes):
    points = np.random.default_rng(1).uniform(-8, 8, (150, 4))
    inside = B.points_in_boxes(points, boxes)
    assert inside.shape == (len(points), len(boxes))
    for m, box in enumerate(boxes):
        polygon = Polygon(B.bev_corners(box))
        flat = np.array([polygon.contains(Point(p[:2])) for p in points])
        np.testing.assert_array_equal(inside[:, m], flat & (np.abs(points[:, 2] - box[2]) <= box[5] / 2))
    assert inside.any()


def test_a_margin_grows_the_box_on_each_side():
    box = np.array([[0.0, 0, 0, 2, 2, 2, 0.7]])
    point = np.array([[0.0, 0.0, 1.2]])
    assert not B.points_in_boxes(point, box)[0, 0]
    assert B.points_in_boxes(point, box, margin_m=0.25)[0, 0]
    assert not B.points_in_boxes(point, box, margin_m=0.15)[0, 0]


def test_no_boxes_and_no_points():
    assert B.points_in_boxes(np.zeros((3, 3)), np.zeros((0, 7))).shape == (3, 0)
    assert B.points_in_boxes(np.zeros((0, 3)), np.zeros((2, 7))).shape == (0, 2)


def test_signed_distance_agrees_with_shapely():
    rng = np.random.default_rng(0)
    boxes = np.concatenate([rng.uniform(-6, 6, (400, 2)), np.zeros((400, 1)), rng.uniform(0.5, 6, (400, 3))], -1)
    boxes = np.concatenate([boxes, rng.uniform(-4, 4, (400, 1))], -1)
    a, b = B.bev_corners(boxes[:200]), B.bev_corners(boxes[200:])
    found = B.signed_distance(a, b)
    assert np.allclose(found, B.signed_distance(b, a))
    overlapping = 0
    for corners_a, corners_b, distance in zip(a, b, found, strict=True):
        one, other = Polygon(corners_a), Polygon(corners_b)
        if distance > 0:
            assert distance == pytest.approx(one.distance(other), abs=1e-9)
            continue
        overlapping += 1
        # The Minkowski difference is the hull of all differences of corners; the origin lies as deep in it.
        differences = MultiPoint([p - q for p in corners_a for q in corners_b]).convex_hull
        assert -distance == pytest.approx(differences.exterior.distance(Point(0, 0)), abs=1e-9)
    assert overlapping > 20
