"""The LiDAR tokenizer's network: points to bird's-eye-view latents, and latents to a volume that rays are cast into."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from drivewm.geometry import VoxelGrid
from drivewm.layers.conv import downsample
from drivewm.layers.sparse import SparseBlock
from drivewm.tokenizers.context_decoder import ContextDecoder
from drivewm.tokenizers.lidar_volume import CHANNELS
from drivewm.tokenizers.point_cloud import PointCloud
from drivewm.tokenizers.point_network import PatchStem, PointNet
from drivewm.tokenizers.trunk import StageBlocks

# At first all is free: rays that met nothing yet have a gradient everywhere. Most rays come back, none is bright.
_FIRST_VOLUME = (3.0, 2.0, -2.0)


class LidarEncoder(nn.Module):
    """Points -> latents `(J, D, X / 2^S, Y / 2^S)` for S stages.

    Args:
        grid: range and voxels.
        point_dim: features of a voxel.
        channels: width of each stage; each halves the resolution.
        blocks: makes the blocks of each stage.
        code_dim: D.
        sparse_blocks: residual blocks over the occupied voxels, before columns are folded.
    """

    def __init__(
        self,
        grid: VoxelGrid,
        point_dim: int,
        channels: tuple[int, ...],
        blocks: StageBlocks,
        code_dim: int,
        sparse_blocks: int = 0,
    ) -> None:
        super().__init__()
        self.point_net = PointNet(grid, point_dim)
        self.sparse = nn.Sequential(*(SparseBlock(point_dim) for _ in range(sparse_blocks)))
        self.stem = PatchStem(point_dim, grid.shape[2], channels[0], patch=2)
        stages = blocks(0)
        for stage in range(1, len(channels)):
            stages += [downsample(channels[stage - 1], channels[stage]), *blocks(stage)]
        self.trunk = nn.Sequential(*stages)
        self.to_latent = nn.Sequential(nn.GroupNorm(8, channels[-1]), nn.SiLU(), nn.Conv2d(channels[-1], code_dim, 1))

    def forward(self, cloud: PointCloud) -> Tensor:
        """Points -> `(J, D, H, W)`."""
        voxels = self.point_net(cloud.points, cloud.valid, cloud.time_s)
        return self.to_latent(self.trunk(self.stem(self.sparse(voxels))))


class LidarDecoder(ContextDecoder):
    """Latents and what earlier frames saw -> the volume `(J, 3, X, Y, Z)` of `lidar_volume`.

    Args:
        grid, point_dim, channels, blocks, code_dim: as for `LidarEncoder`.
    """

    def __init__(
        self, grid: VoxelGrid, point_dim: int, channels: tuple[int, ...], blocks: StageBlocks, code_dim: int
    ) -> None:
        height = grid.shape[2]
        point_net, stem = PointNet(grid, point_dim), PatchStem(point_dim, height, channels[0], patch=2)
        super().__init__(nn.SiLU(), channels, blocks, code_dim)
        self.point_net, self.stem = point_net, stem
        self.head = nn.Sequential(
            nn.Conv2d(channels[0], channels[0], 1), nn.SiLU(), nn.Conv2d(channels[0], 4 * CHANNELS * height, 1)
        )

    def forward(self, latents: Tensor, context: PointCloud, beside: Tensor | float = 0.0) -> Tensor:
        """Latents `(J, D, H, W)` and the points of earlier frames, brought into this one -> `(J, 3, X, Y, Z)`.

        `beside (J, channels[0], X / 2, Y / 2)` is added to the map of the earlier frames.
        """
        first = self.reading[0](self.stem(self.point_net(context.points, context.valid, context.time_s))) + beside
        volume = F.pixel_shuffle(self.head(self.features(latents, first.to(latents.dtype))).float(), 2)
        volume = volume.unflatten(1, (CHANNELS, -1)).permute(0, 1, 3, 4, 2)
        return volume + volume.new_tensor(_FIRST_VOLUME).view(-1, 1, 1, 1)
