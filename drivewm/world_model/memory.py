"""Ego-aligned memory: features of earlier frames, kept in their own frames and warped into the frame to predict."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drivewm.geometry import VoxelGrid
from drivewm.geometry.warp import warp_bev
from drivewm.layers.codes import CodeTable
from drivewm.layers.conv import ResBlock
from drivewm.layers.position import fourier_features
from drivewm.tokenizers.camera_views import CameraViews
from drivewm.world_model.evidence import Lifted
from drivewm.world_model.scales import Scales

_TIME_BANDS, _LONGEST_S = 6, 8.0


@dataclass
class Sources:
    """Which earlier frames are remembered for each of J frames to predict.

    Attributes:
        T_target_source: `(J, M, 4, 4)` float32 [m]: the motion from each earlier frame to the target.
        age_s: `(J, M)` [s] by which the earlier frame precedes the target.
        known: `(J, M)` bool; false entries are not looked at.
        view: `(J, N, D)` what the tokenizer would quantize at each of the N tokens, were what was observed, moved into
            the target frame before it is encoded, all there is.
        covered: `(J, N, 1)` in [0, 1], the share of each token's cell that was observed; 0 hides the view.
        rig: of cameras, where they are in the targets `(J, V)`.
    """

    T_target_source: Tensor
    age_s: Tensor
    known: Tensor
    view: Tensor
    covered: Tensor
    rig: CameraViews | None = None


@dataclass
class Recalled:
    """What J frames to predict recall of a frame before, where it was seen.

    Attributes:
        features: `(J, N, C)` of its tokens.
        rig: its cameras `(J, V)`; views of which nothing is known are absent.
        T_earlier_target: `(J, 4, 4)` float32 [m].
    """

    features: Tensor
    rig: CameraViews
    T_earlier_target: Tensor

    def with_blind_twin(self) -> Recalled:
        """See `Memory`."""
        rig = self.rig[torch.arange(2 * len(self.features), device=self.features.device) % len(self.features)]
        rig.valid[len(self.features) :] = False
        return Recalled(self.features.repeat(2, 1, 1), rig, self.T_earlier_target.repeat(2, 1, 1))


@dataclass
class Memory:
    """The warped past of J frames to predict; computed once a frame, not in every denoising step.

    Attributes:
        keys, values: `(J, P, M + 1, C)` for P positions and M earlier frames. The last entry is a learned null: what
            is left where nothing was observed.
        visible: `(J, P, M + 1)` bool; the null entry always is.
        view, covered, rig: see `Sources`.
        recalled: the newest of the earlier frames, of streams whose past cannot be moved to where it will be.
        lifted: what others recall, see `Trunk.lift`.
    """

    keys: Tensor
    values: Tensor
    visible: Tensor
    view: Tensor
    covered: Tensor
    rig: CameraViews | None = None
    recalled: Recalled | None = None
    lifted: Lifted | None = None

    def with_blind_twin(self) -> Memory:
        """The memory and behind it, in the batch, a twin that sees the null entry only: the unconditional branch."""
        blind = torch.zeros_like(self.visible)
        blind[..., -1] = True
        return Memory(
            self.keys.repeat(2, 1, 1, 1),
            self.values.repeat(2, 1, 1, 1),
            torch.cat([self.visible, blind]),
            self.view.repeat(2, 1, 1),
            torch.cat([self.covered, torch.zeros_like(self.covered)]),
            None if self.rig is None else self.rig[torch.arange(len(blind), device=blind.device).repeat(2)],
            None if self.recalled is None else self.recalled.with_blind_twin(),
            None if self.lifted is None else self.lifted.with_blind_twin(),
        )


class FrameMemory(nn.Module):
    """Tokens of a frame -> features at a finer resolution, which keep their meaning when they are warped.

    A token covers several voxels. Warping at `upscale` times the token resolution moves content by less than a token;
    folding the fine cells back into channels then lets the network read where in the token things lie.

    Args:
        scales: the tokens.
        code_dim: length of their code vectors.
        grid: the range that they cover.
        dim: C.
        patch: cells that share a position of the transformer, per axis.
        upscale: finer resolution than the tokens', per axis.
        frame_dim: width of the features of a frame before they are spread to fine cells.
        fine_dim: features per fine cell.
        warp: false leaves features where they were, to measure what the warp brings.
    """

    def __init__(
        self,
        scales: Scales,
        code_dim: int,
        grid: VoxelGrid,
        dim: int,
        patch: int = 1,
        upscale: int = 4,
        frame_dim: int = 64,
        fine_dim: int = 8,
        warp: bool = True,
    ) -> None:
        super().__init__()
        self.grid, self.scales, self.fine, self.warp = grid, scales, patch * upscale, warp
        self.embeddings = nn.ModuleList(CodeTable(spec.vocab_size, code_dim, frame_dim) for spec in scales.specs)
        spread = nn.Conv2d(frame_dim, fine_dim * upscale**2, 1)
        self.trunk = nn.Sequential(ResBlock(frame_dim), spread, nn.PixelShuffle(upscale))
        self.fold = nn.Linear((fine_dim + 1) * self.fine**2, dim)
        self.time = nn.Linear(2 * _TIME_BANDS, dim)
        self.keys_values = nn.Linear(dim, 2 * dim)
        self.null = nn.Parameter(torch.randn(2, dim) * 0.02)

    def encode(self, indices: Tensor) -> Tensor:
        """Tokens `(B, M, N)` -> fine features `(B, M, fine_dim, upscale * H, upscale * W)`, in the same frames."""
        maps = self.scales.split(indices.flatten(0, -2))
        embedded = self.scales.spread(tuple(table(m) for table, m in zip(self.embeddings, maps, strict=True)))
        return self.trunk(embedded.contiguous()).unflatten(0, indices.shape[:-1])

    def gather(self, features: Tensor, sources: Sources) -> Memory:
        """Fine features `(J, M, ...)` of the sources, warped into the J targets. M may be 0."""
        lead = features.shape[:2]
        if not lead[1]:
            positions = features.shape[-2] * features.shape[-1] // self.fine**2
            nothing = features.new_zeros(lead[0], positions, 0, self.null.shape[1])
            invisible = nothing.new_zeros(nothing.shape[:-1], dtype=torch.bool)
            return with_null(nothing, nothing, invisible, self.null, sources)
        flat = features.flatten(0, 1)
        if self.warp:
            moved, covered = warp_bev(flat, sources.T_target_source.flatten(0, 1), self.grid)
        else:
            moved, covered = flat, flat.new_ones(len(flat), 1, *flat.shape[2:])
        folded = F.pixel_unshuffle(torch.cat([moved, covered.to(moved.dtype)], dim=1), self.fine)
        age = self.time(fourier_features(sources.age_s.flatten()[:, None], _TIME_BANDS, _LONGEST_S))
        entries = self.fold(folded.flatten(2).transpose(1, 2)) + age[:, None]
        visible = F.avg_pool2d(covered, self.fine).flatten(1) > 0.05
        visible = visible & sources.known.flatten()[:, None]
        keys, values = self.keys_values(entries).unflatten(0, lead).transpose(1, 2).chunk(2, dim=-1)
        return with_null(keys, values, visible.unflatten(0, lead).transpose(1, 2), self.null, sources)


def with_null(keys: Tensor, values: Tensor, visible: Tensor, null: Tensor, sources: Sources) -> Memory:
    """The memory of M entries `(J, P, M, ...)`, the learned null's key and value `null (2, C)` behind them."""
    null_key, null_value = null.to(keys.dtype)[:, None, None, None].expand(-1, *keys.shape[:2], 1, -1)
    return Memory(
        torch.cat([keys, null_key], dim=2),
        torch.cat([values, null_value], dim=2),
        F.pad(visible, (0, 1), value=True),
        sources.view,
        sources.covered,
        sources.rig,
    )
