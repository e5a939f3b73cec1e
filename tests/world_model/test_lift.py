"""What views showed, lifted into cells: where it goes, and where nothing was seen."""

import torch

from drivewm.geometry import VoxelGrid
from drivewm.tokenizers.camera_views import CameraViews
from drivewm.world_model.exchange import Before, Cells, Sightlines
from drivewm.world_model.lift import Lift
from tests.world_model.test_camera_stream import rig

GRID = VoxelGrid((-8.0, -8.0, -1.0, 8.0, 8.0, 3.0), 1.0)
CELLS = Cells(GRID, (4, 4))
"""Of 4 m."""


def lift_and_place(moved_m: float = 0.0):
    """A lift without convolutions across columns, and two views that were seen 0 m or more behind."""
    torch.manual_seed(0)
    lift = Lift(8)
    lift.fold.weight.data.normal_()
    K, T_ego_cam = rig((1,))
    lines = Sightlines(CameraViews(K, T_ego_cam, torch.ones(1, 2, dtype=torch.bool)), (64, 32), (16, 32))
    T_earlier_target = torch.eye(4)[None]
    T_earlier_target[0, 0, 3] = moved_m
    return lift, Before(lines, T_earlier_target)


def test_it_starts_as_nothing():
    _, where = lift_and_place()
    assert not Lift(8)(torch.randn(1, 1024, 8), where, CELLS).cells.any()


def test_a_cell_hears_of_the_tokens_that_saw_its_points():
    """Token by token: a change reaches a cell if, and only if, one of its points lies where the token looks."""
    lift, where = lift_and_place()
    index, there = where.at(Cells(GRID, (16, 16)).points(False, torch.device("cpu")))
    features = torch.randn(1, 1024, 8)
    usual, looked_up = lift(features, where, CELLS).cells, index[there].unique()
    for token in (*looked_up[::60].tolist(), 0, 1023):
        other = features.clone()
        other[0, token] += 1.0
        changed = (lift(other, where, CELLS).cells != usual).any(-1)[0].view(4, 4)
        sees = ((index == token) & there).any(-1).view(4, 4, 4, 4).any(3).any(1)
        assert torch.equal(changed, sees)


def test_where_nothing_was_seen_nothing_is_said():
    """Behind and to the right of both views; and nowhere at all once the views are absent."""
    lift, where = lift_and_place()
    lifted = lift(torch.randn(1, 1024, 8), where, CELLS).cells.view(4, 4, 8)
    assert not lifted[:2, 0].any() and lifted[3, 1:].any(-1).all()
    absent = Before(Sightlines(where.places.rig, (64, 32), (16, 32)), where.T_earlier_target)
    absent.places.rig.valid[:] = False
    nothing = lift(torch.randn(1, 1024, 8), absent, CELLS)
    assert not nothing.cells.any() and not nothing.columns.any()


def test_what_was_seen_comes_nearer_as_the_ego_drives():
    """By 4 m, the size of a cell: the row of cells ahead says what the one behind it said."""
    features = torch.randn(1, 1024, 8)
    (lift, still), (_, driven) = lift_and_place(), lift_and_place(4.0)
    before, after = (lift(features, where, CELLS).cells.view(4, 4, 8) for where in (still, driven))
    assert torch.allclose(after[:3], before[1:], atol=1e-5)
