"""LidarTokenizer: sweeps to a grid of tokens, and tokens to a volume that any ray can be cast into."""

from __future__ import annotations

import torch
from mmengine.model import BaseModel
from torch import Tensor

from drivewm.evaluation.functional.codes import perplexity
from drivewm.geometry import VoxelGrid
from drivewm.geometry.transform import transform_points
from drivewm.layers.draws import rows_of_global_batch
from drivewm.structures import RayRaster, SceneClip, TokenGrid, TokenSpec
from drivewm.tokenizers.lidar_network import LidarDecoder, LidarEncoder
from drivewm.tokenizers.lidar_volume import returns_towards, silent_cells
from drivewm.tokenizers.multiscale import MultiScaleQuantizer
from drivewm.tokenizers.point_cloud import PointCloud
from drivewm.tokenizers.protocol import code_use
from drivewm.tokenizers.quantizer import VectorQuantizer
from drivewm.tokenizers.ray_objective import RayObjective
from drivewm.tokenizers.trunk import trunk_blocks


class LidarTokenizer(BaseModel):
    """A discrete autoencoder of LiDAR sweeps, trained by rendering their rays (Copilot4D; Zhang et al., 2024).

    Args:
        grid: range and voxels, as keyword arguments of `VoxelGrid`. Returns from beyond it are rays that leave it.
        point_dim, channels, blocks: the network's size; each of `channels` halves the resolution, and each stage has
            `blocks` blocks (a number, or one for each).
        trunk, window: "conv", or "swin" with windows of so many cells; see `trunk_blocks`.
        sparse_blocks: residual blocks of the encoder over the voxels that hold anything, by spconv on CUDA.
        code_dim, vocab_size: the learned codebook.
        quantize_after: training steps before which latents are not quantized.
        raster: of the sensor, as keyword arguments of `RayRaster`; None: rays that did not come back are not learned.
        objective: keyword arguments of `RayObjective`.
        context_dropout: share of training frames whose decoder sees no earlier frame, so that tokens alone suffice.
        commitment_weight: of the commitment term (van den Oord et al., 2017, eq. 3).
        data_preprocessor: moves clips to the model's device.
    """

    def __init__(
        self,
        grid: dict,
        point_dim: int = 16,
        channels: tuple[int, ...] = (64, 96, 128),
        blocks: int | tuple[int, ...] = 1,
        trunk: str = "conv",
        window: int = 8,
        sparse_blocks: int = 0,
        code_dim: int = 32,
        vocab_size: int = 1024,
        quantize_after: int = 0,
        raster: dict | None = None,
        objective: dict | None = None,
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
        self.quantizer = MultiScaleQuantizer(
            [VectorQuantizer(vocab_size, code_dim, start_after=quantize_after)], (shape,)
        )
        self.specs = (TokenSpec("lidar", shape, vocab_size),)
        make = trunk_blocks(trunk, channels, blocks, (x, y), window)
        size = dict(point_dim=point_dim, channels=tuple(channels), blocks=make, code_dim=code_dim)
        self.encoder = LidarEncoder(self.grid, **size, sparse_blocks=sparse_blocks)
        self.decoder = LidarDecoder(self.grid, **size)
        self.raster = None if raster is None else RayRaster(**raster)
        self.objective = RayObjective(self.grid, self.raster, **(objective or {}))
        self.context_dropout, self.commitment_weight = context_dropout, commitment_weight

    def encode(self, frames: PointCloud) -> tuple[TokenGrid, ...]:
        """Points of `(B, T)` frames -> their tokens `(B, T, h, w)`."""
        indices = self.quantizer.encode(self.encoder(frames.flatten()))
        return tuple(TokenGrid(i.unflatten(0, frames.lead), s) for i, s in zip(indices, self.specs, strict=True))

    def decode(self, tokens: tuple[TokenGrid, ...], context: PointCloud | None = None) -> Tensor:
        """Tokens `(B, T, h, w)` -> the volume `(B, T, 3, X, Y, Z)` of `lidar_volume`.

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
        volume = self.decoder(quantized.latents, context)
        drawn = self.objective.draw(len(volume), volume.device, generator)
        losses = self.objective.losses(volume, frames, T_ego_lidar, drawn)
        losses["loss_commitment"] = self.commitment_weight * quantized.commitment
        (indices,) = quantized.indices
        losses["perplexity"] = perplexity(indices.flatten().bincount(minlength=self.specs[0].vocab_size))
        return losses

    def forward(self, clip: SceneClip, mode: str = "tensor"):
        """mmengine's entry: losses of one random frame of each clip, or the volumes of all frames.

        `mode="predict"` gives one dict a clip, as `LidarReconstructionMetric` takes it: the sweeps' own rays, cast into
        what the tokens alone say.
        """
        if clip.points is None:
            raise ValueError(f"the LiDAR tokenizer needs points, but the clip of scene {clip.scene[0]} has none")
        if mode == "loss":
            return self.loss(*self._training_frames(clip))
        tokens = self.encode(PointCloud.of(clip))
        volume = self.decode(tokens)
        return volume if mode == "tensor" else self._reconstructions(clip, tokens, volume)

    def _reconstructions(self, clip: SceneClip, tokens: tuple[TokenGrid, ...], volume: Tensor) -> list[dict]:
        frames, T_lidar_ego = PointCloud.of(clip).flatten(), torch.linalg.inv(clip.T_ego_lidar.flatten(0, 1))
        xyz, T_ego_lidar = frames.points[..., :3], clip.T_ego_lidar.flatten(0, 1)
        ends, met = returns_towards(volume.flatten(0, 1), xyz, frames.valid, T_ego_lidar, self.grid)

        def clouds(points: Tensor, kept: Tensor) -> list[Tensor]:
            return [cloud[keep] for cloud, keep in zip(transform_points(T_lidar_ego, points), kept, strict=True)]

        found, truth = clouds(ends, met), clouds(frames.points, frames.valid)
        silent: list[tuple | None] = [None] * len(truth)
        if self.raster is not None:
            said = silent_cells(volume.flatten(0, 1), self.raster, T_ego_lidar, self.grid)
            seen = self.raster.look(transform_points(T_lidar_ego, xyz), frames.valid)
            silent = list(zip(said, *seen, strict=True))
        return [
            {
                "reconstruction": found[b * clip.num_frames : (b + 1) * clip.num_frames],
                "truth": truth[b * clip.num_frames : (b + 1) * clip.num_frames],
                "silent": silent[b * clip.num_frames : (b + 1) * clip.num_frames],
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
