"""How things move, told from sweeps: on scenes whose motion is known."""

import numpy as np
import pytest

from drivewm.world_model.thing_motion import moving_things

AGES_S = np.array([0.0, 0.5, 1.0, 1.5])


def box(rng, x: float, y: float, length: float = 4.4, width: float = 1.8, number: int = 300) -> np.ndarray:
    """Returns from the sides of a box on the ground, each time others."""
    along, up = rng.uniform(-0.5, 0.5, number), rng.uniform(0.4, 1.5, number)
    side = rng.integers(0, 4, number)
    px = np.where(side < 2, (side - 0.5) * length, along * length)
    py = np.where(side < 2, along * width, (side - 2.5) * width)
    return np.column_stack([x + px, y + py, up])


def ground(rng) -> np.ndarray:
    return np.column_stack([rng.uniform(-50, 50, (8000, 2)), rng.normal(0, 0.02, 8000)])


def scene(rng, *things: tuple) -> list[np.ndarray]:
    """Sweeps, newest first, of boxes that are at x, y at t0 and move by vx, vy."""
    return [
        np.concatenate([ground(rng), *(box(rng, x - vx * a, y - vy * a) for x, y, vx, vy in things)]) for a in AGES_S
    ]


@pytest.mark.parametrize("velocity", [(8.0, 0.0), (-5.0, 2.0), (1.2, -0.6)])
def test_the_velocity_of_what_moves_is_found(velocity):
    rng = np.random.default_rng(0)
    things = moving_things(scene(rng, (10.0, 4.0, *velocity), (-12.0, -6.0, 0.0, 0.0)), AGES_S)
    assert len(things.velocity) == 2
    np.testing.assert_allclose(things.velocity[1], velocity, atol=0.3)


def test_what_stands_stands():
    rng = np.random.default_rng(1)
    wall = [np.column_stack([np.linspace(-40, 40, 2000), np.full(2000, 20.0), rng.uniform(0, 3, 2000)]) for _ in AGES_S]
    sweeps = [np.concatenate(pair) for pair in zip(scene(rng, (10.0, 4.0, 0.0, 0.0)), wall, strict=True)]
    assert not moving_things(sweeps, AGES_S).label.any()


def test_earlier_points_of_a_thing_are_known_by_where_it_was():
    rng = np.random.default_rng(2)
    sweeps = scene(rng, (10.0, 4.0, 8.0, 0.0))
    things = moving_things(sweeps, AGES_S)
    for sweep, age in zip(sweeps, AGES_S, strict=True):
        owner = things.of_points(sweep, age)
        assert (owner[-300:] == 1).mean() > 0.8  # those of the box stand last
        assert not (owner[:-300] == 1).any()


def test_a_thing_that_was_not_there_before_stands():
    """It came from behind something: nothing says how it moves."""
    rng = np.random.default_rng(3)
    sweeps = [np.concatenate([ground(rng), box(rng, 10.0, 4.0)]), *(ground(rng) for _ in AGES_S[1:])]
    assert not moving_things(sweeps, AGES_S).label.any()


@pytest.mark.parametrize("empty", [0, 1, 3])
def test_a_sweep_without_points_is_no_trouble(empty):
    rng = np.random.default_rng(4)
    sweeps = scene(rng, (10.0, 4.0, 8.0, 0.0))
    sweeps[empty] = np.zeros((0, 3))
    things = moving_things(sweeps, AGES_S)
    assert np.isfinite(things.velocity).all()
    assert things.of_points(np.zeros((0, 3)), 0.0).shape == (0,)


def test_two_sweeps_are_enough_and_one_says_nothing():
    rng = np.random.default_rng(5)
    sweeps = scene(rng, (10.0, 4.0, 8.0, 0.0))
    np.testing.assert_allclose(moving_things(sweeps[:2], AGES_S[:2]).velocity[1], (8.0, 0.0), atol=0.7)
    assert not moving_things(sweeps[:1], AGES_S[:1]).label.any()
