"""What a decoder of LiDAR says of each voxel, and the sweeps that a sensor takes of it.

A volume `(J, 3, X, Y, Z)` holds the field that rays end in (see `rendering`), and of rays that end there the logit of
the probability that they come back, and that of how bright they are (intensity 255 is 1). Rays that leave the grid may
still come back, from behind it: of these the values count where they leave.
"""

from __future__ import annotations

import torch
from torch import Tensor

from drivewm.geometry import VoxelGrid
from drivewm.structures import RayRaster, Rays
from drivewm.tokenizers.rendering import Rendering, render_depths, sample_volume, spread_levels

CHANNELS = 3
MAX_INTENSITY = 255.0


def field_of(volume: Tensor) -> Tensor:
    """The field `(J, X, Y, Z)` of volumes `(J, 3, X, Y, Z)`."""
    return volume[:, 0]


def light_at(volume: Tensor, points: Tensor, grid: VoxelGrid) -> tuple[Tensor, Tensor]:
    """Logits `(J, ...)` of what comes back from `points (J, ..., 3)` [m]: whether, and how bright."""
    return sample_volume(volume[:, 1:], points, grid).unbind(1)


def silence(rendering: Rendering, rays: Rays, volume: Tensor, grid: VoxelGrid) -> Tensor:
    """Probability `(J, R)` that nothing comes back: that rays are lost where they end or leave the grid.

    Args:
        rendering: of the volume's field along the rays.
        rays: in the frame of the grid.
        volume: `(J, 3, X, Y, Z)`.
        grid: of the volume.
    """
    points = rays.origins[:, :, None] + rendering.depth_m[..., None] * rays.directions[:, :, None]
    lost = 1 - light_at(volume, points, grid)[0].sigmoid()
    ends = -rendering.log_survival.exp().diff(dim=-1)
    return rendering.log_escape.exp() * lost[..., -1] + (ends * (lost[..., 1:] + lost[..., :-1]) / 2).sum(-1)


def returns_towards(
    volume: Tensor, points: Tensor, valid: Tensor, T_frame_lidar: Tensor, grid: VoxelGrid, drawn: bool = False
) -> tuple[Tensor, Tensor]:
    """Where rays that once met points end in a volume.

    Args:
        volume: `(J, 3, X, Y, Z)`.
        points: `(J, R, 3)` [m] that say which rays.
        valid: `(J, R)` bool, those of them that count.
        T_frame_lidar: `(J, 4, 4)` where the sensor stands.
        grid: of the volume.
        drawn: false: all at their median depth, the best guess of each ray. True: neighbouring rays at different
            levels (`spread_levels`), so that together they end as rays of this field do: where it is not known which of
            two surfaces is met some points lie on either.

    Returns:
        points `(J, R, 4)` [m] and intensity, and `(J, R)` bool, which of the valid rays end at all. Whether they come
        back is not asked: the rays are known to have come back.
    """
    rays, _ = Rays.towards(points, T_frame_lidar)
    level = spread_levels(points.shape[1], points.device) if drawn else None
    depth = render_depths(field_of(volume), rays, grid, grid.voxel_m, level).quantile_m
    met = depth.isfinite() & valid
    ends = rays.at(torch.where(met, depth, 0))
    intensity = MAX_INTENSITY * light_at(volume, ends, grid)[1].sigmoid()
    return torch.cat([ends, intensity[..., None]], dim=-1), met


def silent_cells(volume: Tensor, raster: RayRaster, T_frame_lidar: Tensor, grid: VoxelGrid) -> Tensor:
    """Cells `(J, rows, columns)` bool of a sensor's raster from which most likely nothing comes back.

    Of rays that end, what is lost is judged at their median depth.

    Args:
        volume: `(J, 3, X, Y, Z)`.
        raster: of the sensor.
        T_frame_lidar: `(J, 4, 4)` where it stands.
        grid: of the volume.
    """
    rays = raster.rays(T_frame_lidar)
    depths = render_depths(field_of(volume), rays, grid, grid.voxel_m)
    _, far = rays.span(grid)
    ended, left = (light_at(volume, rays.at(d), grid)[0].sigmoid() for d in (depths.quantile_m.minimum(far), far))
    escape = depths.log_escape.exp()
    return ((1 - escape) * ended + escape * left < 0.5).unflatten(1, (raster.rows, raster.columns))
