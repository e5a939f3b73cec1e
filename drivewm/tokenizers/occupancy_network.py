"""The occupancy tokenizer's network: voxels to bird's-eye-view latents and back.

z is folded into channels, so that the trunk is two-dimensional; classes are embedded by lookup, which costs a fraction
of convolving one-hot volumes. OccWorld (Zheng et al., 2024) showed that this is enough for driving scenes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drivewm.layers.conv import ResBlock, downsample, upsample

# At first the decoder believes what the earlier frame says unless the tokens speak against it.
_FIRST_TRUST = 3.0
_SURE = 30.0
"""The logarithm of the odds of what is as good as certain."""


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


class OccupancyEncoder(nn.Module):
    """Voxel labels `(B, X, Y, Z)` -> latents `(B, D, X / 2^S, Y / 2^S)` for S stages.

    Args:
        num_labels: size of the label set.
        height: Z.
        label_dim: features per voxel.
        channels: width of each stage; each halves the resolution.
        blocks: residual blocks per stage.
        code_dim: D.
    """

    def __init__(
        self, num_labels: int, height: int, label_dim: int, channels: tuple[int, ...], blocks: int, code_dim: int
    ) -> None:
        super().__init__()
        self.embedding = VoxelEmbedding(num_labels, label_dim)
        stages, width = [], label_dim * height
        for stage_width in channels:
            stages += [downsample(width, stage_width), *(ResBlock(stage_width) for _ in range(blocks))]
            width = stage_width
        self.trunk = nn.Sequential(*stages)
        self.to_latent = nn.Sequential(nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, code_dim, 1))

    def forward(self, labels: Tensor) -> Tensor:
        """`(B, X, Y, Z)` uint8 -> `(B, D, H, W)`."""
        first = self.trunk[0][1]
        return self.to_latent(self.trunk[1:](self.embedding.through(labels, first.weight, first.bias, patch=2)))


class OccupancyDecoder(nn.Module):
    """Latents and an earlier frame warped into this one -> class logits per voxel.

    Tokens say what is new; the earlier frame keeps the detail of what they cannot afford to store, such as the exact
    outline of a parked car. The arguments are those of the encoder.
    """

    def __init__(
        self, num_classes: int, height: int, label_dim: int, channels: tuple[int, ...], blocks: int, code_dim: int
    ) -> None:
        super().__init__()
        self.num_classes, self.height = num_classes, height
        self.context = VoxelEmbedding(num_classes + 1, label_dim)  # one more label: not covered
        reading, reversed_channels = [], list(channels[::-1])
        width = label_dim * height
        for stage_width in channels:
            reading.append(nn.Sequential(downsample(width, stage_width), nn.SiLU()))
            width = stage_width
        self.reading = nn.ModuleList(reading)
        self.from_latent = nn.Conv2d(code_dim, channels[-1], 1)
        self.stages, self.rising = nn.ModuleList(), nn.ModuleList()
        for stage_width, next_width in zip(reversed_channels, [*reversed_channels[1:], channels[0]], strict=True):
            merge = nn.Conv2d(2 * stage_width, stage_width, 1)
            self.stages.append(nn.Sequential(merge, *(ResBlock(stage_width) for _ in range(blocks))))
            self.rising.append(upsample(stage_width, next_width))
        # At full resolution each channel of a 3x3 convolution costs most: squeeze before it.
        squeezed = channels[0] // 2
        self.head = nn.Sequential(
            nn.Conv2d(channels[0] + label_dim * height, squeezed, 1),
            nn.SiLU(),
            nn.Conv2d(squeezed, squeezed, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(squeezed, (num_classes + 1) * height, 1),  # the last: log-odds of a copy
        )

    def forward(self, latents: Tensor, previous: Tensor) -> Tensor:
        """Latents `(B, D, H, W)` and labels `(B, X, Y, Z)` -> logits `(B, C, X, Y, Z)`."""
        shrink, activate = self.reading[0]
        seen = [activate(self.context.through(previous, shrink[1].weight, shrink[1].bias, patch=2))]
        for read in self.reading[1:]:
            seen.append(read(seen[-1]))
        x = self.from_latent(latents)
        for stage, rise in zip(self.stages, self.rising, strict=True):
            x = rise(stage(torch.cat([x, seen.pop()], dim=1)))
        squeeze = self.head[0]  # of x and of what the earlier frame shows at full resolution
        outline = self.context.through(previous, squeeze.weight[:, x.shape[1] :], squeeze.bias)
        x = F.conv2d(x, squeeze.weight[:, : x.shape[1]]) + outline
        # In float32: a CPU scatters bfloat16 forty times slower.
        out = self.head[1:](x).float().unflatten(1, (self.num_classes + 1, self.height))
        return self._copy(out[:, :-1], out[:, -1:], previous.permute(0, 3, 1, 2)).permute(0, 1, 3, 4, 2)

    def _copy(self, logits: Tensor, trust: Tensor, previous: Tensor) -> Tensor:
        """Mix what the decoder draws itself with a copy of the earlier frame, voxel by voxel.

        The pointer-generator's mixture (See et al., 2017, eq. 9) as logits: with trust t, the odds of a copy are e^t.
        What did not change need not be drawn again, and how far the copy is trusted does not depend on its class. So
        even classes are kept that training never showed.
        Logits `(B, C, Z, X, Y)`, trust `(B, 1, Z, X, Y)`, previous `(B, Z, X, Y)`.
        """
        covered = (previous < self.num_classes)[:, None]
        trust = torch.where(covered, trust + _FIRST_TRUST, -_SURE)
        label = torch.where(covered[:, 0], previous, 0).long()[:, None]
        mixed = torch.logaddexp(logits.gather(1, label), logits.logsumexp(1, keepdim=True) + trust)
        # In place where no gradient asks for what was there: at full size a copy costs as much as a convolution.
        return logits.scatter(1, label, mixed) if torch.is_grad_enabled() else logits.scatter_(1, label, mixed)
