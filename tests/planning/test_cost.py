"""The imagined score: each term does what its name says, and agrees with the metrics' geometry."""

import numpy as np
import pytest
import torch

from drivewm.dynamics.bicycle import PACIFICA
from drivewm.evaluation.functional.planning import ego_boxes
from drivewm.geometry.boxes import bev_corners, points_in_boxes
from drivewm.geometry.voxel_grid import VoxelGrid
from drivewm.planning.cost import footprint, imagined_score, judge
from drivewm.planning.profile import CONTROLS
from drivewm.planning.proposals import Proposals
from drivewm.planning.scene_maps import SceneMaps
from drivewm.structures import EgoState, Route
from tests.planning.test_profile import driver

GRID = VoxelGrid((-12.8, -12.8, -1.0, 38.4, 12.8, 5.4), 0.8)
STRAIGHT = 2.5 * torch.arange(25.0)


def maps(moments=8, blocked_x=None, road_half_width=6.4):
    """A straight road; something stands right across it from `blocked_x[f]` on for 2 m at each moment."""
    x, y = (torch.arange(n) * 0.8 + low + 0.4 for n, low in ((64, -12.8), (32, -12.8)))
    drivable = (y.abs() < road_half_width).float().expand(1, moments, 64, 32).clone()
    blocked = torch.zeros(1, moments, 64, 32)
    for f, begin in enumerate(blocked_x or []):
        blocked[:, f] = ((x >= begin) & (x < begin + 2))[:, None] & (y.abs() < 3)
    return SceneMaps(blocked, drivable, torch.zeros(1, moments, 3), GRID)


def plans(*speeds, y=0.0):
    t = 0.5 * torch.arange(1, 9)
    return torch.stack([torch.stack([v * t, y + 0 * t, 0 * t], dim=-1) for v in speeds])[None]


def score(poses, scene, speed=5.0, acceleration=0.0, stop_m=torch.inf, reference_m=20.0):
    ego, route = situation(speed, acceleration, stop_m)
    return imagined_score(poses, scene, ego, route, torch.tensor([reference_m]))


def situation(speed, acceleration=0.0, stop_m=torch.inf):
    points, valid = torch.stack([STRAIGHT, 0 * STRAIGHT], -1)[None], torch.ones(1, 25, dtype=torch.bool)
    route = Route(points, valid, 2.5, torch.tensor([stop_m]))
    return EgoState(torch.tensor([speed]), torch.tensor([acceleration]), torch.zeros(1)), route


def test_the_footprint_lies_in_the_metrics_box_and_reaches_its_corners():
    poses = torch.tensor([[3.0, -2.0, 0.8]])
    points = footprint(poses)[0].numpy()
    box = ego_boxes(poses.numpy(), (PACIFICA.length_m, PACIFICA.width_m, 1.75), PACIFICA.rear_axle_to_center_m)
    lifted = np.concatenate([points, np.full((len(points), 1), 0.8)], axis=1)
    assert points_in_boxes(lifted, box).all()
    gaps = np.linalg.norm(bev_corners(box)[0][:, None] - points, axis=-1).min(1)
    assert (gaps < 0.3).all()


def test_an_empty_road_is_worth_everything_to_the_fastest():
    found = score(plans(5.0, 2.5), maps())
    for term in (found.nc, found.dac, found.tlc, found.ttc, found.room, found.certainty):
        torch.testing.assert_close(term, torch.ones(1, 2), atol=1e-3, rtol=0)
    assert found.ep[0].tolist() == pytest.approx([1.0, 0.5], abs=1e-3)
    assert found.total[0, 0] > 0.99 > found.total[0, 1]


def test_who_drives_into_something_is_worth_nothing_and_who_stops_before_it_is():
    scene = maps(blocked_x=[16.0] * 8)
    found = score(plans(5.0, 1.0, 0.0), scene)
    assert found.nc[0, 0] < 0.3 and found.nc[0, 1] > 0.99 and found.nc[0, 2] > 0.99
    assert found.total[0].argmax() == 1
    front = 5.0 * 0.5 * torch.arange(1, 9) + PACIFICA.rear_axle_to_center_m + PACIFICA.length_m / 2
    assert torch.equal(found.hit[0, 0] > 0.5, (front - 0.2 > 16.0) & (front - PACIFICA.length_m + 0.2 < 17.6))


def test_where_all_hit_something_the_slower_is_better_and_who_stands_is_not_at_fault():
    everywhere = maps(blocked_x=[0.0] * 8)
    found = score(plans(3.0, 0.6, 0.0), everywhere, speed=3.0)
    assert (found.nc[0].diff() > 0.01).all() and found.nc[0, 1] < 0.15 and found.nc[0, 2] > 0.99


def test_what_has_gone_when_the_ego_comes_is_no_obstacle():
    leaves = maps(blocked_x=[12.0, 12.0, *[60.0] * 6])
    assert score(plans(4.0), leaves).nc.item() > 0.99
    assert score(plans(4.0), maps(blocked_x=[12.0] * 8)).nc.item() < 0.3


def test_time_to_collision_warns_before_the_contact():
    scene = maps(blocked_x=[27.0] * 8)
    near = score(plans(5.0), scene)  # ends 4 m before it
    assert near.nc.item() > 0.99 and near.ttc.item() < 0.1
    assert score(plans(4.0), scene).ttc.item() > 0.9


def test_there_is_room_to_stop_if_the_ego_stands_before_where_the_others_are_in_half_a_second():
    front = PACIFICA.rear_axle_to_center_m + PACIFICA.length_m / 2 - 0.2
    for speed, stops_m in ((3.0, 3.3), (5.0, 5.5), (8.0, 9.4), (12.0, 17.4)):
        needs_m = speed * 1.0 + stops_m + front  # braking in a second
        for spare_m, expected in ((1.0, 1.0), (-1.0, 0.5)):
            there_in_half_a_second = GRID.origin_m[0] + 0.8 * round((needs_m + spare_m - GRID.origin_m[0]) / 0.8)
            leads = [there_in_half_a_second + 0.5 * speed * f for f in range(8)]
            found = score(plans(speed), maps(blocked_x=leads), speed=speed)
            assert found.room.item() == pytest.approx(expected, abs=0.02), (speed, spare_m)
            assert found.nc.item() > 0.99, "as expected, nothing happens"
            assert found.safety.item() == pytest.approx(found.nc.item() * found.room.item())


def test_who_brakes_anyway_needs_no_more_room_than_its_own_plan():
    scene = maps(blocked_x=[12.0] * 8)
    t = 0.5 * torch.arange(1, 9)
    brakes = torch.stack([4.0 * t - 0.5 * t**2, 0 * t, 0 * t], dim=-1)[None, None]  # stands after 8 m
    assert score(brakes, scene, speed=4.0).room.item() > 0.99
    assert score(plans(4.0), scene, speed=4.0).room.item() < 0.6


def test_who_stands_is_not_at_fault():
    comes = maps(blocked_x=[10.0, 8.0, 6.0, 4.0, 2.0, 0.0, -2.0, -4.0])
    found = score(plans(0.0), comes, speed=0.0)
    assert found.nc.item() > 0.99 and found.ttc.item() > 0.99


def test_off_the_road_is_worth_nothing_but_the_unknown_is_not_off_the_road():
    assert score(plans(5.0, y=5.0), maps(road_half_width=4.0)).dac.item() < 0.1
    found = score(plans(12.0), maps(), speed=12.0)  # leaves the grid
    assert found.dac.item() > 0.99 and found.certainty.item() < 0.95


def test_a_red_light_is_kept_unless_it_is_too_late():
    found = score(plans(5.0, 2.0), maps(), stop_m=14.0)
    assert found.tlc[0, 0] < 0.01 and found.tlc[0, 1] > 0.99
    assert score(plans(10.0), maps(), speed=10.0, stop_m=6.0).tlc.item() > 0.99


def test_hard_braking_is_uncomfortable():
    found = score(plans(10.0, 5.0), maps(), speed=10.0)
    assert found.comfort[0, 0] > 0.99 and found.comfort[0, 1] < 0.2
    assert score(plans(10.0), maps(), speed=10.0, acceleration=-5.0).comfort.item() < 0.6  # lets the brake go at once


def test_an_unsure_forecast_is_worth_less():
    scene = maps()
    scene.blocked[:] = 0.15
    assert score(plans(5.0), scene).certainty.item() == pytest.approx(1 - 4 * 0.15 * 0.85, abs=1e-3)


def test_maps_of_each_plan_give_what_shared_maps_give():
    poses, scene = plans(5.0, 1.0, 3.0), maps(blocked_x=[16.0] * 8)
    own = SceneMaps(*(v.repeat(1, 3, 1, 1) for v in (scene.blocked, scene.drivable)), torch.zeros(1, 24, 3), GRID)
    shared, apart = score(poses, scene), score(poses, own)
    for name, value in vars(shared).items():
        torch.testing.assert_close(vars(apart)[name], value, msg=name)
    with pytest.raises(ValueError, match="maps of 7 moments, expected 8, or 24 for 3 plans"):
        score(poses, maps(moments=7))


def test_progress_is_measured_against_a_given_reference():
    found = score(plans(5.0, 2.5), maps(), reference_m=10.0)
    torch.testing.assert_close(found.ep, torch.ones(1, 2), atol=1e-3, rtol=0)  # more brings nothing


def proposed(likely):
    """At 5 m/s: to keep on, to brake, to speed up."""
    controls = torch.zeros(1, 3, CONTROLS)
    controls[0, :, :-1] = torch.tensor([0.0, -1.0, 2.0])[:, None]
    return Proposals(driver(5.0), controls, torch.tensor([likely]).log(), torch.zeros(1, 3))


def test_on_a_free_road_the_reference_is_the_median_drivers_progress():
    for likely, expected in (((0.6, 0.2, 0.2), 20.0), ((0.3, 0.1, 0.6), 36.0), ((0.2, 0.7, 0.1), 12.0)):
        found, reference_m = judge(proposed(likely), maps(), *situation(5.0))
        assert reference_m.item() == pytest.approx(expected, abs=0.6)
        made = torch.tensor([20.0, 12.0, 36.0])
        torch.testing.assert_close(found.ep[0], (made / expected).clamp_max(1), atol=0.05, rtol=0)


def test_where_most_drivers_would_hit_something_who_waits_makes_all_the_progress_there_is():
    found, reference_m = judge(proposed((0.6, 0.1, 0.3)), maps(blocked_x=[19.0] * 8), *situation(5.0))
    assert found.nc[0, 0] < 0.3 and found.nc[0, 1] > 0.99
    assert reference_m.item() == pytest.approx(12.0, abs=0.6) and found.ep[0, 1] > 0.99


def test_a_gradient_brakes_before_an_obstacle():
    poses = plans(4.2).requires_grad_()
    score(poses, maps(blocked_x=[16.0] * 8), reference_m=10.0).total.sum().backward()
    assert poses.grad.isfinite().all() and poses.grad[0, 0, :, 0].sum() < 0
