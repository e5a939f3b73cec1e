"""What the rows at the size of Occ3D-nuScenes run on: a drive down the street; our models and OccWorld's, untrained."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.measure import NotHere
from benchmarks.peers.occworld import OccWorldTransformer, rollout
from benchmarks.scenes import street
from drivewm.geometry import OCC3D_GRID, VoxelGrid
from drivewm.structures import SceneClip, TokenGrid, most_likely
from drivewm.tokenizers import DecoderContext, OccupancyTokenizer, OccWorldVAE
from drivewm.world_model import WorldModel

OBSERVED, FUTURE = 5, 6
"""Keyframes: 2 s of past and 3 s of future."""

TOKENIZERS = {"4x": (64, 128), "8x": (64, 128, 192)}
"""Widths of our tokenizer, by how many voxels a token is wide."""

_BF16_UNITS = ("avx512_bf16", "amx_bf16")


def drive(shape: tuple[int, int] = OCC3D_GRID.shape[:2], future: int = FUTURE) -> SceneClip:
    """A clip of the street, repeated or cut to `shape` columns, that an ego drives down at 1.6 m/s without turning."""
    steps = OBSERVED + future
    height = OCC3D_GRID.shape[2]
    grid = VoxelGrid.centered((*shape, height), OCC3D_GRID.voxel_m)
    rows, columns = (np.arange(n) + (m - n) // 2 for n, m in zip(shape, OCC3D_GRID.shape[:2], strict=True))
    labels = street()
    frames = [labels.take(rows + 2 * t, axis=0, mode="wrap").take(columns, axis=1, mode="wrap") for t in range(steps)]
    T_global_ego = torch.eye(4, dtype=torch.float64).repeat(1, steps, 1, 1)
    T_global_ego[0, :, 0, 3] = 2 * grid.voxel_m * torch.arange(steps)
    return SceneClip(
        timestamp_us=500_000 * torch.arange(steps)[None],
        T_global_ego=T_global_ego,
        scene=("street",),
        sample_token=("street",),
        grid=grid,
        occupancy=torch.from_numpy(np.stack(frames))[None],
        num_history=OBSERVED,
    )


def _tokenizer_options(grid: VoxelGrid, kind: str) -> dict:
    grid_options = {"range_m": grid.range_m, "voxel_m": grid.voxel_m}
    return dict(grid=grid_options, label_dim=8, channels=TOKENIZERS[kind], blocks=2, code_dim=32, vocab_size=1024)


def our_tokenizer(kind: str) -> OccupancyTokenizer:
    """Our tokenizer at full size, one of `TOKENIZERS`."""
    torch.manual_seed(0)
    return _with_codes(OccupancyTokenizer(**_tokenizer_options(OCC3D_GRID, kind)).eval())


def our_world_model(grid: VoxelGrid = OCC3D_GRID, kind: str = "8x") -> WorldModel:
    """Our world model; at full size it predicts 25 x 25 tokens a frame."""
    torch.manual_seed(0)
    size = dict(dim=256, depth=6, heads=4, horizon=FUTURE, motion=dict(stride=2))
    model = WorldModel(tokenizer=_tokenizer_options(grid, kind), **size).eval()
    _with_codes(model.tokenizer)
    model.denoiser.adopt_codebooks([q.codebook for q in model.tokenizer.quantizer.scales])
    return model


def our_forecast(model: WorldModel, clip: SceneClip, frames: int = FUTURE) -> Tensor:
    """Labels of the coming frames, from labels of the past ones: with encoding and decoding, nothing remembered."""
    model.stream.memo.clear()
    return model.forecast(clip.history(), clip.future_poses()[:, :frames], clip.future_times_s()[:, :frames]).labels


@dataclass
class OccWorld:
    """The stand-in of OccWorld: its tokenizer's and its transformer's shapes."""

    tokenizer: OccWorldVAE
    transformer: OccWorldTransformer

    @torch.no_grad()
    def rollout(self, codes: Tensor, frames: int, cached: bool) -> Tensor:
        """Tokens of the coming frames from the codes `(B, F, C, H, W)` of the past ones."""
        poses = torch.zeros(*codes.shape[:3], device=codes.device)
        return rollout(self.transformer, self.tokenizer.quantizer.scales[0].codebook, codes, poses, frames, cached)

    @torch.no_grad()
    def codes(self, frames: Tensor) -> Tensor:
        """Labels `(B, F, X, Y, Z)` -> codes `(B, F, C, H, W)`."""
        tokens = self.tokenizer.encode(frames)[0].indices
        return F.embedding(tokens, self.tokenizer.quantizer.scales[0].codebook).movedim(-1, 2)

    @torch.no_grad()
    def labels(self, tokens: Tensor) -> Tensor:
        """Tokens `(B, F, H, W)` -> labels, frame by frame."""
        grids = (TokenGrid(token[:, None], self.tokenizer.specs[0]) for token in tokens.unbind(1))
        return torch.cat([most_likely(self.tokenizer.decode((grid,), DecoderContext()), 2) for grid in grids], dim=1)


def occworld() -> OccWorld:
    """OccWorld at its published size."""
    torch.manual_seed(0)
    grid = {"range_m": OCC3D_GRID.range_m, "voxel_m": OCC3D_GRID.voxel_m}
    return OccWorld(_with_codes(OccWorldVAE(grid).eval()), OccWorldTransformer().eval())


def precision(name: str) -> contextlib.AbstractContextManager:
    """A context for "fp32" or "bf16". Raises NotHere where the CPU would have to emulate bfloat16."""
    if name == "fp32":
        return contextlib.nullcontext()
    with contextlib.suppress(OSError):
        with open("/proc/cpuinfo") as file:
            flags = file.read()
            if any(unit in flags for unit in _BF16_UNITS):
                return torch.autocast("cpu", torch.bfloat16)
    raise NotHere(f"the CPU has no bfloat16 units ({' or '.join(_BF16_UNITS)})")


def _with_codes(tokenizer: nn.Module) -> nn.Module:
    for scale in tokenizer.quantizer.scales:
        scale.codebook.normal_()
    return tokenizer
