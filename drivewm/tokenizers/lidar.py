"""LidarTokenizer: sweeps to a grid of tokens, and tokens to a field that any ray can be cast into."""

from __future__ import annotations

import torch
from mmengine.model import BaseModel
from torch import Tensor
from torch.nn import functional as F

from drivewm.evaluation.functional.codes import perplexity
from drivewm.geometry import VoxelGrid
from drivewm.layers.draws import rows_of_global_batch
from drivewm.structures import Rays, SceneClip, TokenGrid, TokenSpec
from drivewm.tokenizers.lidar_network import LidarDecoder, LidarEncoder
from drivewm.tokenizers.multiscale import MultiScaleQuantizer
from drivewm.tokenizers.point_cloud import PointCloud
from drivewm.tokenizers.protocol import code_use
from drivewm.tokenizers.quantizer import VectorQuantizer
from drivewm.tokenizers.rendering import render_at, returns_towards

_AROUND_M = 4.0
"""How far around a return the denser samples lie."""


class LidarTokenizer(BaseModel):
    """A discrete autoencoder of LiDAR sweeps, trained by rendering their rays (Copilot4D; Zhang et al., 2024).

    Args:
        grid: range and voxels, as keyword arguments of `VoxelGrid`. Returns from beyond it are rays that leave it.
        point_dim, channels, blocks: the network's size; each of `channels` halves the resolution.
        sparse_blocks: residual blocks of the encoder over the voxels that hold anything, by spconv on CUDA.
        code_dim, vocab_size: the learned codebook.
        rays: of each frame that are rendered in a training step.
        samples: along each of them, and as many as `near_samples` more around its return.
        surface_m: half the thickness of what counts as the surface that was hit [m].
        depth_weight: of the absolute error of the expected depth [1/m].
        context_dropout: share of training frames whose decoder sees no earlier frame, so that tokens alone suffice.
        commitment_weight: of the commitment term (van den Oord et al., 2017, eq. 3).
        data_preprocessor: moves clips to the model's device.
    """

    def __init__(
        self,
        grid: dict,
        point_dim: int = 16,
        channels: tuple[int, ...] = (64, 96, 128),
        blocks: int = 1,
        sparse_blocks: int = 0,
        code_dim: int = 32,
        vocab_size: int = 1024,
        rays: int = 1024,
        samples: int = 48,
        near_samples: int = 16,
        surface_m: float = 0.2,
        depth_weight: float = 0.1,
        context_dropout: float = 0.4,
        commitment_weight: float = 0.25,
        data_preprocessor: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor)
        self.grid = VoxelGrid(**grid)
        x, y, _ = self.grid.shape
        factor = 2 ** len(channels)
        if x % factor or y % factor:
            raise ValueError(f"{len(channels)} stages shrink the grid {factor} times, but it has {x} x {y} columns")
        shape = (x // factor, y // factor)
        self.quantizer = MultiScaleQuantizer([VectorQuantizer(vocab_size, code_dim)], (shape,))
        self.specs = (TokenSpec("lidar", shape, vocab_size),)
        size = dict(point_dim=point_dim, channels=tuple(channels), blocks=blocks, code_dim=code_dim)
        self.encoder = LidarEncoder(self.grid, **size, sparse_blocks=sparse_blocks)
        self.decoder = LidarDecoder(self.grid, **size)
        self.rays, self.samples, self.near_samples = rays, samples, near_samples
        self.surface_m, self.depth_weight = surface_m, depth_weight
        self.context_dropout, self.commitment_weight = context_dropout, commitment_weight

    def encode(self, frames: PointCloud) -> tuple[TokenGrid, ...]:
        """Points of `(B, T)` frames -> their tokens `(B, T, h, w)`."""
        indices = self.quantizer.encode(self.encoder(frames.flatten()))
        return tuple(TokenGrid(i.unflatten(0, frames.lead), s) for i, s in zip(indices, self.specs, strict=True))

    def decode(self, tokens: tuple[TokenGrid, ...], context: PointCloud | None = None) -> Tensor:
        """Tokens `(B, T, h, w)` -> the field `(B, T, X, Y, Z)`.

        Args:
            tokens: as `encode` gives them.
            context: points of earlier frames, in the frames to decode; None: the tokens alone.
        """
        lead = tokens[0].indices.shape[:2]
        latents = self.quantizer.decode(self.quantizer.lookup(tuple(grid.indices.flatten(0, 1) for grid in tokens)))
        context = PointCloud.empty(len(latents), latents.device) if context is None else context.flatten()
        return self.decoder(latents, context).unflatten(0, lead)

    def loss(
        self,
        frames: PointCloud,
        context: PointCloud,
        T_ego_lidar: Tensor,
        generator: torch.Generator | None = None,
    ) -> dict[str, Tensor]:
        """Losses of J frames and their sensor poses `(J, 4, 4)`, and the use of the codebook."""
        quantized = self.quantizer(self.encoder(frames), generator)
        field = self.decoder(quantized.latents, context)
        losses = self.ray_losses(field, frames, T_ego_lidar, self.draw_rays(len(field), generator))
        losses["loss_commitment"] = self.commitment_weight * quantized.commitment
        (indices,) = quantized.indices
        losses["perplexity"] = perplexity(indices.flatten().bincount(minlength=self.specs[0].vocab_size))
        return losses

    def draw_rays(self, frames: int, generator: torch.Generator | None = None) -> Tensor:
        """Numbers in [0, 1), `(frames, rays, 1 + samples + near_samples)`: which rays, and where they are sampled."""
        device = self.quantizer.scales[0].codebook.device

        def draw(batch: int) -> Tensor:
            size = (batch, self.rays, 1 + self.samples + self.near_samples)
            return torch.rand(size, generator=generator, device=device)

        return rows_of_global_batch(draw, frames)

    def ray_losses(self, field: Tensor, frames: PointCloud, T_ego_lidar: Tensor, drawn: Tensor) -> dict[str, Tensor]:
        """How well rays of the frames end where they did, a mean over rays.

        "loss_depth" is the error of the expected depth, "loss_surface" the negative log-likelihood that a ray ends
        within `surface_m` of its return (or leaves the grid, where it did). Rays that came back from beyond the grid
        leave it. Frames without any point count nothing.

        Args:
            field: `(J, X, Y, Z)`.
            frames: J frames, in the field's frame.
            T_ego_lidar: `(J, 4, 4)`.
            drawn: what `draw_rays` gives.
        """
        count = frames.valid.sum(1)
        picked = frames.pick((drawn[..., 0] * count[:, None]).long())
        rays, truth = Rays.towards(picked.points[..., :3], T_ego_lidar)
        near, far = rays.span(self.grid)
        hit = (truth > near) & (truth < far)
        truth = torch.minimum(torch.maximum(truth, near), far)
        rendering, (front, back) = self._march(field, rays, truth, near, far, drawn[..., 1:])
        # log(T_front - T_back)
        ends = front + torch.log1p(-(back - front).exp().clamp_max(1 - 1e-6))
        surface = -torch.where(hit, ends, rendering.log_escape)
        weight = (count > 0).float()[:, None].expand_as(surface) / surface.numel()
        depth = F.l1_loss(rendering.expected_depth(), truth, reduction="none")
        return {
            "loss_depth": self.depth_weight * (weight * depth).sum(),
            "loss_surface": (weight * surface).sum(),
        }

    def _march(self, field: Tensor, rays: Rays, truth: Tensor, near: Tensor, far: Tensor, drawn: Tensor):
        """The rendering of rays sampled all along and, more densely, around the truth.

        Also returns the log of what is left of a ray just before and behind the surface.
        """
        along, around = drawn.split([self.samples, self.near_samples], dim=-1)
        strata = (torch.arange(self.samples, device=near.device) + along) / self.samples
        depth = torch.cat(
            [
                near[..., None] + (far - near)[..., None] * strata,
                truth[..., None] + _AROUND_M * (2 * around - 1),
                near[..., None],
                far[..., None],
                truth[..., None] - self.surface_m,
                truth[..., None] + self.surface_m,
            ],
            dim=-1,
        )
        depth = torch.minimum(torch.maximum(depth, near[..., None]), far[..., None])
        depth, order = depth.sort(dim=-1)
        rendering = render_at(field, rays, self.grid, depth)
        where = order.argsort(dim=-1)[..., -2:]
        return rendering, rendering.log_survival.gather(-1, where).unbind(-1)

    def forward(self, clip: SceneClip, mode: str = "tensor"):
        """mmengine's entry: losses of one random frame of each clip, or the fields of all frames.

        `mode="predict"` gives one dict a clip, as `LidarReconstructionMetric` takes it: the sweeps' own rays, cast into
        what the tokens alone say.
        """
        if clip.points is None:
            raise ValueError(f"the LiDAR tokenizer needs points, but the clip of scene {clip.scene[0]} has none")
        if mode == "loss":
            return self.loss(*self._training_frames(clip))
        tokens = self.encode(PointCloud.of(clip))
        field = self.decode(tokens)
        return field if mode == "tensor" else self._reconstructions(clip, tokens, field)

    def _reconstructions(self, clip: SceneClip, tokens: tuple[TokenGrid, ...], field: Tensor) -> list[dict]:
        frames, T_lidar_ego = PointCloud.of(clip).flatten(), torch.linalg.inv(clip.T_ego_lidar.flatten(0, 1))
        xyz, T_ego_lidar = frames.points[..., :3], clip.T_ego_lidar.flatten(0, 1)
        ends, met = returns_towards(field.flatten(0, 1), xyz, frames.valid, T_ego_lidar, self.grid)

        def clouds(points: Tensor, kept: Tensor) -> list[Tensor]:
            sensor = points @ T_lidar_ego[:, :3, :3].mT + T_lidar_ego[:, None, :3, 3]
            return [cloud[keep] for cloud, keep in zip(sensor, kept, strict=True)]

        found, truth = clouds(ends, met), clouds(xyz, frames.valid)
        return [
            {
                "reconstruction": found[b * clip.num_frames : (b + 1) * clip.num_frames],
                "truth": truth[b * clip.num_frames : (b + 1) * clip.num_frames],
                "scene": clip.scene[b],
                "codes": code_use(tokens, b),
            }
            for b in range(len(clip))
        ]

    def _training_frames(
        self, clip: SceneClip, generator: torch.Generator | None = None
    ) -> tuple[PointCloud, PointCloud, Tensor]:
        """A random frame of each clip; as context all that were before it, where there are any and none is dropped."""
        batch, device = len(clip), clip.points.device
        rows = torch.arange(batch, device=device)

        def uniform(number: int) -> Tensor:
            return torch.rand(number, 2, generator=generator, device=device)

        frame, drop = rows_of_global_batch(uniform, batch).unbind(1)
        target = (frame * clip.num_frames).long()
        earlier = torch.arange(clip.num_frames, device=device) < target[:, None]
        earlier = earlier & (drop >= self.context_dropout)[:, None]
        T_target_source = torch.linalg.inv(clip.T_global_ego[rows, target])[:, None] @ clip.T_global_ego
        times_s = clip.times_s()
        age_s = times_s[rows, target][:, None] - times_s
        cloud = PointCloud.of(clip)
        context = cloud.moved(T_target_source.float(), age_s.float(), earlier)
        frames = PointCloud(cloud.points[rows, target], cloud.valid[rows, target])
        return frames, context, clip.T_ego_lidar[rows, target]
