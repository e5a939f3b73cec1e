"""The world model, with random weights at the demo's size (64 x 64 x 8 voxels, 16 x 16 tokens)."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.measure import Row, compare
from benchmarks.scenes import street
from drivewm.geometry import VoxelGrid
from drivewm.structures import SceneClip
from drivewm.world_model import WorldModel

NUM_HISTORY, NUM_FUTURE = 3, 6


def against_recomputed_history() -> Row:
    """Six future frames in one call, against one call a frame that encodes the history each time.

    Published rollouts recompute the history at each step. The results are equal, since frames are forecast from the
    same observed ones.
    """
    clip = _clip()
    torch.manual_seed(0)
    grid = {"range_m": clip.grid.range_m, "voxel_m": clip.grid.voxel_m}
    tokenizer = {"grid": grid, "label_dim": 8, "channels": (64, 96), "blocks": 2, "code_dim": 32, "vocab_size": 512}
    model = WorldModel(tokenizer=tokenizer, dim=128, depth=4, heads=4, horizon=NUM_FUTURE).eval()
    history, poses, times = clip.history(), clip.future_poses(), clip.future_times_s()

    def frame_by_frame() -> torch.Tensor:
        frames = [model.forecast(history, poses[:, f : f + 1], times[:, f : f + 1]).labels for f in range(NUM_FUTURE)]
        return torch.cat(frames, dim=1)

    return compare(
        lambda: model.forecast(history, poses, times).labels, frame_by_frame, _check_equal, goal=None, rounds=5
    )


def _clip() -> SceneClip:
    grid = VoxelGrid.centered((64, 64, 8), 0.8)
    frames = NUM_HISTORY + NUM_FUTURE
    occupancy = np.stack([street(0)[40 + 2 * t : 168 + 2 * t : 2, 36:164:2, ::2] for t in range(frames)])
    T_global_ego = torch.eye(4, dtype=torch.float64).repeat(1, frames, 1, 1)
    T_global_ego[0, :, 0, 3] = 0.8 * torch.arange(frames)
    return SceneClip(
        timestamp_us=500_000 * torch.arange(frames)[None],
        T_global_ego=T_global_ego,
        scene=("street",),
        sample_token=("street",),
        grid=grid,
        occupancy=torch.from_numpy(occupancy)[None],
        num_history=NUM_HISTORY,
    )


def _check_equal(a: torch.Tensor, b: torch.Tensor) -> None:
    """Classes of all voxels; batches of another size may round a tie the other way."""
    differing = (a != b).float().mean().item()
    if differing > 1e-4:
        raise AssertionError(f"{differing:.2%} of the voxels differ")
