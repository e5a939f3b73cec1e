"""Rendering against closed forms, the kernel against its twin."""

import math

import numpy as np
import pytest
import torch

from drivewm.geometry import VoxelGrid
from drivewm.structures import Rays
from drivewm.tokenizers.rendering import (
    _render_frames,
    render,
    render_at,
    render_depths,
    sample_field,
    spread_levels,
)

GRID = VoxelGrid((-8.0, -8.0, -2.0, 8.0, 8.0, 4.0), 0.5)
SHARP = 200.0  # of the field per metre: the surface is a few millimetres thick


def field_of(distance) -> torch.Tensor:
    """`(1, X, Y, Z)` from a signed distance [m] of centres `(X, Y, Z, 3)`."""
    return (SHARP * distance(torch.from_numpy(GRID.centers()).float()))[None]


def rays_around(number: int = 500, seed: int = 0, lowest: float = -0.6, highest: float = 0.3) -> Rays:
    generator = torch.Generator().manual_seed(seed)
    azimuth = 2 * math.pi * torch.rand(number, generator=generator)
    elevation = lowest + (highest - lowest) * torch.rand(number, generator=generator)
    flat = elevation.cos()
    directions = torch.stack([flat * azimuth.cos(), flat * azimuth.sin(), elevation.sin()], -1)[None]
    return Rays(torch.tensor([0.1, -0.2, 1.3]).expand_as(directions), directions)


def test_a_plane_is_where_it_is():
    """z = -0.3 lies between two layers of centres; samples are half a metre apart, depths right to centimetres."""
    rays = rays_around(highest=-0.25)
    rendering = render(field_of(lambda p: p[..., 2] + 0.3), rays, GRID, step_m=0.5)
    truth = 1.6 / -rays.directions[..., 2]
    assert torch.allclose(rendering.expected_depth(), truth, atol=0.03)
    assert torch.allclose(rendering.quantile_depth(), truth, atol=0.03)
    assert rendering.log_escape.max() < -10


def test_a_box_is_where_it_is():
    """Rays along x onto the face x = 3.2 of a box."""
    y, z = torch.meshgrid(torch.linspace(-1, 1, 9), torch.linspace(-0.5, 1.5, 9), indexing="ij")
    origins = torch.stack([torch.full_like(y, -5), y, z], -1).view(1, -1, 3)
    rays = Rays(origins, torch.tensor([1.0, 0, 0]).expand_as(origins))
    half, center = torch.tensor([1.0, 3.0, 3.0]), torch.tensor([4.2, 0.0, 0.5])

    def box(p):
        outside = (p - center).abs() - half
        return outside.clamp_min(0).norm(dim=-1) + outside.amax(-1).clamp_max(0)

    assert torch.allclose(render(field_of(box), rays, GRID, 0.5).expected_depth(), torch.tensor(8.2), atol=0.01)


def test_a_sphere_is_where_it_is():
    """Interpolation between centres makes a polyhedron of it: within its sagitta, h^2 / (8 r), along the normal."""
    radius, center = 3.0, torch.tensor([4.0, 0.0, 1.0])
    targets = center + 0.7 * torch.randn(1, 200, 3, generator=torch.Generator().manual_seed(1))
    rays, _ = Rays.towards(targets, torch.eye(4)[None])
    along = (rays.directions * (center - rays.origins)).sum(-1)
    miss2 = (center - rays.origins).square().sum(-1) - along**2
    truth = along - (radius**2 - miss2).sqrt()
    depth = render(field_of(lambda p: (p - center).norm(dim=-1) - radius), rays, GRID, 0.25).expected_depth()
    assert (depth - truth).abs().max() < 0.05


def test_rays_that_meet_nothing_end_where_the_grid_ends():
    rays = rays_around()
    rendering = render(torch.full((1, *GRID.shape), 40.0), rays, GRID, 0.5)
    _, far = rays.span(GRID)
    assert torch.allclose(rendering.expected_depth(), far, atol=1e-4)
    assert torch.isinf(rendering.quantile_depth()).all() and torch.allclose(rendering.log_escape, torch.zeros(()))


def test_a_ray_that_misses_the_grid_meets_nothing():
    rays = Rays(torch.tensor([[[0.0, 20.0, 0.0]]]), torch.tensor([[[1.0, 0.0, 0.0]]]))
    near, far = rays.span(GRID)
    assert torch.equal(near, far)
    assert render(field_of(lambda p: p[..., 2] * 0 - 1), rays, GRID, 0.5).log_escape.item() == 0


def smooth_field(seed: int = 0) -> torch.Tensor:
    """A blurred random field of moderate values, with all that can happen to a ray."""
    coarse = 6 * torch.randn(2, 1, 8, 8, 4, generator=torch.Generator().manual_seed(seed)) + 4
    return torch.nn.functional.interpolate(coarse, GRID.shape, mode="trilinear")[:, 0]


def rays_of_two() -> Rays:
    a, b = rays_around(seed=1), rays_around(seed=2, lowest=-0.1, highest=0.1)
    return Rays(torch.cat([a.origins, b.origins]), torch.cat([a.directions, b.directions]))


def test_the_expected_depth_is_the_integral_of_the_survival():
    """Against a fine sum, the survival being taken from its definition with the field linear between samples."""
    field, rays = smooth_field().double(), rays_of_two()
    rendering = render(field, rays, GRID, 0.5)
    fine = torch.linspace(0, 1, 201)[1:] - 0.0025  # midpoints
    a, b = rendering.field[..., :-1, None], rendering.field[..., 1:, None]
    within = torch.sigmoid(a + (b - a) * fine) / torch.sigmoid(a)
    within = torch.where(b < a, within, 1.0).mean(-1)
    alive = rendering.log_survival[..., :-1].exp()
    truth = rendering.depth_m[..., 0] + (alive * within * rendering.depth_m.diff(dim=-1)).sum(-1)
    assert torch.allclose(rendering.expected_depth(), truth, atol=2e-4)


@pytest.mark.parametrize("level", [0.1, 0.5, 0.9])
def test_as_many_rays_have_ended_at_a_quantile_as_it_says(level):
    field, rays = smooth_field(), rays_of_two()
    rendering = render(field, rays, GRID, 0.05)
    depth = rendering.quantile_depth(level)
    hit = torch.isfinite(depth)
    assert 0.1 < hit.float().mean() < 1
    left = render_at(field, rays, GRID, torch.minimum(rendering.depth_m, depth[..., None])).log_escape
    assert torch.allclose(left[hit].exp(), torch.tensor(1 - level), atol=0.02)


def test_spread_levels_cover_all_that_may_happen_evenly():
    levels = spread_levels(10_000)
    assert levels.min() >= 0.001 and levels.max() <= 0.999
    for start in (0, 5000):
        few = levels[start : start + 20].sort().values
        assert few.diff().max() < 0.1  # 0.05 if they were spaced evenly
    assert torch.allclose(levels.histc(10, 0, 1), torch.tensor(1000.0), atol=3)


def test_gradients_are_those_of_finite_differences():
    grid = VoxelGrid((-2.0, -2.0, -1.0, 2.0, 2.0, 1.0), 1.0)
    field = torch.randn(1, *grid.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3)) + 1
    rays = rays_around(20)
    rays = Rays(torch.full_like(rays.origins, 0.05).double(), rays.directions.double())

    def depth(values):
        return render(values, rays, grid, 0.3).expected_depth()

    assert torch.autograd.gradcheck(depth, (field.requires_grad_(True),), atol=1e-5)


@pytest.mark.parametrize("skip", [True, False])
def test_the_kernel_agrees_with_its_twin(skip):
    field, rays = smooth_field(), rays_of_two()
    field[0] = field[0] + 8  # much of it free, so that there is something to skip
    level = spread_levels(rays.origins.shape[1])
    twin, depths = render(field, rays, GRID, 0.5), render_depths(field, rays, GRID, 0.5, level, skip)
    assert torch.allclose(depths.expected_m, twin.expected_depth(), atol=0.01 if skip else 1e-3)
    assert torch.allclose(depths.log_escape.exp(), twin.log_escape.exp(), atol=1e-3)
    truth, found = twin.quantile_depth(level), depths.quantile_m
    same = (truth.isinf() == found.isinf()) & ~truth.isinf()
    assert (truth.isinf() != found.isinf()).float().mean() < 0.01
    assert torch.allclose(truth[same], found[same], atol=0.02)


def test_what_is_rendered_frame_by_frame_on_a_gpu_is_the_same():
    field, rays = smooth_field(), rays_of_two()
    level = spread_levels(rays.origins.shape[1]).expand(rays.origins.shape[:2])
    twin, depths = render(field, rays, GRID, 0.5), _render_frames(field, rays, GRID, 0.5, level)
    expected = (twin.expected_depth(), twin.quantile_depth(level), twin.log_escape)
    for part, whole in zip((depths.expected_m, depths.quantile_m, depths.log_escape), expected, strict=True):
        assert torch.allclose(part, whole, atol=1e-5)


def test_much_is_skipped_and_nothing_lost():
    """A wall in open space: depths with and without skipping, sharp and blurred."""
    rays = rays_around()
    for sharpness in (2.0, 20.0):
        field = (sharpness * (4.0 - torch.from_numpy(GRID.centers()).float()[..., 0]))[None]
        a, b = (render_depths(field, rays, GRID, 0.5, skip=skip) for skip in (True, False))
        assert torch.allclose(a.expected_m, b.expected_m, atol=0.02)


def test_the_field_is_linear_between_centres():
    centers = torch.from_numpy(GRID.centers()).float()
    field = (2 * centers[..., 0] - centers[..., 1] + 3 * centers[..., 2])[None]
    low, high = GRID.origin_m + 0.25, GRID.origin_m + GRID.extent_m - 0.25
    points = torch.from_numpy(np.random.default_rng(0).uniform(low, high, (1, 50, 3))).float()
    expected = 2 * points[..., 0] - points[..., 1] + 3 * points[..., 2]
    assert torch.allclose(sample_field(field, points, GRID), expected, atol=1e-4)


def test_rays_towards_points_lead_to_them():
    points = torch.randn(2, 30, 3, generator=torch.Generator().manual_seed(0)) * 10
    T = torch.eye(4).repeat(2, 1, 1)
    T[:, :3, 3] = torch.tensor([0.9, 0.0, 1.8])
    rays, depth_m = Rays.towards(points, T)
    assert torch.allclose(rays.at(depth_m), points, atol=1e-5)


def test_unequal_shapes_of_rays_are_refused():
    with pytest.raises(ValueError, match=r"must both be \(J, R, 3\)"):
        Rays(torch.zeros(1, 4, 3), torch.zeros(1, 5, 3))


def test_directions_that_are_not_of_unit_length_are_refused():
    with pytest.raises(ValueError, match="unit length, got 0 to 1"):
        Rays(torch.zeros(1, 2, 3), torch.tensor([[[1.0, 0, 0], [0, 0, 0]]]))


def test_fields_of_any_size_have_finite_gradients():
    """Surfaces become sharp in training, and a ray may start inside of a thing."""
    for scale in (1.0, 100.0, 1e4):
        field = (scale * (smooth_field() - 4)).requires_grad_(True)
        rendering = render(field, rays_of_two(), GRID, 0.5)
        (rendering.expected_depth().sum() + rendering.log_escape.sum()).backward()
        assert field.grad.isfinite().all()
