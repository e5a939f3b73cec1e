"""The denoiser of one stream: corrupted tokens of a frame, its warped past and the ego's motion -> clean tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drivewm.geometry import VoxelGrid
from drivewm.layers.attention import Block
from drivewm.layers.codes import CodePredictor
from drivewm.layers.position import fourier_features
from drivewm.world_model.exchange import Before, Cells, Places
from drivewm.world_model.memory import FrameMemory, Memory
from drivewm.world_model.scales import Scales

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
    """A transformer over the tokens of one frame of one stream, whose blocks also look at what is remembered.

    `Trunk` runs its blocks, in step with those of other streams.

    Attributes:
        flat: its positions are columns, which have no height; see `Places`.
        memory: of its past.
        embeddings: a table of codes for each scale.
        null_view: in the place of a view that is not covered.
    """

    flat: bool
    memory: nn.Module
    embeddings: nn.ModuleList
    null_view: nn.Parameter

    def _add_blocks(self, dim: int, depth: int, heads: int) -> None:
        self.dim, self.heads = dim, heads
        self.motion = nn.Sequential(nn.Linear(8 * _BANDS + 2, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.null_motion = nn.Parameter(torch.zeros(dim))
        self.time = nn.Linear(2 * _BANDS, dim)
        self.blocks = nn.ModuleList(Block(dim, heads, dim) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)

    def _enter(self, table: CodePredictor, known: Tensor, view: Tensor, covered: Tensor) -> Tensor:
        """Features of what is known of tokens `(...)`, and of their view `(..., D)` as far as it is covered."""
        return table(known) + covered * table.look(table.standardize(view)) + (1 - covered) * self.null_view

    @staticmethod
    def _leave(table: CodePredictor, feature: Tensor, known: Tensor, view: Tensor, covered: Tensor) -> Tensor:
        """Logits of clean tokens; a first guess is what is known or was seen."""
        seen = covered * table.standardize(view)
        masked = (known == table.mask_id)[..., None]
        return table.logits(feature, torch.where(masked, seen, table.codes[known]))

    def adopt_codebooks(self, codebooks: list[Tensor]) -> None:
        """Let the tables of codes start from the tokenizer's codebooks `(V, code_dim)`, one a scale."""
        for tables in (self.embeddings, self.memory.embeddings):
            for table, codebook in zip(tables, codebooks, strict=True):
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

    def places(self, memory: Memory) -> Places:
        """Where the P positions are."""
        raise NotImplementedError

    def recalled(self, memory: Memory) -> tuple[Tensor, Before] | None:
        """What is recalled of an earlier frame, `(J, P, C)`, and where it was; None where all of it could be moved."""
        return None

    def embed(self, tokens: Tensor, memory: Memory) -> Tensor:
        """Corrupted tokens `(J, N)` -> features `(J, P, C)` of the P positions."""
        raise NotImplementedError

    def attend(self, depth: int, x: Tensor, condition: Tensor, memory: Memory) -> Tensor:
        """One block: features `(J, P, C)` look at each other and at the memory of their own past."""
        return self.blocks[depth](x, condition, memory.keys, memory.values, memory.visible)

    def logits(self, hidden: Tensor, tokens: Tensor, memory: Memory) -> Tensor:
        """Hidden state `(J, P, C)` -> logits `(J, N, V)` of clean tokens."""
        raise NotImplementedError


class CellDenoiser(Denoiser):
    """Of a bird's-eye view: the past is warped into the frame, and all cells attend to each other.

    The scales of a frame are summed at the resolution of the finest, whose cells are the transformer's positions.

    Args:
        scales: tokens.
        code_dim: length of their code vectors.
        grid: range that they cover.
        dim, depth, heads: size of the transformer.
        patch: cells of the finest scale that share a position, per axis: attention costs the fourth power less.
        memory: keyword arguments of `FrameMemory`.
    """

    flat = True

    def __init__(
        self,
        scales: Scales,
        code_dim: int,
        grid: VoxelGrid,
        dim: int,
        depth: int,
        heads: int,
        patch: int = 1,
        memory: dict | None = None,
    ) -> None:
        super().__init__()
        height, width = scales.shape
        if height % patch or width % patch:
            raise ValueError(f"patch must divide the {height} x {width} tokens of the finest scale, got {patch}")
        self.scales, self.patch = scales, patch
        self.shape = (height // patch, width // patch)
        """Positions along x and y."""
        cell_dim = dim if patch == 1 else max(dim // patch, code_dim)
        self.memory = FrameMemory(scales, code_dim, grid, dim, patch, **(memory or {}))
        self.embeddings = nn.ModuleList(CodePredictor(s.vocab_size, code_dim, cell_dim) for s in scales.specs)
        self.fold = nn.Identity() if patch == 1 else nn.Conv2d(cell_dim * patch**2, dim, 1)
        self.unfold = nn.Identity() if patch == 1 else nn.Conv2d(dim, cell_dim * patch**2, 1)
        self.null_view = nn.Parameter(torch.zeros(cell_dim))
        self.position = nn.Parameter(torch.randn(self.shape[0] * self.shape[1], dim) * 0.02)
        self._add_blocks(dim, depth, heads)

    def places(self, memory: Memory) -> Cells:
        """Where the P positions are."""
        return Cells(self.memory.grid, self.shape)

    def embed(self, tokens: Tensor, memory: Memory) -> Tensor:
        """Corrupted tokens `(J, N)` -> features `(J, P, C)` of the P positions."""
        cells = [self._enter(*scale) for scale in self._by_scale(tokens, memory)]
        x = self.fold(F.pixel_unshuffle(self.scales.spread(tuple(cells)), self.patch))
        x = x.flatten(2).transpose(1, 2) + self.position
        return x if memory.lifted is None else x + memory.lifted.cells

    def logits(self, hidden: Tensor, tokens: Tensor, memory: Memory) -> Tensor:
        """Hidden state `(J, P, C)` -> logits `(J, N, V)` of clean tokens; a first guess is what is known or seen."""
        x = hidden.transpose(1, 2).unflatten(2, self.shape)
        features = self.scales.shrink(F.pixel_shuffle(self.unfold(x), self.patch))
        scales = zip(features, self._by_scale(tokens, memory), strict=True)
        return self.scales.join(tuple(self._leave(table, feature, *rest) for feature, (table, *rest) in scales))

    def _by_scale(self, tokens: Tensor, memory: Memory) -> Iterator[tuple[CodePredictor, Tensor, Tensor, Tensor]]:
        """Of each scale: its table, tokens `(J, h, w)`, view `(J, h, w, D)` and coverage `(J, h, w, 1)`."""
        split = self.scales.split
        return zip(self.embeddings, split(tokens), split(memory.view), split(memory.covered), strict=True)
