"""Boxes between their annotations, in closed form."""

from __future__ import annotations

import numpy as np

from drivewm.data.labels.tracks import SWEEP_S, Track, boxes_at
from drivewm.structures import OCC3D

CAR, BARRIER = OCC3D.index("car"), OCC3D.index("barrier")
START_US = 1_500_000_000_000_000


def track(times_s, xs, yaws=None, label=CAR) -> Track:
    boxes = np.zeros((len(times_s), 7))
    boxes[:, 0], boxes[:, 3:6] = xs, (4.5, 1.9, 1.6)
    boxes[:, 6] = 0.0 if yaws is None else yaws
    return Track(label, START_US + np.round(np.array(times_s) * 1e6).astype(np.int64), boxes)


def at(found: Track, *times_s: float):
    return found.at(START_US + np.round(np.array(times_s) * 1e6).astype(np.int64))


def test_linear_between_annotations_and_yaw_the_short_way():
    found = track([0.0, 0.5, 1.0], [0.0, 5.0, 6.0], [3.0, -3.0, -3.0])
    boxes, speed, there, known = at(found, 0.0, 0.25, 0.5, 0.75)
    np.testing.assert_allclose(boxes[:, 0], [0.0, 2.5, 5.0, 5.5])
    np.testing.assert_allclose(np.cos(boxes[1, 6]), -1.0)  # not through 0
    np.testing.assert_allclose(speed, [10.0, 10.0, 2.0, 2.0])
    assert there.all() and known.all()


def test_guessed_for_half_a_second_beyond_the_ends():
    boxes, _, there, known = at(track([0.0, 0.5], [0.0, 5.0]), -0.6, -0.5, -0.1, 0.9, 1.1)
    np.testing.assert_array_equal(there, [False, True, True, True, False])
    assert not known.any()
    np.testing.assert_allclose(boxes[[1, 2, 3], 0], [-5.0, -1.0, 9.0])


def test_nowhere_in_a_long_gap_but_at_its_ends():
    _, _, there, known = at(track([0.0, 0.5, 3.0], [0.0, 5.0, 50.0]), 0.5, 0.6, 2.9, 3.0)
    np.testing.assert_array_equal(known, [True, False, False, True])
    np.testing.assert_array_equal(there, known)


def test_annotated_once():
    boxes, speed, there, known = at(track([1.0], [3.0]), 0.4, 0.6, 1.0)
    np.testing.assert_array_equal(there, [False, True, True])
    np.testing.assert_array_equal(known, [False, False, True])
    assert (boxes[:, 0] == 3.0).all() and (speed == 0).all()


def test_which_tracks_count():
    cone = track([0.0, 0.5], [0.0, 0.2], label=BARRIER)
    pushed = track([0.0, 0.5], [0.0, 2.0], label=BARRIER)
    parked = track([0.0, 0.5], [7.0, 7.0])
    around = boxes_at([cone, pushed, parked], np.array([START_US, START_US + 250_000, START_US + 9_000_000]))
    np.testing.assert_array_equal(around[1].track, [1, 2])
    np.testing.assert_allclose(around[1].boxes[:, 0], [1.0, 7.0])
    np.testing.assert_allclose(around[1].trail_m, [4.0 * SWEEP_S, 0.0])
    np.testing.assert_array_equal(around[0].label, [BARRIER, CAR])
    assert around[2].boxes.shape == (0, 7)
