"""The camera tokenizer's network: pictures to latents, and latents with the rays of their pixels back to pictures."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drivewm.geometry.cameras import ray_maps
from drivewm.layers.conv import upsample
from drivewm.tokenizers.backbone import Backbone
from drivewm.tokenizers.camera_views import CameraViews
from drivewm.tokenizers.trunk import StageBlocks

RAY_CHANNELS = 6
_COLOR_GAIN = 4.0  # brings colours to about the spread of a backbone's normalized features


class CameraEncoder(nn.Module):
    """Pictures -> latents `(J, D, H / reduction, W / reduction)`.

    The mean colour of each cell reaches its latent past the backbone. What a fresh network shows of a picture is nearly
    all brightness, and codes that are found among such latents leave no room for what it learns of colours later.

    Args:
        backbone, weights: see `Backbone`.
        reduction: how many times smaller the map of latents is.
        code_dim: D.
    """

    def __init__(self, backbone: str, weights: str | None, reduction: int, code_dim: int) -> None:
        super().__init__()
        self.backbone, self.reduction = Backbone(backbone, (reduction,), weights), reduction
        self.to_latent = nn.Conv2d(self.backbone.channels[0] + 3, code_dim, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        """`(J, 3, H, W)` with values 0..1 -> `(J, D, h, w)`."""
        (features,) = self.backbone(pictures)
        colors = _COLOR_GAIN * (F.avg_pool2d(pictures, self.reduction) - 0.5)
        return self.to_latent(torch.cat([features, colors.to(features.dtype)], dim=1))


class CameraDecoder(nn.Module):
    """Latents and the rays of pixels -> pictures.

    At each resolution the decoder is told which ray every place looks along (`ray_maps`). It knows then what a view
    can show there, the road below or the sky above, whatever the camera, crop or scale. It adds to a smooth picture of
    colours, one a latent.

    Args:
        channels: width of each stage, the first at half of the picture's resolution; each halves it further.
        blocks: makes the blocks of each stage.
        code_dim: D.
    """

    def __init__(self, channels: tuple[int, ...], blocks: StageBlocks, code_dim: int) -> None:
        super().__init__()
        self.from_latent, self.colors = nn.Conv2d(code_dim, channels[-1], 1), nn.Conv2d(code_dim, 3, 1)
        self.stages, self.rising = nn.ModuleList(), nn.ModuleList()
        finer = (max(8, channels[0] // 2), *channels)
        for stage, width in reversed(list(enumerate(channels))):
            self.stages.append(nn.Sequential(nn.Conv2d(width + RAY_CHANNELS, width, 1), *blocks(stage)))
            self.rising.append(upsample(width, finer[stage]))
        # At full resolution each channel costs most: one convolution, with the ray of each pixel.
        self.head = nn.Sequential(
            nn.Conv2d(finer[0] + RAY_CHANNELS, finer[0], 3, padding=1), nn.SiLU(), nn.Conv2d(finer[0], 3, 1)
        )
        nn.init.constant_(self.head[-1].bias, 0.0)
        nn.init.constant_(self.colors.bias, 0.5)

    def forward(self, latents: Tensor, views: CameraViews) -> Tensor:
        """Latents `(J, D, h, w)` and J views, each for itself -> `(J, 3, H, W)`, about 0..1."""
        reduction = 2 ** len(self.stages)
        size = (latents.shape[-1] * reduction, latents.shape[-2] * reduction)

        def with_rays(features: Tensor, stride: int) -> Tensor:
            return torch.cat([features, ray_maps(views.K, views.T_ego_cam, size, stride).to(features.dtype)], dim=1)

        x = self.from_latent(latents)
        for depth, (stage, rise) in enumerate(zip(self.stages, self.rising, strict=True)):
            x = rise(stage(with_rays(x, reduction >> depth)))
        smooth = F.interpolate(self.colors(latents), scale_factor=reduction, mode="bilinear")
        return smooth + self.head(with_rays(x, 1))
