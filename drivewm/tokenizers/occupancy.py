"""OccupancyTokenizer: Occ3D frames to grids of tokens and back."""

from __future__ import annotations

import math

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from drivewm.evaluation.functional.codes import perplexity
from drivewm.geometry import VoxelGrid
from drivewm.geometry.warp import warp_voxels
from drivewm.layers.draws import rows_of_global_batch
from drivewm.structures import OCC3D, SceneClip, TokenGrid, TokenSpec, most_likely
from drivewm.tokenizers.fsq import FiniteScalarQuantizer
from drivewm.tokenizers.losses import voxel_losses
from drivewm.tokenizers.multiscale import MultiScaleQuantizer
from drivewm.tokenizers.occupancy_network import OccupancyDecoder, OccupancyEncoder
from drivewm.tokenizers.protocol import DecoderContext, code_use, size_name
from drivewm.tokenizers.quantizer import VectorQuantizer

NOT_COVERED = OCC3D.num_classes
"""Label of the voxels of a decoder's context that the earlier frame does not reach."""


class OccupancyTokenizer(BaseModel):
    """A discrete autoencoder of semantic occupancy whose decoder also sees an earlier frame.

    Args:
        grid: the dataset's voxel grid, as keyword arguments of `VoxelGrid`.
        label_dim, channels, blocks: the network's size; each of `channels` halves the resolution.
        code_dim, vocab_size: the learned codebook of each scale.
        fsq_levels: use finite scalar quantization with these levels instead (`FiniteScalarQuantizer`); they then say
            what `code_dim` and `vocab_size` are.
        coarse_scales: cells (x, y) of coarser token grids that come before the one of full resolution
            (`MultiScaleQuantizer`).
        rare_class_weight: weight of things in the cross-entropy; surfaces and masses have 1.
        context_dropout: share of training frames whose decoder sees no earlier frame, so that tokens alone suffice.
        commitment_weight: of the commitment term (van den Oord et al., 2017, eq. 3).
        lovasz_weight, lovasz_voxels: of the Lovasz term, and on how many voxels of each frame it is taken.
        data_preprocessor: moves clips to the model's device.
    """

    def __init__(
        self,
        grid: dict,
        label_dim: int = 8,
        channels: tuple[int, ...] = (64, 128),
        blocks: int = 2,
        code_dim: int = 32,
        vocab_size: int = 1024,
        fsq_levels: tuple[int, ...] | None = None,
        coarse_scales: tuple[tuple[int, int], ...] = (),
        rare_class_weight: float = 5.0,
        context_dropout: float = 0.4,
        commitment_weight: float = 0.25,
        lovasz_weight: float = 1.0,
        lovasz_voxels: int = 2048,
        data_preprocessor: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor)
        self.grid = VoxelGrid(**grid)
        x, y, z = self.grid.shape
        factor = 2 ** self.halvings(channels)
        if x % factor or y % factor:
            raise ValueError(f"{len(channels)} stages shrink the grid {factor} times, but it has {x} x {y} columns")
        shapes = (*coarse_scales, (x // factor, y // factor))
        self.quantizer = MultiScaleQuantizer(
            [
                FiniteScalarQuantizer(fsq_levels) if fsq_levels else VectorQuantizer(vocab_size, code_dim)
                for _ in shapes
            ],
            shapes,
        )
        vocab_size, code_dim = self.quantizer.vocab_size, self.quantizer.dim
        self.specs = tuple(TokenSpec("occupancy", shape, vocab_size) for shape in self.quantizer.shapes)
        size = dict(height=z, label_dim=label_dim, channels=tuple(channels), blocks=blocks, code_dim=code_dim)
        self.encoder, self.decoder = self.networks(OCC3D.num_classes, **size)
        self.context_dropout, self.commitment_weight = context_dropout, commitment_weight
        self.lovasz_weight, self.lovasz_voxels = lovasz_weight, lovasz_voxels
        weight = torch.ones(OCC3D.num_classes)
        weight[list(OCC3D.things)] = rare_class_weight
        self.register_buffer("class_weight", weight, persistent=False)

    @staticmethod
    def halvings(channels: tuple[int, ...]) -> int:
        """How often networks of these widths halve the resolution."""
        return len(channels)

    @staticmethod
    def networks(num_classes: int, **size) -> tuple[nn.Module, nn.Module]:
        """Encoder and decoder, called as `OccupancyEncoder` and `OccupancyDecoder` are."""
        return OccupancyEncoder(num_classes, **size), OccupancyDecoder(num_classes, **size)

    def encode(self, frames: Tensor) -> tuple[TokenGrid, ...]:
        """Occupancy `(B, T, X, Y, Z)` uint8 -> tokens `(B, T, h, w)` of each scale, from coarse to fine."""
        indices = self.quantizer.encode(self.encoder(frames.flatten(0, 1)))
        return tuple(
            TokenGrid(i.unflatten(0, frames.shape[:2]), spec) for i, spec in zip(indices, self.specs, strict=True)
        )

    def decode(self, tokens: tuple[TokenGrid, ...], context: DecoderContext) -> Tensor:
        """Tokens `(B, T, h, w)` of each scale -> class logits `(B, T, C, X, Y, Z)`."""
        codes = self.quantizer.lookup(tuple(grid.indices.flatten(0, 1) for grid in tokens))
        latents = self.quantizer.decode(codes).unflatten(0, tokens[0].indices.shape[:2])
        return self.decode_latents(latents, context)

    def decode_latents(self, latents: Tensor, context: DecoderContext) -> Tensor:
        """Quantized latents `(B, T, D, H, W)` -> class logits `(B, T, C, X, Y, Z)`."""
        lead = latents.shape[:2]
        previous = context.previous
        if previous is None:
            previous = torch.full((*lead, *self.grid.shape), NOT_COVERED, dtype=torch.uint8, device=latents.device)
        return self.decoder(latents.flatten(0, 1), previous.flatten(0, 1)).unflatten(0, lead)

    def warp_context(self, frames: Tensor, T_dst_src: Tensor) -> DecoderContext:
        """Earlier frames `(B, T, X, Y, Z)` seen from the ego frames to decode, by `T_dst_src (B, T, 4, 4)`."""
        warped = warp_voxels(frames.flatten(0, 1), T_dst_src.flatten(0, 1), self.grid, fill=NOT_COVERED)
        return DecoderContext(warped.unflatten(0, frames.shape[:2]))

    def loss(
        self, frames: Tensor, context: DecoderContext, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """Reconstruction and commitment losses of frames `(B, T, X, Y, Z)`, and the use of the codebook."""
        quantized = self.quantizer(self.encoder(frames.flatten(0, 1)), generator)
        logits = self.decode_latents(quantized.latents.unflatten(0, frames.shape[:2]), context)
        losses = self.voxel_losses(logits, frames, self.draw_voxels(len(frames), generator, frames.shape[1]))
        losses["loss_commitment"] = self.commitment_weight * quantized.commitment
        for spec, indices in zip(self.specs, quantized.indices, strict=True):
            losses[f"perplexity_{size_name(spec)}"] = perplexity(indices.flatten().bincount(minlength=spec.vocab_size))
        return losses

    def voxel_losses(self, logits: Tensor, labels: Tensor, drawn: Tensor) -> dict[str, Tensor]:
        """Weighted losses of class logits `(..., C, X, Y, Z)` against labels `(..., X, Y, Z)` uint8, means over frames.

        `drawn` are rows of what `draw_voxels` gives.
        """
        losses = voxel_losses(logits, labels, self.class_weight, drawn)
        losses["loss_lovasz"] = self.lovasz_weight * losses["loss_lovasz"]
        return losses

    def draw_voxels(self, clips: int, generator: torch.Generator | None = None, frames: int = 1) -> Tensor:
        """Voxels `(clips, frames, P)` int64 for the Lovasz term; every process must draw as often as the others."""
        voxels, device = math.prod(self.grid.shape), self.class_weight.device

        def draw(batch: int) -> Tensor:
            return torch.randint(voxels, (batch, frames, self.lovasz_voxels), generator=generator, device=device)

        return rows_of_global_batch(draw, clips)

    def forward(self, clip: SceneClip, mode: str = "tensor"):
        """mmengine's entry: losses of one random frame of each clip, or the reconstruction of all frames.

        `mode="predict"` gives one dict a clip, as `ReconstructionMetric` takes it: "reconstruction" and "truth"
        `(T, X, Y, Z)` uint8, decoded without context, so that the figures are those of the tokens alone, and "codes",
        how often each code is used `(V,)` by the grids' sizes.
        """
        if clip.grid != self.grid:
            raise ValueError(f"the tokenizer is made for the grid {self.grid}, but the clip's is {clip.grid}")
        if mode == "loss":
            return self.loss(*self._training_frames(clip))
        tokens = self.encode(clip.occupancy)
        logits = self.decode(tokens, DecoderContext())
        if mode == "tensor":
            return logits
        prediction = most_likely(logits, 2)
        return [
            {
                "reconstruction": prediction[b],
                "truth": clip.occupancy[b],
                "scene": clip.scene[b],
                "codes": code_use(tokens, b),
            }
            for b in range(len(clip))
        ]

    def _training_frames(
        self, clip: SceneClip, generator: torch.Generator | None = None
    ) -> tuple[Tensor, DecoderContext]:
        """A random frame of each clip; as context a random earlier one, where there is one and it is not dropped."""
        batch, device = len(clip), clip.occupancy.device
        rows = torch.arange(batch, device=device)

        def uniform(number: int) -> Tensor:
            return torch.rand(number, 3, generator=generator, device=device)

        frame, before, drop = rows_of_global_batch(uniform, batch).unbind(1)
        target = (frame * clip.num_frames).long()
        gap = 1 + (before * clip.num_frames).long()
        source = (target - gap).clamp_min(0)
        T_target_source = torch.linalg.inv(clip.T_global_ego[rows, target]) @ clip.T_global_ego[rows, source]
        frames = clip.occupancy[rows, target][:, None]
        previous = self.warp_context(clip.occupancy[rows, source][:, None], T_target_source[:, None]).previous
        previous[(drop < self.context_dropout) | (gap > target)] = NOT_COVERED
        return frames, DecoderContext(previous)
