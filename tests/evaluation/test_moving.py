"""What counts as moved: against the twin, and on scenes of one car."""

import numpy as np

from drivewm.evaluation.functional.moving import moved_voxels, moved_voxels_reference, moving_boxes
from drivewm.evaluation.functional.occupancy import confusion_counts, miou
from drivewm.geometry import se3
from drivewm.structures import OCC3D

CAR, ROAD = OCC3D.index("car"), OCC3D.index("driveable_surface")


def _road_with_car(at):
    frame = np.full((1, 20, 12, 5), OCC3D.free, np.uint8)
    frame[:, :, :, 0] = ROAD
    frame[:, at : at + 4, 4:7, 1:3] = CAR
    return frame


def test_equal_to_the_twin():
    rng = np.random.default_rng(0)
    classes = np.array([2, CAR, 7, ROAD, OCC3D.free, OCC3D.free], np.uint8)
    for shape in ((2, 9, 8, 5), (1, 3, 3, 1)):
        truth, still = rng.choice(classes, (2, *shape))
        found = moved_voxels(truth, still)
        np.testing.assert_array_equal(found, moved_voxels_reference(truth, still))
        assert found.any()


def test_what_stands_or_wobbles_by_a_voxel_has_not_moved():
    here = _road_with_car(5)
    assert not moved_voxels(here, here).any()
    for axis, shift in ((1, 1), (2, -1), (3, 1)):
        assert not moved_voxels(here, np.roll(_road_with_car(5), shift, axis)).any()


def test_a_car_that_drove_on_leaves_where_it_was_and_where_it_is():
    truth, still = _road_with_car(11), _road_with_car(5)
    moved = moved_voxels(truth, still)
    assert moved.sum() == 2 * 4 * 3 * 2 and moved[truth == CAR].all() and moved[still == CAR].all()
    counts = {
        name: confusion_counts(f, truth, OCC3D.num_classes, moved) for name, f in (("copy", still), ("it", truth))
    }
    assert miou(counts["copy"], OCC3D.movable) == 0 and miou(counts["it"], OCC3D.movable) == 1


def test_what_cannot_move_by_itself_does_not_count():
    truth = _road_with_car(5)
    still = np.where(truth == ROAD, OCC3D.index("sidewalk"), truth).astype(np.uint8)
    assert not moved_voxels(truth, still).any()


def test_boxes_that_move_over_ground():
    """Seen from an ego that drives: what stands moves in its frames, what drives along does not."""
    times = np.array([0.0, 0.5, 1.0])
    T_t0_ego = se3.from_xyzyaw(10.0 * times, 0.0, 0.0, 0.0)
    center = np.zeros((3, 4, 3))
    center[:, 0, 0] = 30 - 10 * times  # parked
    center[:, 1, 0] = 5  # drives as the ego does
    center[:, 2, 0] = 50 - 10 * times + 0.2 * times  # wobbles
    center[1:, 3, 0] = [8, 9]  # comes in later, in another slot at the end
    track = np.array([[1, 2, 3, 0], [1, 2, 3, 4], [1, 4, 3, 2]])
    center[2, [1, 3]] = center[2, [3, 1]]
    valid = np.array([[True, True, True, False]] + [[True] * 4] * 2)
    found = moving_boxes(center, track, valid, T_t0_ego, times)
    np.testing.assert_array_equal(found, [[0, 1, 0, 0], [0, 1, 0, 1], [0, 1, 0, 1]])
    valid[1] = False
    assert not moving_boxes(center, track, valid, T_t0_ego, times).any()
