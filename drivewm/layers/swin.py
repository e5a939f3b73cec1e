"""Attention in shifted windows over bird's-eye-view maps `(B, C, H, W)` (Swin; Liu et al., 2021), by timm's block."""

from __future__ import annotations

from torch import Tensor, nn

_HEAD_DIM = 32


class SwinBlocks(nn.Module):
    """Swin blocks one after the other, every second one with its windows shifted by half; they start as the identity.

    Args:
        channels: C; as many heads as there are 32 of them, and at least one.
        shape: H and W.
        depth: blocks. After two, each cell has seen its own window and the windows around it.
        window: edge of a window in cells; along an axis that is no longer there is one window, which is not shifted.

    Raises:
        ValueError: H or W is longer than a window but no multiple of it: timm pads such a map behind its shift, and
            cells at opposite borders would attend to each other.
    """

    def __init__(self, channels: int, shape: tuple[int, int], depth: int, window: int = 8) -> None:
        from timm.models.swin_transformer import SwinTransformerBlock  # takes seconds to import

        super().__init__()
        if window < 2:
            raise ValueError(f"window must be 2 or more cells, got {window}")
        if any(size > window and size % window for size in shape):
            raise ValueError(
                f"windows of {window} x {window} cells do not tile a map of {shape[0]} x {shape[1]}: choose a window "
                "that divides it, or another grid"
            )
        heads = max(1, channels // _HEAD_DIM)
        self.blocks = nn.Sequential(
            *(
                SwinTransformerBlock(channels, shape, heads, window_size=window, shift_size=i % 2 * (window // 2))
                for i in range(depth)
            )
        )
        for block in self.blocks:
            for last in (block.attn.proj, block.mlp.fc2):
                nn.init.zeros_(last.weight)
                nn.init.zeros_(last.bias)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, C, H, W)` -> the same shape."""
        return self.blocks(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
