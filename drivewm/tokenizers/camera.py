"""CameraTokenizer: the views of several cameras to grids of tokens and back."""

from __future__ import annotations

import torch
from mmengine.model import BaseModel
from torch import Tensor

from drivewm.evaluation.functional.codes import perplexity
from drivewm.evaluation.functional.images import to_uint8, to_unit
from drivewm.layers.draws import rows_of_global_batch
from drivewm.structures import SceneClip, TokenGrid, TokenSpec
from drivewm.tokenizers.camera_network import CameraDecoder, CameraEncoder
from drivewm.tokenizers.camera_views import CameraViews
from drivewm.tokenizers.multiscale import MultiScaleQuantizer
from drivewm.tokenizers.picture_losses import PerceptualLoss, picture_losses
from drivewm.tokenizers.protocol import code_use
from drivewm.tokenizers.quantizer import VectorQuantizer
from drivewm.tokenizers.trunk import conv_blocks


class CameraTokenizer(BaseModel):
    """A discrete autoencoder of camera views, each for itself, whose decoder knows the ray of every pixel.

    An absent view has the tokens `mask_id` and is decoded as black.

    Args:
        image_size: width and height of the views [px], multiples of the reduction.
        views: how many cameras there are. The weights do not depend on it, nor on the size.
        backbone, weights: the encoder's timm model, and a local file of weights for it or None; see `Backbone`.
        channels, blocks: the decoder's size; each of `channels` halves the resolution, so that tokens are reduced
            `2 ** len(channels)` times, 16 of four; each stage has `blocks` blocks (a number, or one for each).
        code_dim, vocab_size: the learned codebook.
        quantize_after: training steps before which latents are not quantized. What the encoder has not learned to say
            by then, codes have no room for: colours come later than edges.
        views_per_step: of the views of a frame, so many are drawn for each training step; None: all. Few views, and
            more steps for it, learn faster.
        ssim_weight: of 1 - SSIM beside the absolute error.
        perceptual: keyword arguments of `PerceptualLoss`; None: without.
        commitment_weight: of the commitment term (van den Oord et al., 2017, eq. 3).
        data_preprocessor: moves clips to the model's device.
    """

    grid = None
    """It sees no voxels."""

    def __init__(
        self,
        image_size: tuple[int, int],
        views: int = 6,
        backbone: str = "convnext_atto",
        weights: str | None = None,
        channels: tuple[int, ...] = (32, 64, 96, 128),
        blocks: int | tuple[int, ...] = 1,
        code_dim: int = 32,
        vocab_size: int = 1024,
        quantize_after: int = 0,
        views_per_step: int | None = None,
        ssim_weight: float = 0.2,
        perceptual: dict | None = None,
        commitment_weight: float = 0.25,
        data_preprocessor: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor)
        reduction, (width, height) = 2 ** len(channels), image_size
        if width % reduction or height % reduction:
            raise ValueError(f"{len(channels)} stages shrink views {reduction} times, but they are {width} x {height}")
        if views_per_step is not None and not 0 < views_per_step <= views:
            raise ValueError(f"views_per_step must be 1 to {views} of {views} views, got {views_per_step}")
        self.image_size, self.views, self.views_per_step = (width, height), views, views_per_step or views
        self.cells = (height // reduction, width // reduction)
        self.specs = (TokenSpec("camera", (views, *self.cells), vocab_size),)
        # To the quantizer, the views of a frame are one map, one view below the other.
        self.quantizer = MultiScaleQuantizer(
            [VectorQuantizer(vocab_size, code_dim, start_after=quantize_after)],
            ((views * self.cells[0], self.cells[1]),),
        )
        self.encoder = CameraEncoder(backbone, weights, reduction, code_dim)
        self.decoder = CameraDecoder(tuple(channels), conv_blocks(channels, blocks), code_dim)
        self.perceptual = None if perceptual is None else PerceptualLoss(**perceptual)
        self.ssim_weight, self.commitment_weight = ssim_weight, commitment_weight

    def encode(self, frames: CameraViews) -> tuple[TokenGrid, ...]:
        """Views of `(B, T)` frames -> their tokens `(B, T, V, h, w)`."""
        self._check(frames)
        (indices,) = self.quantizer.encode(self._latents(frames.flatten()))
        (spec,) = self.specs
        indices = indices.view(*frames.lead, *spec.shape)
        return (TokenGrid(indices.masked_fill(~frames.valid[..., None, None], spec.mask_id), spec),)

    def decode(self, tokens: tuple[TokenGrid, ...], context: CameraViews) -> Tensor:
        """Tokens `(B, T, V, h, w)` and the cameras that are to see -> views `(B, T, V, 3, H, W)` with values 0..1."""
        (grid,) = tokens
        known = grid.indices.flatten(0, 1).flatten(1, 2)
        latents = self.quantizer.decode(self.quantizer.lookup((known.clamp_max(grid.spec.mask_id - 1),)))
        pictures = self._pictures(latents, context.flatten()).clamp(0, 1)
        absent = (grid.indices == grid.spec.mask_id).flatten(-2).all(-1)
        return pictures.unflatten(0, context.valid.shape).masked_fill(absent[..., None, None, None], 0.0)

    def loss(self, frames: CameraViews, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Losses of J frames, and the use of the codebook."""
        quantized = self.quantizer(self._latents(frames), generator)
        views = frames.flatten()
        pictures, truth = self._pictures(quantized.latents, frames), to_unit(views.images)
        losses = picture_losses(pictures, truth, views.valid, self.ssim_weight)
        if self.perceptual is not None:
            losses["loss_perceptual"] = self.perceptual(pictures, truth, views.valid)
        losses["loss_commitment"] = self.commitment_weight * quantized.commitment
        (indices,) = quantized.indices
        losses["perplexity"] = perplexity(indices.flatten().bincount(minlength=self.specs[0].vocab_size))
        return losses

    def _latents(self, frames: CameraViews) -> Tensor:
        """Of J frames, their views one below the other: `(J, D, V * h, w)`."""
        latents = self.encoder(to_unit(frames.flatten().images)).unflatten(0, frames.valid.shape)
        return latents.transpose(1, 2).flatten(2, 3)

    def _pictures(self, latents: Tensor, frames: CameraViews) -> Tensor:
        """Views `(J * V, 3, H, W)` of latents `(J, D, V * h, w)`."""
        single = latents.unflatten(2, (-1, self.cells[0])).transpose(1, 2).flatten(0, 1)
        return self.decoder(single, frames.flatten())

    def forward(self, clip: SceneClip, mode: str = "tensor"):
        """mmengine's entry: losses of one random frame of each clip, or the views of all frames, decoded.

        `mode="predict"` gives one dict a clip, as `CameraReconstructionMetric` takes it.
        """
        if clip.images is None:
            raise ValueError(f"the camera tokenizer needs images, but the clip of scene {clip.scene[0]} has none")
        frames = CameraViews.of(clip)
        self._check(frames)
        if mode == "loss":
            return self.loss(self._training_frames(frames))
        tokens = self.encode(frames)
        pictures = self.decode(tokens, frames)
        if mode == "tensor":
            return pictures
        reconstruction = to_uint8(pictures)
        return [
            {
                "reconstruction": reconstruction[b],
                "truth": clip.images[b],
                "valid": clip.images_valid[b],
                "cameras": clip.cameras,
                "cells": self.cells,
                "scene": clip.scene[b],
                "codes": code_use(tokens, b),
            }
            for b in range(len(clip))
        ]

    def _training_frames(self, frames: CameraViews, generator: torch.Generator | None = None) -> CameraViews:
        """A random frame of each clip, `(B,)`, and of that frame some of the views."""
        batch, number = frames.lead
        device = frames.valid.device

        def uniform(*shape: int) -> Tensor:
            return rows_of_global_batch(lambda n: torch.rand(n, *shape, generator=generator, device=device), batch)

        clip, frame = torch.arange(batch, device=device), (uniform() * number).long()
        if self.views_per_step == self.views:
            return frames[clip, frame]
        views = uniform(self.views).argsort(1)[:, : self.views_per_step]
        return frames[clip[:, None], frame[:, None], views]

    def _check(self, frames: CameraViews) -> None:
        expected = (self.views, 3, *self.image_size[::-1])
        if tuple(frames.images.shape[-4:]) != expected:
            found = tuple(frames.images.shape[-4:])
            raise ValueError(f"the tokenizer is made for images (V, 3, H, W) = {expected}, but the clip's are {found}")
