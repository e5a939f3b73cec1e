"""Latent maps to token grids: one grid, or several from coarse to fine, of which each codes what those before left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from drivewm.layers.scales import shrink, spread


@dataclass
class QuantizedMap:
    """What quantizing a latent map gives.

    Attributes:
        latents: `(B, D, H, W)` the sum of all scales' codes; gradients pass straight through to the input.
        indices: of each scale, `(B, h, w)` int64.
        commitment: scalar, see `Quantized`; the mean over scales.
    """

    latents: Tensor
    indices: tuple[Tensor, ...]
    commitment: Tensor


class MultiScaleQuantizer(nn.Module):
    """Residual quantization over scales, as in VAR (Tian et al., 2024, section 3.2, without its extra convolutions).

    Each scale averages what is left of the latents over its cells, quantizes that, and takes the codes, spread to full
    size, off what is left. With a single scale of the latents' own size this is plain quantization.

    Args:
        quantizers: one for each scale, all of one length of codes and one size of vocabulary.
        shapes: cells `(h, w)` of each scale; the last is that of the latents, if it is not the only one.
    """

    def __init__(self, quantizers: list[nn.Module], shapes: tuple[tuple[int, int], ...]) -> None:
        super().__init__()
        if len(quantizers) != len(shapes) or not shapes:
            raise ValueError(f"one quantizer a scale is needed, got {len(quantizers)} for the scales {shapes}")
        sizes = {(q.vocab_size, q.dim) for q in quantizers}
        if len(sizes) != 1:
            raise ValueError(
                f"scales must agree in size of the vocabulary and length of the codes, got {sorted(sizes)}"
            )
        if any(a[i] > b[i] for a, b in zip(shapes, shapes[1:], strict=False) for i in range(2)):
            raise ValueError(f"scales must go from coarse to fine, got {shapes}")
        self.scales = nn.ModuleList(quantizers)
        self.shapes = tuple(tuple(s) for s in shapes)
        self.vocab_size, self.dim = quantizers[0].vocab_size, quantizers[0].dim

    def encode(self, latents: Tensor) -> tuple[Tensor, ...]:
        """Indices `(B, h, w)` of each scale for latents `(B, D, H, W)`."""
        return tuple(indices for _, indices in self._scale_by_scale(latents))

    @torch.no_grad()
    def inputs(self, latents: Tensor) -> tuple[Tensor, ...]:
        """The vectors `(B, h, w, D)` that each scale quantizes, in the space of its codes."""
        steps = zip(self.scales, self._scale_by_scale(latents), strict=True)
        return tuple(q.to_code_space(vectors) for q, (vectors, _) in steps)

    def _scale_by_scale(self, latents: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """What each scale quantizes `(B, h, w, D)`, and the indices `(B, h, w)` that it finds."""
        left, size = latents.float(), latents.shape[-2:]
        for q, shape in zip(self.scales, (*self.shapes[:-1], size), strict=True):
            vectors = shrink(left, shape)
            indices = q.nearest(vectors)
            yield vectors, indices
            left = left - spread(q.lookup(indices), size)

    def decode(self, codes: tuple[Tensor, ...]) -> Tensor:
        """Latents `(B, D, H, W)` from codes, or averages of codes, `(B, h, w, D)` of each scale."""
        return sum(spread(c, codes[-1].shape[1:3]) for c in codes)

    def lookup(self, indices: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Codes `(B, h, w, D)` of the indices `(B, h, w)` of each scale."""
        return tuple(q.lookup(i) for q, i in zip(self.scales, indices, strict=True))

    def forward(self, latents: Tensor, generator: torch.Generator | None = None) -> QuantizedMap:
        """Quantize `(B, D, H, W)`; in training mode codebooks are updated."""
        left, size, total, indices, commitment = latents.float(), latents.shape[-2:], 0, [], 0
        for q, shape in zip(self.scales, (*self.shapes[:-1], size), strict=True):
            quantized = q(shrink(left, shape), generator)
            codes = spread(quantized.codes, size)
            # What later scales see depends on the encoder alone: codes are constants to them.
            left, total = left - codes.detach(), total + codes
            indices.append(quantized.indices)
            commitment = commitment + quantized.commitment / len(self.scales)
        if len(self.scales) > 1:
            # Each scale passes its own gradient on; together the encoder is to get it once.
            total = latents + (total - latents).detach()
        return QuantizedMap(total, tuple(indices), commitment)
