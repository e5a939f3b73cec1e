"""Swin blocks over maps: who sees whom, what they start as, which maps they refuse."""

import pytest
import torch

from drivewm.layers.swin import SwinBlocks


def make(shape=(8, 12), depth=2, channels=16, window=4) -> SwinBlocks:
    """Blocks that are no longer the identity."""
    torch.manual_seed(0)
    blocks = SwinBlocks(channels, shape, depth, window).double()
    for parameter in blocks.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    return blocks


def groups(size: int, window: int, shift: int) -> list[int]:
    """Along one axis, the window that each cell is in; shifted windows that wrap around are cut at the border."""
    return [0 if i < shift else 1 + (i - shift) // window for i in range(size)]


def seen_by(shape: tuple[int, int], cell: tuple[int, int], depth: int, window: int) -> torch.Tensor:
    """Which cells `(H, W)` reach `cell` through so many blocks, block by block from the last."""
    reached = torch.zeros(shape, dtype=torch.bool)
    reached[cell] = True
    for block in reversed(range(depth)):
        # A window that spans the axis is not shifted.
        shift = [block % 2 * (window // 2) if size > window else 0 for size in shape]
        rows, columns = (torch.tensor(groups(n, window, s)) for n, s in zip(shape, shift, strict=True))
        key = rows[:, None] * 1000 + columns
        reached = torch.isin(key, key[reached])
    return reached


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("shape", [(8, 12), (4, 12), (3, 8)])
@pytest.mark.parametrize("cell", [(0, 0), (2, 5), (1, 7)])
def test_cells_see_their_windows_and_after_two_blocks_those_around(shape, depth, cell):
    """By gradients; opposite borders never see each other, though the shift wraps around."""
    x = torch.randn(1, 16, *shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)
    make(shape, depth)(x)[0, :, cell[0], cell[1]].sum().backward()
    # timm's mask leaves a weight of e^-100.
    assert torch.equal(x.grad[0].abs().sum(0) > 1e-30, seen_by(shape, cell, depth, 4))


def test_they_start_as_the_identity_and_learn():
    torch.manual_seed(0)
    blocks, x = SwinBlocks(48, (8, 8), 2, 4), torch.randn(2, 48, 8, 8)
    out = blocks(x)
    assert out.shape == x.shape and torch.equal(out, x)
    out.square().sum().backward()
    assert all(block.mlp.fc2.weight.grad.any() and block.attn.proj.weight.grad.any() for block in blocks.blocks)


def test_a_checkpoint_does_not_depend_on_the_map():
    small, large = make((8, 8)), make((16, 24))
    large.load_state_dict(small.state_dict())


@pytest.mark.parametrize(
    ("shape", "window", "message"),
    [((10, 8), 4, "windows of 4 x 4 cells do not tile a map of 10 x 8"), ((8, 8), 1, "window must be 2 or more")],
)
def test_maps_that_windows_do_not_tile_are_refused(shape, window, message):
    with pytest.raises(ValueError, match=message):
        SwinBlocks(16, shape, 2, window)
