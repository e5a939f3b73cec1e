"""The network of OccWorld's tokenizer (Zheng et al., 2024, section 3.2).

A convolutional trunk like VQGAN's (Esser et al., 2021) over bird's-eye-view maps, from full resolution to a quarter of
it and back, with attention at the coarsest.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drivewm.tokenizers.context_decoder import VoxelEmbedding

_GROUPS = 32


def _normed(channels: int, layer: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.GroupNorm(_GROUPS, channels), nn.SiLU(), layer)


def _conv(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, stride, padding=1)


class WideningBlock(nn.Module):
    """Pre-activation residual block; a 1x1 convolution carries the input where the width changes."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        first = _normed(in_channels, _conv(in_channels, out_channels))
        self.net = nn.Sequential(first, _normed(out_channels, _conv(out_channels, out_channels)))
        self.carry = nn.Identity() if in_channels == out_channels else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, in, H, W)` -> `(B, out, H, W)`."""
        return self.carry(x) + self.net(x)


class CellAttention(nn.Module):
    """Attention of one head among all cells of a map, added to it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(_GROUPS, channels)
        self.qkv, self.out = nn.Conv2d(channels, 3 * channels, 1), nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, C, H, W)` -> the same shape."""
        q, k, v = self.qkv(self.norm(x)).flatten(2).chunk(3, dim=1)
        weights = torch.bmm(q.transpose(1, 2) * q.shape[1] ** -0.5, k).softmax(-1)
        return x + self.out(torch.bmm(v, weights.transpose(1, 2)).view_as(x))


def _middle(channels: int) -> list[nn.Module]:
    return [WideningBlock(channels, channels), CellAttention(channels), WideningBlock(channels, channels)]


def trunk_down(in_channels: int, channels: tuple[int, ...], blocks: int, code_dim: int) -> nn.Sequential:
    """Maps `(B, in_channels, X, Y)` -> latents `(B, code_dim, X / 2^(S - 1), Y / 2^(S - 1))` for S stages.

    Args:
        in_channels: of the map.
        channels: width of each stage; between two stages the resolution is halved.
        blocks: residual blocks per stage; in the last stage attention follows each.
        code_dim: of the latents.
    """
    layers: list[nn.Module] = [_conv(in_channels, channels[0])]
    width = channels[0]
    for stage, stage_width in enumerate(channels):
        coarsest = stage == len(channels) - 1
        for _ in range(blocks):
            layers += [WideningBlock(width, stage_width), *([CellAttention(stage_width)] if coarsest else [])]
            width = stage_width
        if not coarsest:
            layers.append(_conv(width, width, stride=2))
    to_code = nn.Conv2d(code_dim, code_dim, 1)
    return nn.Sequential(*layers, *_middle(width), _normed(width, _conv(width, code_dim)), to_code)


class _Doubled(nn.Module):
    """Each cell four times."""

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2.0, mode="nearest")


def trunk_up(out_channels: int, channels: tuple[int, ...], blocks: int, code_dim: int) -> nn.Sequential:
    """The encoder's way back: `(B, code_dim, H, W)` -> `(B, out_channels, X, Y)`. Arguments as for `encoder`."""
    width = channels[-1]
    layers: list[nn.Module] = [nn.Conv2d(code_dim, code_dim, 1), _conv(code_dim, width), *_middle(width)]
    for stage, stage_width in reversed(list(enumerate(channels))):
        coarsest = stage == len(channels) - 1
        for _ in range(blocks):
            layers += [WideningBlock(width, stage_width), *([CellAttention(stage_width)] if coarsest else [])]
            width = stage_width
        if stage:
            layers += [_Doubled(), _conv(width, width)]
    return nn.Sequential(*layers, _normed(width, _conv(width, out_channels)))


class OccWorldEncoder(nn.Module):
    """Voxel labels `(B, X, Y, Z)` -> latents `(B, D, H, W)`. Arguments as for `OccupancyEncoder`."""

    def __init__(
        self, num_labels: int, height: int, label_dim: int, channels: tuple[int, ...], blocks: int, code_dim: int
    ) -> None:
        super().__init__()
        self.embedding = VoxelEmbedding(num_labels, label_dim)
        self.trunk = trunk_down(label_dim * height, channels, blocks, code_dim)

    def forward(self, labels: Tensor) -> Tensor:
        """`(B, X, Y, Z)` uint8 -> `(B, D, H, W)`."""
        return self.trunk(self.embedding(labels))


class OccWorldDecoder(nn.Module):
    """Latents -> class logits: the likeness of each voxel's features to the class embeddings.

    Args:
        embedding: of the classes, shared with the encoder.
        height, label_dim, channels, blocks, code_dim: as for `OccupancyDecoder`.
    """

    def __init__(
        self,
        embedding: VoxelEmbedding,
        height: int,
        label_dim: int,
        channels: tuple[int, ...],
        blocks: int,
        code_dim: int,
    ) -> None:
        super().__init__()
        self.embedding, self.height = embedding, height
        self.trunk = trunk_up(label_dim * height, channels, blocks, code_dim)

    def forward(self, latents: Tensor, previous: Tensor) -> Tensor:
        """Latents `(B, D, H, W)` -> logits `(B, C, X, Y, Z)`; the earlier frame is not looked at."""
        features = self.trunk(latents).unflatten(1, (-1, self.height))
        shape = features.shape[2:]
        logits = (self.embedding.table.weight @ features.flatten(2)).unflatten(2, shape)
        return logits.permute(0, 1, 3, 4, 2)
