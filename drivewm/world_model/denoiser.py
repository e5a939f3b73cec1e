"""The denoiser: corrupted tokens of a frame, the warped memory and the ego's motion -> logits of the clean tokens."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from drivewm.geometry import VoxelGrid
from drivewm.layers.attention import Block
from drivewm.layers.codes import CodePredictor
from drivewm.layers.position import fourier_features
from drivewm.structures import TokenSpec
from drivewm.world_model.memory import FrameMemory, Memory

_BANDS, _FARTHEST_M, _LATEST_S = 6, 64.0, 8.0


@dataclass
class Motion:
    """Where and when the frame to predict is, seen from t0.

    Attributes:
        pose: `(J, 3)` x, y [m], yaw [rad] of its ego frame in the ego frame at t0.
        time_s: `(J,)` [s] after t0.
        given: `(J,)` bool; where false the motion is not told and a learned null takes its place.
    """

    pose: Tensor
    time_s: Tensor
    given: Tensor


class Denoiser(nn.Module):
    """A transformer over the tokens of one frame; blocks attend within the frame and to its warped past.

    Args:
        spec: tokens.
        code_dim: length of their code vectors.
        grid: range that they cover.
        dim, depth, heads: size of the transformer.
        memory: keyword arguments of `FrameMemory`.
    """

    def __init__(
        self, spec: TokenSpec, code_dim: int, grid: VoxelGrid, dim: int, depth: int, heads: int, memory: dict
    ) -> None:
        super().__init__()
        self.spec, self.dim = spec, dim
        self.memory = FrameMemory(spec, code_dim, grid, dim, **memory)
        self.embedding = CodePredictor(spec.vocab_size, code_dim, dim)
        self.null_view = nn.Parameter(torch.zeros(dim))
        self.position = nn.Parameter(torch.randn(spec.num_tokens, dim) * 0.02)
        self.motion = nn.Sequential(nn.Linear(8 * _BANDS + 2, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.null_motion = nn.Parameter(torch.zeros(dim))
        self.time = nn.Linear(2 * _BANDS, dim)
        self.blocks = nn.ModuleList(Block(dim, heads, dim) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)

    def adopt_codebook(self, codebook: Tensor) -> None:
        """Let the tables of codes start from the tokenizer's codebook `(V, code_dim)`."""
        for table in (self.embedding, self.memory.embedding):
            table.adopt(codebook)

    def condition(self, motion: Motion) -> Tensor:
        """Condition `(J, C)` of the adaptive norms."""
        x, y, yaw = motion.pose.unbind(-1)
        code = fourier_features(
            torch.stack([x, y, yaw * _FARTHEST_M / torch.pi, motion.time_s], -1), _BANDS, _FARTHEST_M
        )
        told = self.motion(torch.cat([code, yaw.cos()[:, None], yaw.sin()[:, None]], dim=-1))
        told = torch.where(motion.given[:, None], told, self.null_motion.to(told.dtype))
        return told + self.time(fourier_features(motion.time_s[:, None], _BANDS, _LATEST_S))

    def hidden(self, tokens: Tensor, memory: Memory, motion: Motion) -> Tensor:
        """Corrupted tokens `(J, N)` -> last hidden state `(J, N, C)`."""
        x = self.embedding(tokens) + self.position + self._seen(memory)
        condition = self.condition(motion)
        for block in self.blocks:
            x = block(x, condition, memory.keys, memory.values, memory.visible)
        return self.norm(x)

    def _seen(self, memory: Memory) -> Tensor:
        """Features `(J, N, C)` of the view, faded into a learned null where it covers nothing."""
        return (
            memory.covered * self.embedding.look(self.embedding.standardize(memory.view))
            + (1 - memory.covered) * self.null_view
        )

    def forward(self, tokens: Tensor, memory: Memory, motion: Motion) -> Tensor:
        """Corrupted tokens `(J, N)` -> logits `(J, N, V)` of the clean ones; a first guess is what is known or seen."""
        seen = memory.covered * self.embedding.standardize(memory.view)
        guess = torch.where((tokens == self.spec.mask_id)[..., None], seen, self.embedding.codes[tokens])
        return self.embedding.logits(self.hidden(tokens, memory, motion), guess)
