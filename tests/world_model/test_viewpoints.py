"""Targets seen from elsewhere: where from, and what is seen there."""

import pytest
import torch

from drivewm.geometry import se2
from drivewm.geometry.warp import warp_voxels
from drivewm.structures import OCC3D
from drivewm.world_model.objective import world_model_losses
from drivewm.world_model.viewpoints import draw_viewpoints, seen_from
from tests.world_model.tiny import GRID, make_clip, make_model


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def draws(batch, seed=0):
    generator = rng(seed)
    return lambda *shape: torch.rand(batch, *shape, generator=generator)


TARGET = torch.tensor([[3, 6], [4, 5]])


def test_from_where_the_ego_was_all_looks_as_recorded():
    clip = make_clip()
    rows = torch.arange(2)[:, None]
    same = seen_from(clip, TARGET, clip.future_poses().double()[rows, TARGET - clip.num_history])
    assert torch.equal(same.occupancy, clip.occupancy)
    torch.testing.assert_close(same.T_global_ego, clip.T_global_ego)
    assert same.tokens is None


def test_from_elsewhere_it_is_the_recorded_frame_moved_and_others_where_that_does_not_reach():
    clip, rows = make_clip(), torch.arange(2)[:, None]
    driven = clip.future_poses().double()[rows, TARGET - clip.num_history]
    step = se2.to_matrix(torch.tensor([3.2, 0.8, 0.0], dtype=torch.float64))
    moved = seen_from(clip, TARGET, driven @ step)
    plain = warp_voxels(clip.occupancy[0, 3][None], torch.linalg.inv(step)[None], GRID, OCC3D.num_classes)[0]
    reached = plain < OCC3D.num_classes
    assert 0.5 < reached.float().mean() < 1
    assert torch.equal(moved.occupancy[0, 3][reached], plain[reached])
    assert (moved.occupancy[0, 3][~reached] != OCC3D.free).any()  # later frames have seen what lies ahead
    untouched = torch.ones(2, clip.num_frames, dtype=torch.bool)
    untouched[rows, TARGET] = False
    assert torch.equal(moved.occupancy[untouched], clip.occupancy[untouched])
    torch.testing.assert_close(moved.future_poses()[rows, TARGET - 3].double(), driven @ step, atol=1e-4, rtol=0)


def test_so_many_clips_are_seen_from_elsewhere_and_of_these_so_many_stay_untold():
    clip = make_clip(batch=400)
    target = torch.tensor([[4, 6]]).expand(400, -1)
    views = draw_viewpoints(clip, target, 0.5, draws(400))
    driven = clip.future_poses().double()[:, [1, 3]]
    away = (views.T_t0_ego - driven).abs().amax((1, 2, 3)) > 1e-9
    assert torch.equal(away, views.elsewhere) and 0.4 < away.float().mean() < 0.6
    stays = ~views.told.any(1)
    assert torch.equal(views.told.all(1), ~stays) and 0.15 < stays.float().mean() < 0.25
    assert torch.equal(views.T_t0_ego[stays], torch.eye(4).double().expand(int(stays.sum()), 2, 4, 4))
    ahead = se2.from_matrix(views.T_t0_ego[away & ~stays])[:, 1, 0]
    recorded = se2.from_matrix(driven)[0, 1, 0]
    assert ahead.min() < 0.5 * recorded and ahead.max() > 1.5 * recorded  # slower and faster


def test_without_a_share_nothing_is_drawn_and_nothing_moves():
    def never(*shape):
        raise AssertionError("nothing is to be drawn")

    views = draw_viewpoints(make_clip(), TARGET, 0.0, never)
    assert views.told.all() and not views.elsewhere.any()


def test_the_losses_are_finite_and_others_from_elsewhere():
    clip, losses = make_clip(batch=4), []
    for share in (0.0, 1.0):
        model = make_model(mix=dict(elsewhere=share)).train()
        found = world_model_losses(model, clip, rng())
        assert all(torch.as_tensor(value).isfinite() for value in found.values())
        losses.append(found["loss_tokens"].item())
    assert losses[0] != losses[1]


def test_lidar_has_no_elsewhere():
    from tests.world_model.test_lidar_stream import make_model as make_lidar_model

    with pytest.raises(ValueError, match="elsewhere is of occupancy"):
        make_lidar_model(mix=dict(elsewhere=0.5))
