"""OccWorld's transformer (Zheng et al., 2024, section 3.3): a U-net over token maps, with attention over time.

Of the published size: 58.2 M parameters, 4190 GFLOP for six frames from five as shipped, 620 with an exact cache.

Two paths run through the same layers. Each frame's *tokens* go through the convolutions alone, so they do not depend on
other frames; *queries*, which become the next frame's tokens, also attend to the tokens of their own and earlier
frames. The ego's motion goes along as one vector a frame. Published code computes both paths for all frames at each
step. What a new frame needs of the earlier ones is their keys and values: the cache.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Size:
    """Numbers of the published configuration."""

    channels: tuple[int, ...] = (128, 256, 512)
    cells: int = 50
    vocab_size: int = 512
    heads: int = 8
    temporal_layers: int = 6
    pose_layers: int = 2
    frames: int = 15


class Attention(nn.Module):
    """Multi-head attention; keys and values are made apart, so that they can be kept."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.kv, self.out = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)

    def remember(self, x: Tensor) -> Tensor:
        """`(B, T, C)` -> keys and values `(2, B, heads, T, D)`."""
        return self.kv(x).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor | None = None) -> Tensor:
        """Queries `(B, Q, C)`, and true in `mask (Q, T)` where one may look -> `(B, Q, C)`."""
        q = self.q(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        return self.out(F.scaled_dot_product_attention(q, *memory, attn_mask=mask).transpose(1, 2).flatten(2))


class Layer(nn.Module):
    """Attention over time and a feed-forward part, each added and then normed; poses also look at their frame."""

    def __init__(self, dim: int, heads: int, of_pose: bool = False) -> None:
        super().__init__()
        self.temporal, self.norm = Attention(dim, heads), nn.LayerNorm(dim)
        self.spatial = Attention(dim, heads) if of_pose else None
        self.spatial_norm = nn.LayerNorm(dim) if of_pose else None
        self.ffn = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.ffn_norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor | None, frames: Tensor | None = None) -> Tensor:
        """`(B, F, C)`; for poses also the maps `(B * F, H * W, C)` of their frames -> `(B, F, C)`."""
        x = self.norm(x + self.temporal(x, memory, mask))
        if self.spatial is not None:
            alone = x.flatten(0, 1)[:, None]
            seen = self.spatial_norm(alone + self.spatial(alone, self.spatial.remember(frames)))
            x = seen.view_as(x)
        return self.ffn_norm(x + self.ffn(x))


class UnetBlock(nn.Module):
    """Two convolutions with a shortcut, after a norm over `normed`: each map, or all of them together."""

    def __init__(self, normed: tuple[int, ...], in_channels: int, out_channels: int) -> None:
        super().__init__()
        first = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        second = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.net = nn.Sequential(nn.LayerNorm(normed), first, nn.ReLU(), second)
        self.carry = nn.Identity() if in_channels == out_channels else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, in, H, W)` -> `(B, out, H, W)`."""
        return F.relu(self.net(x) + self.carry(x))


def _mlp(in_dim: int, dim: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(in_dim, dim), nn.ReLU(), nn.Linear(dim, dim), nn.ReLU())


class Stage(nn.Module):
    """One scale on the way down or up: poses, attention over time, convolutions.

    Args:
        size: heads and numbers of layers.
        cells: height and width of the maps.
        in_channels, out_channels: of maps and poses.
        where: "falling", "bottom" (no attention) or "rising"; the last two norm all maps of a frame together.
    """

    def __init__(self, size: Size, cells: int, in_channels: int, out_channels: int, where: str) -> None:
        super().__init__()
        layers, pose_layers = (0, 0) if where == "bottom" else (size.temporal_layers, size.pose_layers)
        self.pose_layers = nn.ModuleList(Layer(in_channels, size.heads, True) for _ in range(pose_layers))
        self.layers = nn.ModuleList(Layer(in_channels, size.heads) for _ in range(layers))
        blocks = []
        for width in (in_channels, out_channels):
            normed = (cells, cells) if where == "falling" else (width, cells, cells)
            blocks.append(UnetBlock(normed, width, out_channels))
        self.convolve = nn.Sequential(*blocks)
        self.pose_mlp = _mlp(in_channels, out_channels)

    def remember(self, tokens: Tensor, poses: Tensor) -> list[Tensor]:
        """Keys and values of each layer, poses first: tokens `(B, F, C, H, W)`, poses `(B, F, C)`."""
        series = _series(tokens)
        return [layer.temporal.remember(poses) for layer in self.pose_layers] + [
            layer.temporal.remember(series) for layer in self.layers
        ]

    def carry(self, maps: Tensor, poses: Tensor) -> tuple[Tensor, Tensor]:
        """The part without attention, frame by frame."""
        return self.convolve(maps.flatten(0, 1)).unflatten(0, maps.shape[:2]), self.pose_mlp(poses)

    def attend(self, maps: Tensor, poses: Tensor, memory: list[Tensor], mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Queries look at the remembered frames."""
        cells = maps.flatten(0, 1).flatten(2).transpose(1, 2)
        for layer, kept in zip(self.pose_layers, memory, strict=False):
            poses = layer(poses, kept, mask, cells)
        series = _series(maps)
        for layer, kept in zip(self.layers, memory[len(self.pose_layers) :], strict=True):
            series = layer(series, kept, mask)
        batch, frames, channels, height, width = maps.shape
        return series.view(batch, height, width, frames, channels).permute(0, 3, 4, 1, 2), poses


def _series(maps: Tensor) -> Tensor:
    """Maps `(B, F, C, H, W)` -> the frames of each cell `(B * H * W, F, C)`."""
    return maps.permute(0, 3, 4, 1, 2).flatten(0, 2)


class OccWorldTransformer(nn.Module):
    """Maps of codes of the past frames -> logits of the next frame's tokens, and a vector for its pose.

    Args:
        size: the published one by default.
    """

    def __init__(self, size: Size = Size()) -> None:
        super().__init__()
        self.size, widths = size, size.channels
        cells = [size.cells // 2**scale for scale in range(len(widths))]
        ins = [widths[0], *widths[:-1]]
        self.time = nn.Embedding(size.frames + 1, widths[0])
        self.pose_time = nn.Embedding(size.frames + 1, widths[0])
        downwards = zip(cells[:-1], ins[:-1], widths[:-1], strict=True)
        self.falling = nn.ModuleList(Stage(size, n, i, o, "falling") for n, i, o in downwards)
        self.shrink = nn.ModuleList(nn.Conv2d(width, width, 2, 2) for width in widths[:-1])
        self.bottom = Stage(size, cells[-1], ins[-1], widths[-1], "bottom")
        upwards = list(zip(widths[1:], widths[:-1], cells[:-1], strict=True))[::-1]
        self.grow = nn.ModuleList(nn.ConvTranspose2d(low, width, 2, 2) for low, width, _ in upwards)
        self.pose_grow = nn.ModuleList(nn.Linear(low, width) for low, width, _ in upwards)
        self.rising = nn.ModuleList(Stage(size, n, 2 * width, width, "rising") for _, width, n in upwards)
        self.to_logits = nn.Conv2d(widths[0], size.vocab_size, 3, padding=1)
        self.to_pose = nn.Linear(widths[0], widths[0])

    def remember(self, codes: Tensor, poses: Tensor, first: int, to_the_end: bool = False) -> list[list[Tensor]]:
        """Keys and values of each scale for frames `first`, ...: codes `(B, F, C, H, W)`, poses `(B, F, C)`.

        The convolutions of the last scale serve nothing; published code does them all the same (`to_the_end`).
        """
        kept: list[list[Tensor]] = []

        def attend(stage: Stage, maps: Tensor, poses: Tensor) -> tuple[Tensor, Tensor]:
            kept.append(stage.remember(maps, poses))
            return maps, poses

        self._through(*self._timed(codes, poses, first), attend, to_the_end)
        return kept

    def predict(
        self, codes: Tensor, poses: Tensor, first: int, memory: list[list[Tensor]], mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Logits `(B, F, V, H, W)` and pose vectors of the frames after the given ones."""
        scales = iter(memory)
        maps, poses = self._through(
            *self._timed(codes, poses, first + 1),
            lambda stage, maps, poses: stage.attend(maps, poses, next(scales), mask),
            to_the_end=True,
        )
        return self.to_logits(maps.flatten(0, 1)).unflatten(0, maps.shape[:2]), self.to_pose(poses)

    def _timed(self, codes: Tensor, poses: Tensor, first: int) -> tuple[Tensor, Tensor]:
        frames = slice(first, first + codes.shape[1])
        return codes + self.time.weight[frames, :, None, None], poses + self.pose_time.weight[frames]

    def _through(self, maps: Tensor, poses: Tensor, attend: Callable, to_the_end: bool) -> tuple[Tensor, Tensor]:
        """The U-net; `attend` is done before the convolutions of each scale."""
        passed = []
        for stage, shrink in zip(self.falling, self.shrink, strict=True):
            maps, poses = stage.carry(*attend(stage, maps, poses))
            passed.append((maps, poses))
            maps = shrink(maps.flatten(0, 1)).unflatten(0, maps.shape[:2])
        maps, poses = self.bottom.carry(maps, poses)
        for stage, grow, pose_grow in zip(self.rising, self.grow, self.pose_grow, strict=True):
            before, pose_before = passed.pop()
            maps = grow(maps.flatten(0, 1)).unflatten(0, maps.shape[:2])
            missing = before.shape[-1] - maps.shape[-1]
            maps = F.pad(maps, (missing // 2, missing - missing // 2) * 2)
            maps, poses = torch.cat([maps, before], dim=2), torch.cat([pose_grow(poses), pose_before], dim=2)
            maps, poses = attend(stage, maps, poses)
            if passed or to_the_end:
                maps, poses = stage.carry(maps, poses)
        return maps, poses


def step_as_shipped(model: OccWorldTransformer, codes: Tensor, poses: Tensor) -> tuple[Tensor, Tensor]:
    """Logits and pose vector of the next frame `(B, 1, ...)`, all frames computed anew."""
    frames = codes.shape[1]
    mask = torch.ones(frames, frames, dtype=torch.bool, device=codes.device).tril()
    logits, vectors = model.predict(codes, poses, 0, model.remember(codes, poses, 0, to_the_end=True), mask)
    return logits[:, -1:], vectors[:, -1:]


def rollout(
    model: OccWorldTransformer, codebook: Tensor, codes: Tensor, poses: Tensor, frames: int, cached: bool
) -> Tensor:
    """Tokens `(B, frames, H, W)` of the coming frames, each from those before.

    Args:
        model: the transformer.
        codebook: `(V, C)`.
        codes: `(B, F, C, H, W)` of the past frames.
        poses: `(B, F, C)` of the past frames.
        frames: to predict.
        cached: keep what is known of earlier frames; the published code does not.
    """
    tokens, memory = [], None
    for _ in range(frames):
        if cached:
            done = 0 if memory is None else codes.shape[1] - 1
            new = model.remember(codes[:, done:], poses[:, done:], done)
            memory = new if memory is None else _joined(memory, new)
            last = codes.shape[1] - 1
            logits, vectors = model.predict(codes[:, -1:], poses[:, -1:], last, memory, None)
        else:
            logits, vectors = step_as_shipped(model, codes, poses)
        tokens.append(logits.argmax(2))
        codes = torch.cat([codes, F.embedding(tokens[-1], codebook).movedim(-1, 2)], dim=1)
        poses = torch.cat([poses, vectors], dim=1)
    return torch.cat(tokens, dim=1)


def _joined(memory: list[list[Tensor]], new: list[list[Tensor]]) -> list[list[Tensor]]:
    return [
        [torch.cat([old, more], dim=3) for old, more in zip(scale, more_scale, strict=True)]
        for scale, more_scale in zip(memory, new, strict=True)
    ]
