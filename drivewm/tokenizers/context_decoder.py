"""A decoder that reads, beside the latents, what is known of an earlier frame: a U-Net of which they are the bottom."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drivewm.layers.conv import downsample, upsample
from drivewm.tokenizers.trunk import StageBlocks


class VoxelEmbedding(nn.Module):
    """Class labels `(B, X, Y, Z)` -> features `(B, dim * Z, X, Y)` by lookup, height folded into channels."""

    def __init__(self, num_labels: int, dim: int) -> None:
        super().__init__()
        self.table = nn.Embedding(num_labels, dim)

    def forward(self, labels: Tensor) -> Tensor:
        """`(B, X, Y, Z)` integers -> `(B, dim * Z, X, Y)`."""
        features = self.table(labels.int())
        return features.permute(0, 4, 3, 1, 2).flatten(1, 2)

    def through(self, labels: Tensor, weight: Tensor, bias: Tensor, patch: int = 1) -> Tensor:
        """What a 1x1 convolution makes of the features, or of their `patch` x `patch` patches (`nn.PixelUnshuffle`).

        The features are never made, and at full resolution they are what costs most: each voxel of a patch adds one row
        of a small table, the product of the embedding and the convolution's weight.

        Args:
            labels: `(B, X, Y, Z)` integers.
            weight, bias: `(out, dim * Z * patch^2, 1, 1)` and `(out,)` of the convolution.
            patch: edge of a patch.

        Returns:
            `(B, out, X / patch, Y / patch)`.
        """
        (batch, x, y, z), (num_labels, dim) = labels.shape, self.table.weight.shape
        device = labels.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
        with torch.autocast(device, enabled=False):
            parts = weight.float().view(-1, dim, z, patch, patch)
            rows = torch.einsum("odzij,ld->ijzlo", parts, self.table.weight.float()).flatten(0, 3)
            patches = (
                labels.view(batch, x // patch, patch, y // patch, patch, z).transpose(2, 3).reshape(-1, patch**2 * z)
            )
            place = num_labels * torch.arange(patch**2 * z, dtype=torch.int32, device=labels.device)
            out = F.embedding_bag(patches.int() + place, rows, mode="sum") + bias
        return out.to(dtype).view(batch, x // patch, y // patch, -1).permute(0, 3, 1, 2)


class ContextDecoder(nn.Module):
    """Latents, and a map of an earlier frame -> features at half the grid's resolution.

    Attributes:
        width: of the map of half resolution.

    Args:
        first: makes the map of half resolution out of the earlier frame, `channels[0]` wide; only kept here, in the
            order in which the earlier frame is read.
        channels: width of each stage of the encoder; each halved the resolution.
        blocks: makes the blocks of each stage.
        code_dim: of the latents.
    """

    def __init__(self, first: nn.Module, channels: tuple[int, ...], blocks: StageBlocks, code_dim: int) -> None:
        super().__init__()
        pairs = zip(channels, channels[1:], strict=False)
        self.width = channels[0]
        self.reading = nn.ModuleList([first, *(nn.Sequential(downsample(a, b), nn.SiLU()) for a, b in pairs)])
        self.from_latent = nn.Conv2d(code_dim, channels[-1], 1)
        self.stages, self.rising = nn.ModuleList(), nn.ModuleList()
        for stage, width in reversed(list(enumerate(channels))):
            merge = nn.Conv2d(2 * width, width, 1)
            self.stages.append(nn.Sequential(merge, *blocks(stage)))
            if stage:
                self.rising.append(upsample(width, channels[stage - 1]))

    def features(self, latents: Tensor, first: Tensor) -> Tensor:
        """Latents `(B, D, H, W)` and the map `(B, channels[0], X / 2, Y / 2)` -> features of the latter's shape."""
        seen = [first]
        for read in self.reading[1:]:
            seen.append(read(seen[-1]))
        x = self.stages[0](torch.cat([self.from_latent(latents), seen.pop()], dim=1))
        for rise, stage in zip(self.rising, self.stages[1:], strict=False):
            x = stage(torch.cat([rise(x), seen.pop()], dim=1))
        return x
