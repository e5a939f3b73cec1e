"""Convolutional blocks over bird's-eye-view maps `(B, C, H, W)`."""

from __future__ import annotations

from torch import Tensor, nn


class ResBlock(nn.Module):
    """Pre-activation residual block (He et al., 2016) with group norm; it starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.GroupNorm(8, channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.GroupNorm(8, channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )
        nn.init.zeros_(self.net[-1].weight)
        nn.init.zeros_(self.net[-1].bias)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, C, H, W)` -> the same shape."""
        return x + self.net(x)


def downsample(in_channels: int, out_channels: int) -> nn.Module:
    """Halve height and width by 2x2 patches: the same as a strided convolution, whose gradient is slow in bfloat16."""
    return nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4 * in_channels, out_channels, 1))


def upsample(in_channels: int, out_channels: int) -> nn.Module:
    """Double height and width by a 1x1 convolution and pixel shuffle."""
    return nn.Sequential(nn.Conv2d(in_channels, 4 * out_channels, 1), nn.PixelShuffle(2))
