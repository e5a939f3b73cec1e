"""Measured velocities of things: those of boxes that were drawn; nothing where nothing is or was."""

import pytest
import torch

from drivewm.structures import OCC3D
from drivewm.world_model.thing_velocity import thing_velocity

CAR, BUS, PEDESTRIAN = (OCC3D.index(name) for name in ("car", "bus", "pedestrian"))
VOXEL_M, AGES_S = 0.5, torch.tensor([[1.0, 0.5, 0.0]])


def frames(*things):
    """Three frames `(1, 3, 40, 40, 4)`; a thing is its class, where its lowest corner is at t0, its cells along x and y
    and how many cells it moves in each step."""
    scene = torch.full((1, 3, 40, 40, 4), OCC3D.free, dtype=torch.uint8)
    for kind, (x, y), (long, wide), (dx, dy) in things:
        for frame, steps in enumerate((-2, -1, 0)):
            i, j = x + steps * dx, y + steps * dy
            scene[0, frame, max(i, 0) : max(i + long, 0), max(j, 0) : max(j + wide, 0), 1:3] = kind
    return scene


def at(measured, x, y):
    return measured[0, :, x, y].tolist()


def test_everybody_goes_as_drawn_and_is_followed_through_all_frames():
    scene = frames(
        (CAR, (20, 10), (8, 4), (6, 0)),
        (CAR, (8, 20), (8, 4), (-5, 0)),
        (PEDESTRIAN, (30, 30), (1, 1), (0, -1)),
        (BUS, (2, 2), (6, 3), (0, 0)),
    )
    measured = thing_velocity(scene, AGES_S, VOXEL_M, 40)
    assert at(measured, 23, 12) == [6.0, 0.0, 1.0]
    assert at(measured, 10, 21) == [-5.0, 0.0, 1.0]
    assert at(measured, 30, 30) == [0.0, -1.0, 1.0]
    assert at(measured, 3, 3) == [0.0, 0.0, 1.0]
    there = torch.isin(scene[0, -1], scene.new_tensor(OCC3D.movable)).any(-1)
    assert (measured[0][:, ~there] == 0).all()


def test_a_row_of_cars_goes_on_together():
    """Each is nearer to where the next one was than to where it was itself; the sum of distances tells."""
    row = [(CAR, (12 + 9 * k, 10), (5, 3), (5, 0)) for k in range(3)]
    measured = thing_velocity(frames(*row), AGES_S, VOXEL_M, 40)
    for k in range(3):
        assert at(measured, 13 + 9 * k, 11) == [5.0, 0.0, 1.0]


def test_who_was_not_there_before_has_no_velocity():
    scene = frames((PEDESTRIAN, (20, 20), (1, 1), (0, 0)), (CAR, (5, 5), (4, 3), (0, 0)))
    scene[:, :2][scene[:, :2] == PEDESTRIAN] = OCC3D.free
    measured = thing_velocity(scene, AGES_S, VOXEL_M, 40)
    assert at(measured, 20, 20) == [0.0, 0.0, 0.0]
    assert at(measured, 6, 6)[2] == 1.0


def test_nobody_is_another_class_or_faster_than_its_kind():
    walks = frames((PEDESTRIAN, (20, 20), (1, 1), (0, 5)))  # 5 m/s
    assert at(thing_velocity(walks, AGES_S, VOXEL_M, 40), 20, 20) == [0.0, 0.0, 0.0]
    changed = frames((CAR, (20, 20), (4, 3), (1, 0)))
    changed[:, :2][changed[:, :2] == CAR] = BUS
    assert at(thing_velocity(changed, AGES_S, VOXEL_M, 40), 21, 21) == [0.0, 0.0, 0.0]


def test_lost_on_the_way_it_keeps_what_the_newest_step_showed():
    scene = frames((CAR, (20, 10), (8, 4), (2, 0)))
    scene[:, 0] = OCC3D.free
    assert at(thing_velocity(scene, AGES_S, VOXEL_M, 40), 23, 12) == [2.0, 0.0, 0.5]


def test_frames_that_were_not_observed_say_nothing():
    scene = frames((CAR, (20, 10), (8, 4), (2, 0)))
    scene[:, 0] = scene[:, 1]
    ages_s = torch.tensor([[0.5, 0.5, 0.0]])
    assert at(thing_velocity(scene, ages_s, VOXEL_M, 40), 23, 12) == [2.0, 0.0, 0.5]
    alone = scene[:, [2, 2, 2]]
    assert (thing_velocity(alone, torch.zeros(1, 3), VOXEL_M, 40) == 0).all()


@pytest.mark.parametrize("height", [40, 20])
def test_clips_do_not_mix_and_coarse_cells_hold_what_is_in_any_of_their_columns(height):
    first = frames((CAR, (20, 10), (8, 4), (4, 0)))
    second = frames((CAR, (20, 30), (8, 4), (-2, 2)), (PEDESTRIAN, (4, 4), (2, 2), (0, 2)))
    both = thing_velocity(torch.cat([first, second]), AGES_S.expand(2, -1), VOXEL_M, height)
    for row, alone in enumerate((first, second)):
        assert torch.equal(both[row], thing_velocity(alone, AGES_S, VOXEL_M, height)[0])
    k = 40 // height
    assert at(both, 22 // k, 12 // k) == [4.0, 0.0, 1.0]
    assert both.shape == (2, 3, height, height)


def test_what_touches_another_or_comes_into_the_grid_is_not_taken_for_moving():
    """Parked cars in a row, of which more and more is seen: only the end that is no border says what moved."""
    scene = frames((CAR, (32, 10), (8, 4), (0, 0)))
    for frame, seen in enumerate((34, 37, 40)):
        scene[0, frame, seen:] = OCC3D.num_classes
    assert at(thing_velocity(scene, AGES_S, VOXEL_M, 40), 33, 11) == [0.0, 0.0, 1.0]
    touches = frames((CAR, (10, 10), (8, 4), (0, 0)))
    touches[0, 0, 14:18] = OCC3D.free  # as if it had been two
    assert at(thing_velocity(touches, AGES_S, VOXEL_M, 40), 12, 11) == [0.0, 0.0, 1.0]


def test_the_end_of_who_comes_into_the_grid_says_how_fast():
    scene = frames((CAR, (32, 10), (10, 4), (-3, 0)))
    assert (scene[0, :, -1] == CAR).any((1, 2)).all()  # cut in all frames
    assert at(thing_velocity(scene, AGES_S, VOXEL_M, 40), 33, 11) == [-3.0, 0.0, 1.0]
