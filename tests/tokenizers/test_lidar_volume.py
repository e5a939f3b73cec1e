"""Sweeps of a volume: where rays end, which are lost, how bright they are."""

import math

import pytest
import torch

from drivewm.geometry import VoxelGrid
from drivewm.structures import RayRaster
from drivewm.tokenizers.lidar_volume import returns_towards, silence, silent_cells
from drivewm.tokenizers.rendering import render

GRID = VoxelGrid((-8.0, -8.0, -2.0, 8.0, 8.0, 4.0), 0.5)
SHARP = 200.0  # of the field per metre: the surface is a few millimetres thick
RASTER = RayRaster(rows=16, columns=60, lowest_deg=-40.0, highest_deg=40.0)


def volume_of(field: torch.Tensor, comes: float = 9.0, bright: float = 0.0) -> torch.Tensor:
    """`(1, 3, X, Y, Z)` from a field `(X, Y, Z)`."""
    return torch.stack([field, torch.full_like(field, comes), torch.full_like(field, bright)])[None]


def centers() -> torch.Tensor:
    return torch.from_numpy(GRID.centers()).float()


def test_drawn_rays_end_at_two_surfaces_as_often_as_either_is_met():
    """Half of the rays pass a veil at x = 2.5 and end at a wall at x = 6; a median would end them all at one."""
    x = torch.from_numpy(GRID.centers()).float()[..., 0]
    wall = SHARP * (6.0 - x)
    # The field falls to 0, where sigma is a half, and rises again behind.
    veil = torch.where((x - 2.5).abs() < 0.3, 0.0, 40.0)
    field = torch.minimum(wall, veil)[None]
    points = torch.stack([torch.full((1000,), 7.0), torch.linspace(-3, 3, 1000), torch.zeros(1000)], -1)[None]
    valid, T = torch.ones(1, 1000, dtype=torch.bool), torch.eye(4)[None]
    volume = torch.stack([field, field, field], dim=1)
    ends, met = returns_towards(volume, points, valid, T, GRID, drawn=True)
    assert met.all()
    at_veil = (ends[..., 0] - 2.5).abs() < 0.7
    assert torch.equal(at_veil, (ends[..., 0] - 6.0).abs() > 0.7)
    assert abs(at_veil.float().mean() - 0.5) < 0.1


def test_rays_are_lost_as_often_as_the_volume_says_where_they_end_or_leave():
    """Ground at z = -1 that swallows a quarter of the rays, seen from z = 1; from above none come back."""
    volume = volume_of(SHARP * (centers()[..., 2] + 1), comes=math.log(3.0))
    volume[0, 1][centers()[..., 2] > 0.5] = -9.0
    T = torch.eye(4)[None]
    T[0, 2, 3] = 1.0
    rays = RASTER.rays(T)
    silent = silence(render(volume[:, 0], rays, GRID, 0.25), rays, volume, GRID).view(RASTER.rows, RASTER.columns)
    assert torch.allclose(silent[:8], torch.tensor(1.0), atol=1e-3)  # above the horizon
    assert torch.allclose(silent[12:], torch.tensor(0.25), atol=1e-3)
    cells = silent_cells(volume, RASTER, T, GRID)[0]
    assert cells[:8].all() and not cells[12:].any()
    assert silent_cells(volume_of(volume[0, 0], comes=-1.0), RASTER, T, GRID).all()
    assert not silent_cells(volume_of(volume[0, 0], comes=1.0), RASTER, T, GRID).any()


def test_points_are_as_bright_as_where_they_lie():
    volume = volume_of(SHARP * (centers()[..., 2] + 1))
    volume[:, 2] = centers()[..., 0] / 4  # brighter ahead
    points = torch.tensor([[[2.0, 0.0, -1.0], [-3.0, 1.0, -1.0]]])
    ends, met = returns_towards(volume, points, torch.ones(1, 2, dtype=torch.bool), torch.eye(4)[None], GRID)
    assert met.all() and torch.allclose(ends[..., :3], points, atol=0.02)
    assert torch.allclose(ends[0, :, 3], 255 * torch.sigmoid(points[0, :, 0] / 4), atol=0.5)


def test_a_sweep_along_the_raster_comes_back_from_every_cell():
    rays = RASTER.rays(torch.eye(4)[None])
    points = rays.at(torch.full(rays.origins.shape[:2], 5.0))
    valid = torch.ones(1, points.shape[1], dtype=torch.bool)
    silent, returned = RASTER.look(points, valid)
    assert returned.all() and not silent.any()


def test_cells_are_silent_where_nothing_is_near_on_the_raster_also_across_the_turn():
    rays = RASTER.rays(torch.eye(4)[None])
    points = rays.at(torch.full(rays.origins.shape[:2], 5.0)).view(1, 16, 60, 3)
    valid = torch.ones(1, 16, 60, dtype=torch.bool)
    valid[0, 4:9, 58:] = valid[0, 4:9, :3] = False
    silent = RASTER.look(points.flatten(1, 2), valid.flatten(1))[0][0]
    expected = torch.zeros(16, 60, dtype=torch.bool)
    expected[5:8, 59] = expected[5:8, :2] = True
    assert torch.equal(silent, expected)


def test_a_frame_without_points_says_nothing_of_silence():
    silent, _ = RASTER.look(torch.zeros(1, 0, 3), torch.zeros(1, 0, dtype=torch.bool))
    assert not silent.any()


def test_a_raster_without_a_field_of_view_is_refused():
    with pytest.raises(ValueError, match="lowest_deg 10 must lie below highest_deg -20"):
        RayRaster(lowest_deg=10, highest_deg=-20)
