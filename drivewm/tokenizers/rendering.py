"""Depth along rays from a field on a voxel grid: alpha compositing, differentiable, for any sensor at any pose.

The field s is positive in free space and negative inside of things. A ray survives from one place to a further one with
probability sigma(s_b) / sigma(s_a) where s falls, and 1 where it rises (NeuS; Wang et al., 2021, eq. 13, with sigma the
logistic function). Between samples s is taken to be linear, for which all that is needed has a closed form: a plane is
rendered where it is, not at the nearest sample.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from drivewm.geometry import VoxelGrid
from drivewm.structures import Rays
from drivewm.tokenizers import _rendering_kernels


@dataclass
class Rendering:
    """What R rays meet in each of J frames.

    Attributes:
        depth_m: `(J, R, S + 1)` [m] of the samples.
        log_survival: `(J, R, S + 1)` log of the probability that a ray gets as far as that.
        field: `(J, R, S + 1)` s at the samples.
    """

    depth_m: Tensor
    log_survival: Tensor
    field: Tensor

    @property
    def log_escape(self) -> Tensor:
        """`(J, R)` log of the probability that a ray leaves the grid without having met anything."""
        return self.log_survival[..., -1]

    def expected_depth(self) -> Tensor:
        """Mean depth `(J, R)` [m] at which rays end, those that escape at the end of the grid.

        It is the integral of the survival over the depth.
        """
        share = _mean_survival(self.field[..., :-1], self.field[..., 1:])
        length = self.depth_m.diff(dim=-1)
        return self.depth_m[..., 0] + (self.log_survival[..., :-1].exp() * share * length).sum(-1)

    def quantile_depth(self, level: float | Tensor = 0.5) -> Tensor:
        """Depth `(J, R)` [m] by which a share `level` of all rays have ended; inf where that many do not end at all.

        The median, level 0.5, lies on a surface, unlike the mean, also where a ray may hit either of two. Levels that
        are drawn evenly from (0, 1) make depths that are drawn from where the rays may end.
        """
        log_left = torch.log1p(-torch.as_tensor(level).to(self.field)).expand(self.field.shape[:-1])[..., None]
        ended = self.log_survival <= log_left
        last = ended.to(torch.uint8).argmax(-1, keepdim=True).clamp_min(1)
        first = last - 1
        a, b = self.field.gather(-1, first), self.field.gather(-1, last)
        # sigma(s) at the crossing is (1 - level) sigma(a) / (survival at a).
        log_phi = F.logsigmoid(a) + log_left - self.log_survival.gather(-1, first)
        crossing = log_phi - torch.log1p(-log_phi.exp().clamp_max(1 - 1e-6))
        share = ((a - crossing) / (a - b).clamp_min(1e-6)).clamp(0, 1)
        near, far = self.depth_m.gather(-1, first), self.depth_m.gather(-1, last)
        return torch.where(ended.any(-1), (near + share * (far - near))[..., 0], torch.inf)


def _mean_survival(a: Tensor, b: Tensor) -> Tensor:
    """Mean over an interval, in which s goes from a to b, of the share of the rays that survive since its beginning.

    The mean of sigma(s) is (softplus(a) - softplus(b)) / (a - b). Each `where` first makes its other case harmless:
    a gradient that is not finite would pass through it.
    """
    fall = a - b
    falls, deep, flat = fall > 0, a < _DEEP, fall.abs() < 1e-2
    # Where s hardly changes the difference quotient is all rounding, and the mean is half way.
    usual = falls & ~deep & ~flat
    top, bottom = torch.where(usual, a, 1.0), torch.where(usual, b, 0.0)
    quotient = (F.softplus(top) - F.softplus(bottom)) / (top - bottom) / torch.sigmoid(top)
    half_way = (F.logsigmoid(torch.where(flat, (a + b) / 2, a)) - F.logsigmoid(a)).exp()
    steep = torch.where(falls & ~flat, fall, 1.0)
    share = torch.where(deep, -torch.expm1(-steep) / steep, quotient)
    return torch.where(falls, torch.where(flat, half_way, share), 1.0)


_DEEP = -15.0
"""Where sigma(s) is e^s to float32."""


def render(field: Tensor, rays: Rays, grid: VoxelGrid, step_m: float) -> Rendering:
    """March along rays through a field, in even steps from where they enter the grid to where they leave it.

    Args:
        field: `(J, X, Y, Z)` s at the voxels' centres, linear in between; beyond the outermost centres as there.
        rays: in the frame of the grid.
        grid: of the field.
        step_m: between samples [m]; about a voxel.
    """
    near, far = rays.span(grid)
    steps = max(1, int(((far - near).max() / step_m).ceil())) if near.numel() else 1
    depth = near[..., None] + step_m * torch.arange(steps + 1, device=near.device)
    return render_at(field, rays, grid, torch.minimum(depth, far[..., None]))


def render_at(field: Tensor, rays: Rays, grid: VoxelGrid, depth_m: Tensor) -> Rendering:
    """`render` with samples at given depths `(J, R, S + 1)` [m], which must not decrease."""
    points = rays.origins[:, :, None] + depth_m[..., None] * rays.directions[:, :, None]
    s = sample_field(field, points, grid)
    return Rendering(depth_m, log_survival(s), s)


def log_survival(s: Tensor) -> Tensor:
    """Log of the probability to get as far as each of the samples `s (..., S + 1)` along a ray."""
    return F.pad(F.logsigmoid(s).diff(dim=-1).clamp_max(0).cumsum(-1), (1, 0))


def sample_field(field: Tensor, points: Tensor, grid: VoxelGrid) -> Tensor:
    """Trilinear interpolation of `field (J, X, Y, Z)` at `points (J, ..., 3)` [m]: `(J, ...)`."""
    return sample_volume(field[:, None], points, grid)[:, 0]


def sample_volume(volume: Tensor, points: Tensor, grid: VoxelGrid) -> Tensor:
    """`sample_field` of C values a voxel: `(J, C, X, Y, Z)` at `points (J, ..., 3)` [m] gives `(J, C, ...)`."""
    low, extent = (torch.as_tensor(v, dtype=points.dtype, device=points.device) for v in (grid.origin_m, grid.extent_m))
    normalized = (2 * (points - low) / extent - 1).flip(-1).reshape(len(points), 1, 1, -1, 3)  # it wants z, y, x
    values = F.grid_sample(volume.to(points.dtype), normalized, padding_mode="border", align_corners=False)
    return values.view(*volume.shape[:2], *points.shape[1:-1])


@dataclass
class Depths:
    """`Rendering` in short, for inference: float32 `(J, R)` each, meanings as there."""

    expected_m: Tensor
    quantile_m: Tensor
    log_escape: Tensor


def render_depths(
    field: Tensor, rays: Rays, grid: VoxelGrid, step_m: float, level: Tensor | None = None, skip: bool = True
) -> Depths:
    """What `render` gives in the end, without gradient; on a CPU by a kernel that skips what is free.

    Args:
        field, rays, grid, step_m: as for `render`.
        level: `(R,)` or `(J, R)` of the quantile, in [0.001, 0.999]; None: the median.
        skip: false looks at every sample, to measure what skipping brings. Blocks are skipped where no value of the
            field loses more than a ten-thousandth of the rays: depths agree to a thousandth of the ray's length.
    """
    level = torch.as_tensor(0.5 if level is None else level, device=field.device).expand(rays.origins.shape[:2])
    if field.device.type != "cpu":
        return _render_frames(field, rays, grid, step_m, level)
    log_left = np.log1p(-level.double().numpy())
    near, far = (t.double().numpy() for t in rays.span(grid))
    found = np.empty((3, *near.shape))
    for j, values in enumerate(field.detach().float().contiguous().numpy()):
        free = np.zeros([-(-n // _BLOCK) for n in grid.shape], bool)
        if skip:
            _rendering_kernels.free_blocks(values, _BLOCK, _SURELY_FREE, free)
        origins, directions = (t[j].double().numpy() for t in (rays.origins, rays.directions))
        place = (values, free, _BLOCK, grid.origin_m, grid.voxel_m, origins, directions, near[j], far[j])
        _rendering_kernels.march(*place, step_m, log_left[j], _DONE if skip else -np.inf, *found[:, j])
    return Depths(*(torch.from_numpy(part).float() for part in found))


@torch.no_grad()
def _render_frames(field: Tensor, rays: Rays, grid: VoxelGrid, step_m: float, level: Tensor) -> Depths:
    """`render_depths` by `render`, one frame after the other: the samples of a single sweep's rays take gigabytes."""
    found = field.new_empty(3, *rays.origins.shape[:2], dtype=torch.float32)
    for j in range(len(field)):
        frame = slice(j, j + 1)
        rendering = render(field[frame], Rays(rays.origins[frame], rays.directions[frame]), grid, step_m)
        parts = (rendering.expected_depth(), rendering.quantile_depth(level[frame]), rendering.log_escape)
        found[:, frame] = torch.stack(parts)
    return Depths(*found)


def spread_levels(number: int, device: torch.device | None = None) -> Tensor:
    """Levels `(number,)` in [0.001, 0.999], any few consecutive ones as evenly spread as can be.

    Multiples of the golden ratio, of which the whole part is left out (the additive recurrence of Weyl, 1916).
    """
    golden = (5**0.5 - 1) / 2
    level = (golden * torch.arange(1, number + 1, dtype=torch.float64, device=device)).frac()
    return level.clamp(0.001, 0.999).float()


_BLOCK = 4
_SURELY_FREE, _DONE = 9.2, -9.2
"""Fields of which sigma is a ten-thousandth below 1; rays of which a ten-thousandth is left."""
