"""Disturbed plans: the same path at another pace."""

import pytest
import torch

from drivewm.planning.disturbed import DisturbedPlanner
from drivewm.structures import EgoState, PlanningInput, Trajectory
from tests.world_model.tiny import make_clip


class Circle:
    """Plans 1 m a step on a circle of 20 m."""

    planner_name = "circle"

    def plan(self, history, route):
        angle = torch.arange(1, 9) / 20.0
        poses = torch.stack([20 * angle.sin(), 20 * (1 - angle.cos()), angle], dim=-1)
        return Trajectory.from_poses(poses.expand(len(history), -1, -1), 0.5)


def plan(seed=0, **options):
    history = make_clip(batch=1).history()
    history.sample_token = (f"moment-{seed}",)
    inputs = PlanningInput(history, EgoState.from_history(history), (None,), None)
    return DisturbedPlanner(Circle(), "x", **options).plan(inputs).poses[0]


def test_at_its_own_pace_nothing_changes():
    torch.testing.assert_close(plan(), Circle().plan([0], None).poses[0], atol=1e-4, rtol=0)


@pytest.mark.parametrize("pace", [0.0, 0.5, 1.3])
def test_it_stays_on_the_path_and_gets_as_far_as_the_pace_says(pace):
    poses = plan(pace=pace)
    on_circle = (poses[:, :2] - torch.tensor([0.0, 20.0])).norm(dim=-1)
    within = torch.arange(1, 9) * pace <= 8
    torch.testing.assert_close(on_circle[within], torch.full((int(within.sum()),), 20.0), atol=0.02, rtol=0)
    torch.testing.assert_close(poses[within, 2], pace * torch.arange(1, 9)[within] / 20, atol=2e-3, rtol=0)
    if pace > 1:  # straight on behind the end
        end, heading = poses[-1], poses[-1, 2]
        last = Circle().plan([0], None).poses[0, -1]
        gone = (end - last)[:2]
        torch.testing.assert_close(gone / gone.norm(), torch.stack([heading.cos(), heading.sin()]), atol=1e-3, rtol=0)


def test_noise_is_seeded_by_the_moment():
    assert torch.equal(plan(noise=0.5), plan(noise=0.5))
    assert not torch.equal(plan(noise=0.5), plan(seed=1, noise=0.5))


def test_a_negative_pace_is_refused():
    with pytest.raises(ValueError, match="pace and noise"):
        plan(pace=-1.0)
