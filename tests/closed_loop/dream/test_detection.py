"""Boxes found in voxels, against boxes that were painted into them."""

import numpy as np
import pytest

from drivewm.closed_loop.dream.detection import USUAL_SIZE_M, detect
from drivewm.geometry import VoxelGrid
from drivewm.simulation.occupancy import paint_boxes
from drivewm.structures import OCC3D

GRID = VoxelGrid((-12.8, -25.6, -1.0, 38.4, 25.6, 5.4), 0.8)
CAR, TRUCK = OCC3D.index("car"), OCC3D.index("truck")


def painted(boxes, labels, grid=GRID) -> np.ndarray:
    """On a road."""
    frame = np.full(grid.shape, OCC3D.free, np.uint8)
    frame[:, :, 1] = OCC3D.index("driveable_surface")
    paint_boxes(frame, np.array(boxes, np.float64), np.array(labels), grid)
    return frame


def box(name, x, y, yaw=0.0, height=1.6):
    return [x, y, height / 2, *USUAL_SIZE_M[name], height, yaw]


def test_a_car_is_found_where_it_stands():
    rng, errors = np.random.default_rng(0), []
    for _ in range(60):
        true = np.array(box("car", rng.uniform(-6, 30), rng.uniform(-18, 18), rng.uniform(-np.pi, np.pi)))
        found = detect(painted([true], [CAR]), GRID)
        assert len(found) == 1 and found.label.tolist() == [CAR] and not found.cut[0]
        turn = (found.boxes[0, 6] - true[6] + np.pi / 2) % np.pi - np.pi / 2
        errors.append([*np.abs(found.boxes[0, :2] - true[:2]), *(found.boxes[0, 3:5] - true[3:5]), abs(turn)])
    errors = np.array(errors)
    assert errors[:, :2].max() < 0.6 and errors[:, :2].mean() < 0.2
    assert np.abs(errors[:, 2:4].mean(0)).max() < 0.25  # not larger than they are, though voxels are
    assert np.quantile(errors[:, 4], 0.9) < np.deg2rad(10)


def test_each_class_has_a_box_of_its_own():
    names = [OCC3D.names[label] for label in OCC3D.things]
    assert set(names) == set(USUAL_SIZE_M)
    boxes = [box(name, -8 + 4 * (n % 3) * 4, -20 + 10 * (n // 3)) for n, name in enumerate(names)]
    found = detect(painted(boxes, OCC3D.things), GRID)
    assert sorted(found.label.tolist()) == sorted(OCC3D.things)
    for own, label in zip(found.boxes, found.label, strict=True):
        true = boxes[OCC3D.things.index(label)]
        assert np.hypot(*(own[:2] - true[:2])) < 0.8


def test_a_queue_is_not_one_long_car():
    boxes = [box("car", 5.2 * n - 4.0, 2.0) for n in range(5)]  # 0.7 m between them: their voxels touch
    found = detect(painted(boxes, [CAR] * 5), GRID)
    assert len(found) == 5
    assert np.abs(np.sort(found.boxes[:, 0]) - [b[0] for b in boxes]).max() < 1.0


def test_neighbours_of_other_classes_are_told_apart():
    found = detect(painted([box("car", 5.0, 0.0), box("truck", 12.0, 0.0)], [CAR, TRUCK]), GRID)
    assert found.label.tolist() == [CAR, TRUCK]
    assert np.abs(found.boxes[:, 0] - [5.0, 12.0]).max() < 0.6


def test_what_the_edge_cuts_says_so():
    found = detect(painted([box("car", 38.0, 0.0), box("car", 10.0, -25.5), box("car", 10.0, 0.0)], [CAR] * 3), GRID)
    assert sorted(zip(found.boxes[:, 1].round(), found.cut, strict=True)) == [(-25.0, True), (0.0, False), (0.0, True)]


def test_specks_and_roads_are_no_things():
    frame = painted(np.zeros((0, 7)), [])
    assert len(detect(frame, GRID)) == 0
    frame[20, 20, 2] = CAR
    assert len(detect(frame, GRID)) == 0
    frame[20, 20, 2] = OCC3D.index("pedestrian")
    assert len(detect(frame, GRID)) == 1


@pytest.mark.parametrize("voxel_m", [0.4, 0.8])
def test_finer_voxels_find_the_same(voxel_m):
    grid = VoxelGrid((-12.8, -12.8, -1.0, 12.8, 12.8, 5.4), voxel_m)
    found = detect(painted([box("car", 3.0, 2.0, 0.4)], [CAR], grid), grid)
    assert np.abs(found.boxes[0] - box("car", 3.0, 2.0, 0.4))[[0, 1, 3, 4]].max() < 0.7
