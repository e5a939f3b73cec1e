"""Votes of points: against the NumPy twin, and cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from drivewm.data.labels.voting import REACH, UNLABELLED, Ballot, vote_reference
from drivewm.geometry import VoxelGrid, se3
from drivewm.structures import OCC3D

GRID = VoxelGrid((-4.0, -3.2, -0.8, 4.0, 3.2, 2.4), 0.4)
ROAD, CAR, WALL = (OCC3D.index(name) for name in ("driveable_surface", "car", "manmade"))


def count(points, classes) -> np.ndarray:
    ballot = Ballot(GRID)
    owner = np.zeros(len(points), np.int32)
    ballot.add(np.asarray(points, np.float32), np.asarray(classes, np.uint8), np.eye(4), owner, 0)
    return ballot.count()


@pytest.mark.parametrize("seed", range(4))
def test_equal_to_the_reference(seed):
    rng, ballot, points, classes = np.random.default_rng(seed), Ballot(GRID), [], []
    for _ in range(3):  # lots from several frames, of which only one owner's points count
        lot = rng.normal(0, 1.5, (1500, 3)).astype(np.float32)
        kind = rng.choice([ROAD, CAR, WALL, UNLABELLED], len(lot), p=[0.1, 0.1, 0.1, 0.7]).astype(np.uint8)
        owner = rng.integers(-2, 3, len(lot)).astype(np.int32)
        T = se3.from_xyzyaw(*rng.uniform(-1, 1, 3), rng.uniform(-np.pi, np.pi))
        ballot.add(lot, kind, T, owner, 1)
        points.append(se3.transform_points(T, lot[owner == 1].astype(np.float64)))
        classes.append(kind[owner == 1])
    found = ballot.count()
    np.testing.assert_array_equal(found, vote_reference(np.concatenate(points), np.concatenate(classes), GRID))
    assert {ROAD, CAR, WALL, OCC3D.free} == set(np.unique(found))


def test_a_ballot_forgets_what_it_has_counted():
    ballot, rng = Ballot(GRID), np.random.default_rng(0)
    points, owner = rng.uniform(-3, 3, (2000, 3)).astype(np.float32), np.zeros(2000, np.int32)
    ballot.add(points, np.full(2000, CAR, np.uint8), np.eye(4), owner, 0)
    assert (ballot.count() == CAR).any()
    assert (ballot.count() == OCC3D.free).all()
    ballot.add(points, np.full(2000, WALL, np.uint8), np.eye(4), owner, 0)
    assert set(np.unique(ballot.count())) == {WALL, OCC3D.free}


def test_the_majority_wins_and_the_lower_class_a_tie():
    cell = GRID.to_center(np.array([5, 5, 3]))
    assert count([cell] * 5, [CAR, WALL, WALL, ROAD, WALL])[5, 5, 3] == WALL
    assert count([cell] * 4, [WALL, CAR, WALL, CAR])[5, 5, 3] == min(CAR, WALL)
    assert count([cell] * 3, [UNLABELLED, UNLABELLED, CAR])[5, 5, 3] == CAR  # they have no vote


def test_points_without_a_class_take_the_nearest_one():
    def at(x):
        return GRID.to_center(np.array([x, 5, 3]))

    assert count([at(5), at(6), at(7)], [CAR, UNLABELLED, WALL])[6, 5, 3] == min(CAR, WALL)
    assert count([at(5), at(6), at(8)], [WALL, UNLABELLED, CAR])[6, 5, 3] == WALL
    far = count([at(5), at(5 + REACH), at(6 + REACH)], [WALL, UNLABELLED, UNLABELLED])
    assert far[5 + REACH, 5, 3] == WALL
    assert far[6 + REACH, 5, 3] == OCC3D.free  # what was only guessed is not passed on
