"""What is asked of a volume: rays end where they did, come back as bright as they did, and are lost where none came."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from drivewm.geometry import VoxelGrid
from drivewm.geometry.transform import transform_points
from drivewm.layers.draws import rows_of_global_batch
from drivewm.structures import RayRaster, Rays
from drivewm.tokenizers.lidar_volume import MAX_INTENSITY, field_of, light_at, silence
from drivewm.tokenizers.point_cloud import PointCloud
from drivewm.tokenizers.rendering import Rendering, render_at

_AROUND_M = 4.0
"""How far around a return the denser samples lie."""


@dataclass(frozen=True)
class RayObjective:
    """Losses of volumes along rays of the true frames.

    Attributes:
        grid: of the volumes.
        raster: of the sensor, to know of rays that did not come back; None: these are not asked for.
        rays: of each frame that came back.
        silent_rays: of each frame that did not.
        samples: along each of them, and as many as `near_samples` more around its return.
        surface_m: half the thickness of what counts as the surface that was hit [m].
        depth_weight: of the absolute error of the expected depth [1/m].
        light_weight: of the losses of whether rays come back and how bright.
    """

    grid: VoxelGrid
    raster: RayRaster | None = None
    rays: int = 1024
    silent_rays: int = 128
    samples: int = 48
    near_samples: int = 16
    surface_m: float = 0.2
    depth_weight: float = 0.1
    light_weight: float = 0.1

    def draw(self, frames: int, device: torch.device, generator: torch.Generator | None = None) -> Tensor:
        """Numbers in [0, 1), `(frames, rays + silent_rays, 1 + samples + near_samples)`: which rays, sampled where."""
        size = (self.rays + self.silent_rays, 1 + self.samples + self.near_samples)
        return rows_of_global_batch(lambda n: torch.rand(n, *size, generator=generator, device=device), frames)

    def losses(self, volume: Tensor, frames: PointCloud, T_ego_lidar: Tensor, drawn: Tensor) -> dict[str, Tensor]:
        """How well rays of the frames end where they did, a mean over rays.

        "loss_depth" is the error of the expected depth, "loss_surface" the negative log-likelihood that a ray ends
        within `surface_m` of its return (or leaves the grid, where it did); "loss_light" asks of the true end that rays
        come back from there, as bright as they did, and "loss_silent" is the negative log-likelihood that silent rays
        are. Rays that came back from beyond the grid leave it. Frames without any point count nothing.

        Args:
            volume: `(J, 3, X, Y, Z)`.
            frames: J frames, in the volume's frame.
            T_ego_lidar: `(J, 4, 4)`.
            drawn: what `draw` gives.
        """
        drawn, drawn_silent = drawn.split([self.rays, self.silent_rays], dim=1)
        count = frames.valid.sum(1)
        picked = frames.pick((drawn[..., 0] * count[:, None]).long())
        rays, truth = Rays.towards(picked.points[..., :3], T_ego_lidar)
        near, far = rays.span(self.grid)
        hit = (truth > near) & (truth < far)
        truth = torch.minimum(torch.maximum(truth, near), far)
        rendering, (front, back) = self._march(field_of(volume), rays, truth, near, far, drawn[..., 1:])
        # log(T_front - T_back)
        ends = front + torch.log1p(-(back - front).exp().clamp_max(1 - 1e-6))
        surface = -torch.where(hit, ends, rendering.log_escape)
        weight = (count > 0).float()[:, None].expand_as(surface) / surface.numel()
        depth = F.l1_loss(rendering.expected_depth(), truth, reduction="none")
        comes, bright = light_at(volume, rays.at(truth), self.grid)
        brightness = F.l1_loss(bright.sigmoid(), picked.points[..., 3] / MAX_INTENSITY, reduction="none")
        light = torch.where(hit, brightness, 0.0) - F.logsigmoid(comes)
        return {
            "loss_depth": self.depth_weight * (weight * depth).sum(),
            "loss_surface": (weight * surface).sum(),
            "loss_light": self.light_weight * (weight * light).sum(),
            "loss_silent": self.light_weight * self._silent_loss(volume, frames, T_ego_lidar, drawn_silent),
        }

    def _march(
        self, field: Tensor, rays: Rays, truth: Tensor, near: Tensor, far: Tensor, drawn: Tensor
    ) -> tuple[Rendering, tuple[Tensor, Tensor]]:
        """The rendering of rays sampled all along and, more densely, around the truth.

        Also returns the log of what is left of a ray just before and behind the surface.
        """
        along, around = drawn.split([self.samples, self.near_samples], dim=-1)
        depth = torch.cat(
            [
                self._strata(near, far, along),
                truth[..., None] + _AROUND_M * (2 * around - 1),
                near[..., None],
                far[..., None],
                truth[..., None] - self.surface_m,
                truth[..., None] + self.surface_m,
            ],
            dim=-1,
        )
        depth = torch.minimum(torch.maximum(depth, near[..., None]), far[..., None])
        depth, order = depth.sort(dim=-1)
        rendering = render_at(field, rays, self.grid, depth)
        where = order.argsort(dim=-1)[..., -2:]
        return rendering, rendering.log_survival.gather(-1, where).unbind(-1)

    def _strata(self, near: Tensor, far: Tensor, along: Tensor) -> Tensor:
        """Depths `(J, R, samples)` [m], one in each of as many equal parts of the rays."""
        strata = (torch.arange(self.samples, device=near.device) + along) / self.samples
        return near[..., None] + (far - near)[..., None] * strata

    def _silent_loss(self, volume: Tensor, frames: PointCloud, T_ego_lidar: Tensor, drawn: Tensor) -> Tensor:
        """-log of the probability that rays of silent cells are silent; drawn evenly among them.

        It counts by the share of silent cells among those of which it is known: the rays that came back have the rest.
        """
        if self.raster is None:
            return volume.sum() * 0
        points = transform_points(torch.linalg.inv(T_ego_lidar), frames.points[..., :3])
        silent, returned = (cells.flatten(1) for cells in self.raster.look(points, frames.valid))
        number = silent.cumsum(1)
        count = number[:, -1]
        share = count / (count + returned.sum(1)).clamp_min(1)
        cell = torch.searchsorted(number, (drawn[..., 0] * count[:, None]).long() + 1).clamp_max(silent.shape[1] - 1)
        every = self.raster.rays(T_ego_lidar)
        rays = Rays(*(part.gather(1, cell[..., None].expand(-1, -1, 3)) for part in (every.origins, every.directions)))
        near, far = rays.span(self.grid)
        depth = torch.cat(
            [near[..., None], self._strata(near, far, drawn[..., 1 : 1 + self.samples]), far[..., None]], -1
        )
        rendering = render_at(field_of(volume), rays, self.grid, depth)
        loss = -(silence(rendering, rays, volume, self.grid) + 1e-4).log()
        return (loss * share[:, None]).mean()
