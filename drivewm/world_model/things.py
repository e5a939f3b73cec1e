"""Things move as wholes: a motion field, evened out over what hangs together."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import label, value_indices
from torch import Tensor
from torch.nn import functional as F

from drivewm.structures import OCC3D, History

_TOUCHING = np.zeros((3, 3, 3, 3), bool)
_TOUCHING[1, 1] = True  # cells of one clip and one class, by their corners too


def as_wholes(displacement: Tensor, history: History) -> Tensor:
    """The field in which all cells of a thing go where half of them, on either axis, go further and half less far.

    A thing is what touches in bird's-eye view at t0 and is of one movable class. Its cells are not told apart by what
    moves it, so their differences are the field's errors: without them things tear, and with the median, which the
    cells at the border do not pull along, they also arrive nearer to where they will be.

    Args:
        displacement: `(B, K, 2, H, W)` of each cell; H and W divide the grid's columns.
        history: the observed frames, with occupancy.

    Returns:
        `(B, K, 2, H, W)`; cells without a thing keep what they had.
    """
    even = displacement.clone()
    for clip, rows, columns in _things(history.occupancy[:, -1], displacement.shape[-2]):
        even[clip][..., rows, columns] = displacement[clip][..., rows, columns].median(-1, keepdim=True).values
    return even


def _things(now: Tensor, height: int) -> list[tuple[int, Tensor, Tensor]]:
    """Of each thing in `now (B, X, Y, Z)`: its clip, and rows and columns `(n,)` of its cells, `height` along x."""
    movable = now.new_tensor(OCC3D.movable)
    top = torch.where(torch.isin(now, movable), now, OCC3D.index("others")).amax(-1)
    top = F.max_pool2d(top.float(), now.shape[1] // height)
    numbers, _ = label((top[:, None] == movable[:, None, None]).cpu().numpy(), _TOUCHING)
    found = value_indices(numbers, ignore_value=0).values()
    return [(int(clip[0]), torch.from_numpy(row), torch.from_numpy(column)) for clip, _, row, column in found]
