"""What the stages of a bird's-eye-view trunk consist of, beside what changes their resolution."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

from drivewm.layers.conv import ResBlock
from drivewm.layers.swin import SwinBlocks

TRUNKS = ("conv", "swin")

StageBlocks = Callable[[int], list[nn.Module]]
"""Makes the blocks of a stage, which keep the shape `(B, C, H, W)`; stage 0 has half the grid's resolution."""


def conv_blocks(channels: Sequence[int], blocks: int | Sequence[int]) -> StageBlocks:
    """Residual convolutions in every stage.

    Args:
        channels: width of each stage.
        blocks: of each stage, or one number for all.
    """
    number = _of_each(channels, blocks)
    return lambda stage: [ResBlock(channels[stage]) for _ in range(number[stage])]


def swin_blocks(
    channels: Sequence[int], blocks: int | Sequence[int], shape: tuple[int, int], window: int
) -> StageBlocks:
    """Swin blocks in all stages but the first, whose map is too large for attention and stays convolutional.

    Copilot4D (Zhang et al., 2024), whose tokenizer follows UltraLiDAR's (Xiong et al., 2023), has them at a quarter and
    an eighth of the grid's resolution, and nothing at half of it.

    Args:
        channels, blocks: as for `conv_blocks`.
        shape: columns of the grid along x and y.
        window: see `SwinBlocks`.
    """
    number, convolve = _of_each(channels, blocks), conv_blocks(channels, blocks)

    def make(stage: int) -> list[nn.Module]:
        if stage == 0:
            return convolve(stage)
        x, y = (size >> (stage + 1) for size in shape)
        return [SwinBlocks(channels[stage], (x, y), number[stage], window)]

    return make


def trunk_blocks(
    trunk: str, channels: Sequence[int], blocks: int | Sequence[int], shape: tuple[int, int], window: int
) -> StageBlocks:
    """`conv_blocks` or `swin_blocks`, as `trunk` says. Raises ValueError for any other name."""
    if trunk not in TRUNKS:
        raise ValueError(f"trunk must be one of {', '.join(TRUNKS)}, got {trunk!r}")
    return conv_blocks(channels, blocks) if trunk == "conv" else swin_blocks(channels, blocks, shape, window)


def _of_each(channels: Sequence[int], blocks: int | Sequence[int]) -> tuple[int, ...]:
    number = (blocks,) * len(channels) if isinstance(blocks, int) else tuple(blocks)
    if len(number) != len(channels):
        raise ValueError(f"blocks must be one number or one for each of the {len(channels)} stages, got {blocks}")
    return number
