"""OccWorldVAE: a tokenizer of OccWorld's shape, the yardstick for ours. It trains as ours does."""

from __future__ import annotations

import torch
from mmengine.model import BaseModel
from torch import Tensor

from drivewm.geometry import VoxelGrid
from drivewm.structures import OCC3D, SceneClip, TokenGrid, TokenSpec, most_likely
from drivewm.tokenizers.losses import voxel_losses
from drivewm.tokenizers.occupancy_network import VoxelEmbedding
from drivewm.tokenizers.occworld_network import decoder, encoder
from drivewm.tokenizers.protocol import DecoderContext
from drivewm.tokenizers.quantizer import VectorQuantizer, perplexity


class OccWorldVAE(BaseModel):
    """The VQ-VAE of OccWorld (Zheng et al., 2024, section 3.2), whose decoder sees nothing but the tokens.

    The architecture is the published one: with the default size at 200 x 200 x 16 voxels, 14.2 M parameters, and 76.5
    and 108.8 GFLOP to encode and to decode a frame (two for a multiplication with addition). Codebook, losses and
    training frames are those of `OccupancyTokenizer`, so that what differs is the network.

    Args:
        grid: the dataset's voxel grid, as keyword arguments of `VoxelGrid`.
        label_dim, channels, blocks: the network's size; the resolution is halved between two of `channels`.
        code_dim, vocab_size: the codebook.
        rare_class_weight, commitment_weight, lovasz_weight, lovasz_voxels: as for `OccupancyTokenizer`.
        data_preprocessor: moves clips to the model's device.
    """

    def __init__(
        self,
        grid: dict,
        label_dim: int = 8,
        channels: tuple[int, ...] = (64, 128, 256),
        blocks: int = 2,
        code_dim: int = 128,
        vocab_size: int = 512,
        rare_class_weight: float = 5.0,
        commitment_weight: float = 0.25,
        lovasz_weight: float = 1.0,
        lovasz_voxels: int = 16384,
        data_preprocessor: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor)
        self.grid = VoxelGrid(**grid)
        x, y, z = self.grid.shape
        factor = 2 ** (len(channels) - 1)
        if x % factor or y % factor:
            raise ValueError(f"{len(channels)} stages shrink the grid {factor} times, but it has {x} x {y} columns")
        self.specs = (TokenSpec("occupancy", (x // factor, y // factor), vocab_size),)
        self.embedding = VoxelEmbedding(OCC3D.num_classes, label_dim)
        size = dict(channels=tuple(channels), blocks=blocks, code_dim=code_dim)
        self.encoder, self.decoder = encoder(label_dim * z, **size), decoder(label_dim * z, **size)
        self.quantizer = VectorQuantizer(vocab_size, code_dim)
        self.commitment_weight, self.lovasz_weight = commitment_weight, lovasz_weight
        self.lovasz_voxels = lovasz_voxels
        weight = torch.ones(OCC3D.num_classes)
        weight[list(OCC3D.things)] = rare_class_weight
        self.register_buffer("class_weight", weight, persistent=False)

    def latents(self, frames: Tensor) -> Tensor:
        """Occupancy `(B, T, X, Y, Z)` uint8 -> latents `(B * T, H, W, D)` before they are quantized."""
        return self.encoder(self.embedding(frames.flatten(0, 1))).movedim(1, -1)

    def encode(self, frames: Tensor) -> tuple[TokenGrid, ...]:
        """Occupancy `(B, T, X, Y, Z)` uint8 -> one grid of tokens `(B, T, H, W)`."""
        nearest = self.quantizer.nearest(self.latents(frames))
        return (TokenGrid(nearest.unflatten(0, frames.shape[:2]), self.specs[0]),)

    def decode(self, tokens: tuple[TokenGrid, ...], context: DecoderContext) -> Tensor:
        """Tokens `(B, T, H, W)` -> class logits `(B, T, C, X, Y, Z)`; the context is not looked at."""
        return self.decode_codes(self.quantizer.lookup(tokens[0].indices))

    def decode_codes(self, codes: Tensor) -> Tensor:
        """Codes `(B, T, H, W, D)` -> class logits `(B, T, C, X, Y, Z)`: likeness to the class embeddings."""
        table, (x, y, z) = self.embedding.table.weight, self.grid.shape
        features = self.decoder(codes.flatten(0, 1).movedim(-1, 1)).unflatten(1, (-1, z))
        logits = (table @ features.flatten(2)).unflatten(2, (z, x, y))
        return logits.permute(0, 1, 3, 4, 2).unflatten(0, codes.shape[:2])

    def loss(
        self, frames: Tensor, context: DecoderContext, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """Reconstruction and commitment losses of frames `(B, T, X, Y, Z)`, and the use of the codebook."""
        quantized = self.quantizer(self.latents(frames), generator)
        logits = self.decode_codes(quantized.codes.unflatten(0, frames.shape[:2])).flatten(0, 1)
        losses = voxel_losses(logits, frames.flatten(0, 1), self.class_weight, self.lovasz_voxels, generator)
        losses["loss_lovasz"] = self.lovasz_weight * losses["loss_lovasz"]
        losses["loss_commitment"] = self.commitment_weight * quantized.commitment
        losses["perplexity"] = perplexity(quantized.indices, self.quantizer.vocab_size)
        return losses

    def forward(self, clip: SceneClip, mode: str = "tensor"):
        """mmengine's entry: losses of one random frame of each clip (half of them mirrored left to right), or the
        reconstruction of all frames; see `OccupancyTokenizer.forward`."""
        if clip.grid != self.grid:
            raise ValueError(f"the tokenizer is made for the grid {self.grid}, but the clip's is {clip.grid}")
        if mode == "loss":
            rows = torch.arange(len(clip), device=clip.occupancy.device)
            frames = clip.occupancy[rows, torch.randint(clip.num_frames, rows.shape, device=rows.device)][:, None]
            mirrored = torch.rand(rows.shape, device=rows.device) < 0.5
            frames[mirrored] = frames[mirrored].flip(3)
            return self.loss(frames, DecoderContext())
        logits = self.decode(self.encode(clip.occupancy), DecoderContext())
        if mode == "tensor":
            return logits
        prediction = most_likely(logits, 2)
        samples = zip(prediction, clip.occupancy, clip.scene, strict=True)
        return [{"reconstruction": p, "truth": t, "scene": s} for p, t, s in samples]
