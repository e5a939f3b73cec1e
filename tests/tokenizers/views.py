"""Clips of small camera views to test on: a coloured horizon that every camera sees where its rays say."""

import numpy as np
import torch

from drivewm.geometry.cameras import pixel_rays
from drivewm.simulation import nuscenes_rig
from drivewm.structures import SceneClip

SIZE = (64, 32)
TOKENIZER = dict(
    image_size=SIZE, views=3, backbone="test_convnext", channels=(8, 16, 16, 16), code_dim=8, vocab_size=64
)


def make_clip(batch: int = 2, frames: int = 2, views: int = 3, size: tuple[int, int] = SIZE) -> SceneClip:
    """Sky above, road below, and boards of random colours around the horizon; other ones in each clip and frame."""
    generator = torch.Generator().manual_seed(0)
    cameras = nuscenes_rig(*size)[:views]
    K, T = (np.stack([getattr(c, name) for c in cameras]) for name in ("intrinsics", "T_ego_camera"))
    K, T = torch.from_numpy(K).float(), torch.from_numpy(T).float()
    _, rays = pixel_rays(K, T, size)
    up, azimuth = rays[:, 2], torch.atan2(rays[:, 1], rays[:, 0])
    board = ((azimuth / torch.pi + 1) * 12).long().clamp(0, 23)
    colors = torch.rand(batch, frames, 24, 3, generator=generator)[:, :, board]
    sky, road = torch.tensor([0.5, 0.7, 1.0]), torch.tensor([0.3, 0.3, 0.35])
    images = torch.where((up > 0.15)[..., None], sky, torch.where((up < -0.1)[..., None], road, colors))
    lead = (batch, frames)
    return SceneClip(
        timestamp_us=torch.arange(frames).expand(lead) * 500_000,
        T_global_ego=torch.eye(4, dtype=torch.float64).expand(*lead, 4, 4),
        scene=tuple(f"scene-{b}" for b in range(batch)),
        sample_token=tuple(f"token-{b}" for b in range(batch)),
        cameras=tuple(c.name for c in cameras),
        images=(255 * images).round().byte().movedim(-1, 3).contiguous(),
        images_valid=torch.ones(*lead, views, dtype=torch.bool),
        K=K.expand(*lead, views, 3, 3).contiguous(),
        T_ego_cam=T.expand(*lead, views, 4, 4).contiguous(),
        num_history=1,
    )
