"""A tiny world model with random weights, and clips of a moving ego."""

import torch

from drivewm.geometry import VoxelGrid, se3
from drivewm.structures import SceneClip
from drivewm.world_model import WorldModel

GRID = VoxelGrid.centered((16, 16, 4), 0.8)
TOKENIZER = dict(
    grid=dict(range_m=GRID.range_m, voxel_m=GRID.voxel_m),
    label_dim=4,
    channels=(16, 16),
    blocks=1,
    code_dim=8,
    vocab_size=16,
)


def make_clip(batch: int = 2, history: int = 3, future: int = 4, seed: int = 0) -> SceneClip:
    """Random occupancy; the ego drives a curve."""
    generator = torch.Generator().manual_seed(seed)
    frames = history + future
    steps = torch.arange(frames).double()
    poses = torch.from_numpy(se3.from_xyzyaw(1.2 * steps.numpy(), 0.1 * steps.numpy() ** 2, 0.0, 0.05 * steps.numpy()))
    return SceneClip(
        timestamp_us=(500_000 * torch.arange(frames)).expand(batch, -1).clone(),
        T_global_ego=poses.expand(batch, -1, -1, -1).clone(),
        scene=tuple(f"scene-{b}" for b in range(batch)),
        sample_token=tuple(f"token-{b}" for b in range(batch)),
        grid=GRID,
        occupancy=torch.randint(18, (batch, frames, *GRID.shape), generator=generator).to(torch.uint8),
        num_history=history,
    )


def make_model(tokenizer: dict | None = None, **options) -> WorldModel:
    """Seeded random weights, see `randomized`."""
    torch.manual_seed(0)
    size = dict(dim=16, depth=2, heads=2, memory=dict(frame_dim=16, fine_dim=2), imagine_steps=3, horizon=4)
    return randomized(WorldModel(TOKENIZER | (tokenizer or {}), motion=dict(channels=(8, 16)), **(size | options)))


def randomized(model: WorldModel) -> WorldModel:
    """The model in evaluation mode with no weight at zero: what starts as a no-op must not hide a leak."""
    generator = torch.Generator().manual_seed(1)
    codebooks = [q.codebook for q in model.tokenizer.quantizer.scales]
    for tensor in (*model.parameters(), *codebooks):
        tensor.data.add_(0.2 * torch.randn(tensor.shape, generator=generator))
    model.denoiser.adopt_codebooks(codebooks)
    return model.eval()
