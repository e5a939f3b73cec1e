"""Refinement: pure functions of a score whose best plan is known."""

import torch

from drivewm.planning.profile import ACCELERATION_MPS2, CONTROLS
from drivewm.planning.refinement import Refined, cross_entropy_method, gradient_ascent

GOAL = torch.tensor([[1.0] * 4 + [-1.0] * 4 + [0.5], [-2.0] * 8 + [-0.4]])


def score(controls):
    """1 at the goal of each ego, and less around it."""
    return torch.exp(-0.05 * (controls - GOAL[:, None]).square().sum(-1))


def start():
    controls = torch.zeros(2, CONTROLS)
    return Refined(controls, score(controls[:, None])[:, 0], 18)


def rngs(*seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def test_cem_gets_near_the_best_and_says_what_it_cost():
    found = cross_entropy_method(score, start(), rngs(0, 1), iterations=6, samples=48, elites=6)
    assert (found.score > 0.8).all() and (found.score > start().score).all()
    assert found.forwards == 18 + 6 * 48
    torch.testing.assert_close(score(found.controls[:, None])[:, 0], found.score)


def test_cem_is_seeded_for_each_ego_alone():
    both = cross_entropy_method(score, start(), rngs(3, 4))
    again = cross_entropy_method(score, start(), rngs(3, 4))
    other = cross_entropy_method(score, start(), rngs(3, 5))
    assert torch.equal(both.controls, again.controls)
    assert torch.equal(both.controls[0], other.controls[0]) and not torch.equal(both.controls[1], other.controls[1])


def test_the_gradient_gets_there_with_a_part_of_the_forwards():
    found = gradient_ascent(score, start(), steps=8)
    assert (found.score > 0.8).all()
    assert found.forwards == 18 + 8 * 3 + 1


def test_the_result_is_never_worse_than_the_start():
    best = Refined(GOAL.clone(), torch.ones(2), 0)
    for found in (
        cross_entropy_method(score, best, rngs(0, 1)),
        gradient_ascent(score, best),
        gradient_ascent(lambda c: score(c) * torch.nan, best),
    ):
        assert torch.equal(found.controls, GOAL) and (found.score == 1).all()


def test_plans_stay_within_what_a_vehicle_can_do():
    low, high = ACCELERATION_MPS2

    def greedy(controls):
        assert controls[..., :-1].min() >= low and controls[..., :-1].max() <= high
        assert controls[..., -1].abs().max() <= 1.5
        return torch.sigmoid(controls.sum(-1))

    begin = Refined(torch.zeros(1, CONTROLS), torch.tensor([0.5]), 0)
    for found in (
        cross_entropy_method(greedy, begin, rngs(0), iterations=8),
        gradient_ascent(greedy, begin, steps=12),
    ):
        assert found.score.item() > 0.9


def test_when_time_is_up_the_best_so_far_is_given():
    left = iter([True, False])
    found = cross_entropy_method(score, start(), rngs(0, 1), iterations=5, samples=16, may_go_on=lambda: next(left))
    assert found.forwards == 18 + 16 and (found.score >= start().score).all()
    for search in (
        lambda: cross_entropy_method(score, start(), rngs(0, 1), may_go_on=lambda: False),
        lambda: gradient_ascent(score, start(), may_go_on=lambda: False),
    ):
        assert search().forwards == 18 and torch.equal(search().controls, start().controls)
