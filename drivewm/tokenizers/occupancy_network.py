"""The occupancy tokenizer's network: voxels to bird's-eye-view latents and back.

z is folded into channels, so that the trunk is two-dimensional; classes are embedded by lookup, which costs a fraction
of convolving one-hot volumes. OccWorld (Zheng et al., 2024) showed that this is enough for driving scenes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drivewm.layers.conv import ResBlock, downsample, upsample
from drivewm.tokenizers.context_decoder import ContextDecoder, VoxelEmbedding
from drivewm.tokenizers.trunk import conv_blocks

# At first the decoder believes what the earlier frame says unless the tokens speak against it.
_FIRST_TRUST = 3.0
_SURE = 30.0
"""The logarithm of the odds of what is as good as certain."""


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


class OccupancyDecoder(ContextDecoder):
    """Latents and an earlier frame warped into this one -> class logits per voxel.

    Tokens say what is new; the earlier frame keeps the detail of what they cannot afford to store, such as the exact
    outline of a parked car. The arguments are those of the encoder.
    """

    def __init__(
        self, num_classes: int, height: int, label_dim: int, channels: tuple[int, ...], blocks: int, code_dim: int
    ) -> None:
        embedding = VoxelEmbedding(num_classes + 1, label_dim)  # one more label: not covered
        first = nn.Sequential(downsample(label_dim * height, channels[0]), nn.SiLU())
        super().__init__(first, channels, conv_blocks(channels, blocks), code_dim)
        self.num_classes, self.height, self.context = num_classes, height, embedding
        self.rising.append(upsample(channels[0], channels[0]))
        # At full resolution each channel of a 3x3 convolution costs most: squeeze before it.
        squeezed = channels[0] // 2
        self.head = nn.Sequential(
            nn.Conv2d(channels[0] + label_dim * height, squeezed, 1),
            nn.SiLU(),
            nn.Conv2d(squeezed, squeezed, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(squeezed, (num_classes + 1) * height, 1),  # the last: log-odds of a copy
        )

    def forward(self, latents: Tensor, previous: Tensor, beside: Tensor | float = 0.0) -> Tensor:
        """Latents `(B, D, H, W)` and labels `(B, X, Y, Z)` -> logits `(B, C, X, Y, Z)`.

        `beside (B, channels[0], X / 2, Y / 2)` is added to the map of the earlier frame.
        """
        shrink, activate = self.reading[0]
        first = activate(self.context.through(previous, shrink[1].weight, shrink[1].bias, patch=2)) + beside
        x = self.rising[-1](self.features(latents, first))
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
