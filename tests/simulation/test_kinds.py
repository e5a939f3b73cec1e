"""Kinds and their shapes: classes as nuScenes maps them, bodies that fill their boxes and never leave them."""

import numpy as np
import pytest

from drivewm.data.nuscenes_schema import CATEGORIES
from drivewm.geometry import se2
from drivewm.simulation.kinds import KINDS, LABEL_OF_KIND, draw_sizes, road_user_bodies
from drivewm.structures.labels import OCC3D


def extent(bodies, pose):
    """Corners `(2, 3)` of what bodies span, in the frame of `pose`."""
    bodies = bodies.seen_from(pose)
    low, high = [], []
    for box in bodies.boxes:
        assert abs(np.sin(box[6])) < 1e-9
        low.append(box[:3] - box[3:6] / 2), high.append(box[:3] + box[3:6] / 2)
    for x, y, bottom, top, radius in bodies.cylinders:
        low.append((x - radius, y - radius, bottom)), high.append((x + radius, y + radius, top))
    for x, y, z, radius, tall in bodies.ellipsoids:
        low.append((x - radius, y - radius, z - tall)), high.append((x + radius, y + radius, z + tall))
    return np.array([np.min(low, axis=0), np.max(high, axis=0)])


@pytest.mark.parametrize("number", range(len(KINDS)), ids=[f"{k.category}-{n}" for n, k in enumerate(KINDS)])
def test_a_body_fills_its_box_and_stays_inside(number):
    size = draw_sizes(np.random.default_rng(number), np.array([number]))[0]
    box = np.array([[3.0, -2.0, size[2] / 2 + 0.5, *size, 0.7]])
    bodies = road_user_bodies(box, np.array([number]), np.array([7]))
    assert (bodies.classes == KINDS[number].label).all() and len(bodies.classes) >= 2
    low, high = extent(bodies, box[0, [0, 1, 6]])
    half = np.array([size[0] / 2, size[1] / 2, 0.0])
    assert (low >= -half + [0, 0, 0.5] - 1e-9).all() and (high <= half + [0, 0, 0.5 + size[2]] + 1e-9).all()
    assert ((high - low) >= 0.7 * size).all(), (high - low) / size  # a round person in an oblong box


def test_classes_are_those_of_the_categories_and_all_of_things_come_up():
    assert all(CATEGORIES[kind.category] == kind.class_name for kind in KINDS)
    assert set(LABEL_OF_KIND.tolist()) == set(range(OCC3D.index("driveable_surface")))
    assert abs(sum(kind.share for kind in KINDS) - 1) < 1e-9


def test_bodies_move_with_their_box():
    rng = np.random.default_rng(0)
    kinds = np.arange(len(KINDS))
    boxes = np.column_stack([rng.uniform(-9, 9, (len(KINDS), 2)), np.ones(len(KINDS)), draw_sizes(rng, kinds), kinds])
    motion = np.array([4.0, -1.0, 0.9])
    moved = boxes.copy()
    moved[:, [0, 1, 6]] = se2.compose(motion, boxes[:, [0, 1, 6]])
    tracks = 20 - kinds
    there = road_user_bodies(moved, kinds, tracks).seen_from(motion)
    back = road_user_bodies(boxes, kinds, tracks)
    np.testing.assert_allclose(there.boxes[:, :6], back.boxes[:, :6], atol=1e-9)
    np.testing.assert_allclose(se2.wrap_angle(there.boxes[:, 6] - back.boxes[:, 6]), 0.0, atol=1e-9)
    np.testing.assert_allclose(there.cylinders, back.cylinders, atol=1e-9)
    np.testing.assert_allclose(there.ellipsoids, back.ellipsoids, atol=1e-9)
    np.testing.assert_array_equal(there.tracks, back.tracks)
    np.testing.assert_array_equal(there.classes, LABEL_OF_KIND[20 - there.tracks])
