"""The imagining planner with a tiny model: what it chooses, what it may see, how it fails and hurries."""

import dataclasses

import pytest
import torch

from drivewm.closed_loop.lockstep import plan_together, stack_inputs
from drivewm.planning.cost import imagined_score
from drivewm.planning.imagining import ImaginingPlanner
from drivewm.planning.joint import DrivingModel
from drivewm.planning.profile import CONTROLS
from drivewm.planning.protocol import check_plan
from drivewm.structures import OCC3D, EgoState, PlanningInput, Route
from tests.world_model.tiny import GRID, TOKENIZER, make_clip, randomized

WORLD_MODEL = dict(dim=24, depth=1, heads=2, memory=dict(frame_dim=16, fine_dim=2), motion=dict(channels=(8, 16)))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    found = DrivingModel(TOKENIZER, WORLD_MODEL, head=dict(hidden=24, heads=2))
    return randomized(found)


def observation(seed=0, batch=1):
    """Things here and there in free space; the route is straight."""
    history = make_clip(batch=batch, seed=seed).history()
    history.occupancy[history.occupancy > 5] = OCC3D.free
    x = 2.5 * torch.arange(25.0)
    route = Route(torch.stack([x, 0 * x], -1).expand(batch, -1, -1), torch.ones(batch, 25, dtype=torch.bool), 2.5)
    history.route = route
    token = tuple(f"{seed}-{b}" for b in range(batch))
    history = dataclasses.replace(history, sample_token=token)
    return PlanningInput(history, EgoState.from_history(history), (None,) * batch, route)


@pytest.mark.parametrize("world", ["action_free", "conditioned", "copy_last"])
@pytest.mark.parametrize("method", ["rank", "cem", "gradient", "random"])
def test_every_method_plans_in_every_world(model, world, method):
    search = {"cem": dict(iterations=1, samples=4, elites=2), "gradient": dict(steps=1)}.get(method)
    planner = ImaginingPlanner(model, "x", world, method, search=search)
    inputs = observation()
    plan = planner.plan(inputs)
    check_plan(plan, 1)
    assert torch.equal(planner.plan(inputs).poses, plan.poses)  # seeded
    assert not plan.poses.requires_grad


def test_ranking_takes_the_proposal_with_the_best_imagined_score(model):
    planner, inputs = ImaginingPlanner(model, "rank", prior=0.0), observation()
    thought = planner.think(inputs)
    chosen = thought.scores.total.argmax(1)
    assert torch.equal(thought.refined.controls, thought.proposals.controls[0, chosen])
    assert thought.refined.score == thought.scores.total.max()
    poses = thought.proposals.poses
    again = imagined_score(poses, thought.maps, inputs.ego_state, inputs.route, thought.reference_m)
    torch.testing.assert_close(again.total, thought.scores.total)


def test_the_heads_opinion_tips_the_scales(model):
    thought = ImaginingPlanner(model, "rank", prior=1.0).think(observation())
    worth = thought.scores.total * thought.proposals.preference.softmax(1)
    torch.testing.assert_close(thought.refined.controls, thought.proposals.controls[0, worth.argmax(1)])


def test_a_static_world_is_the_observed_frame_eight_times(model):
    thought = ImaginingPlanner(model, "copy", world="copy_last").think(observation())
    assert thought.maps.blocked.shape == (1, 8, *GRID.shape[:2])
    assert (thought.maps.blocked == thought.maps.blocked[:, :1]).all()


def test_a_conditioned_world_has_maps_of_each_plan_in_its_own_frames(model):
    thought = ImaginingPlanner(model, "own", world="conditioned").think(observation())
    torch.testing.assert_close(thought.maps.pose, thought.proposals.poses.flatten(1, 2))


def test_the_gradient_of_the_conditioned_score_goes_through_the_denoiser(model):
    inputs = observation()
    planner = ImaginingPlanner(model, "gradient", world="conditioned", method="gradient", search=dict(steps=1))
    thought = planner.think(inputs)
    controls = thought.proposals.controls[:, :1].clone().requires_grad_()
    poses = thought.proposals.driver.poses(controls)
    maps = planner.world.maps(inputs.history, None, poses)
    maps.blocked.sum().backward()
    assert controls.grad.isfinite().all() and controls.grad[..., :-1].abs().max() > 0


def test_the_batch_changes_no_plan(model):
    planner = ImaginingPlanner(model, "cem", method="cem", search=dict(iterations=2, samples=8, elites=2))
    apart = [observation(seed) for seed in (0, 1)]
    both = planner.plan(stack_inputs(apart)).poses
    for number, inputs in enumerate(apart):
        torch.testing.assert_close(both[number], planner.plan(inputs).poses[0], atol=2e-2, rtol=0)


def test_random_differs_from_moment_to_moment(model):
    planner = ImaginingPlanner(model, "random", method="random")
    controls = torch.stack([planner.think(observation(seed)).refined.controls[0] for seed in range(6)])
    assert len(controls.unique(dim=0)) > 2


def test_a_deadline_ends_the_search_and_not_the_plan(model):
    ticks = iter([0.0, *[99.0] * 50])
    search = dict(iterations=5, samples=8, elites=2)
    planner = ImaginingPlanner(model, "cem", method="cem", search=search, deadline_s=1.0, clock=lambda: next(ticks))
    thought = planner.think(observation())
    assert thought.refined.forwards == thought.proposals.logits.shape[1]
    assert thought.refined.controls.shape == (1, CONTROLS)


def test_nothing_but_the_history_is_looked_at(model):
    planner, inputs = ImaginingPlanner(model, "rank"), observation()
    assert inputs.history.boxes is None
    told = dataclasses.replace(inputs, road_map=("nobody looks at this",))
    assert torch.equal(planner.plan(told).poses, planner.plan(inputs).poses)


def test_a_model_gone_wrong_is_a_failure_and_no_plan(model):
    broken = DrivingModel(TOKENIZER, WORLD_MODEL, head=dict(hidden=24, heads=2)).eval()
    torch.nn.init.constant_(broken.head.output.bias, torch.nan)
    (failure,) = plan_together(ImaginingPlanner(broken, "rank"), [observation()])
    assert "NaN" in failure.reason


def test_wrong_options_are_named(model):
    with pytest.raises(ValueError, match="world must be one of"):
        ImaginingPlanner(model, "x", world="flat")
    with pytest.raises(ValueError, match="method must be one of"):
        ImaginingPlanner(model, "x", method="guess")
    with pytest.raises(ValueError, match="searches nothing"):
        ImaginingPlanner(model, "x", method="rank", search=dict(steps=2))
