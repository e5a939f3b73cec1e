"""Things: what touches in bird's-eye view and is of one movable class. They move as wholes."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import label, value_indices
from torch import Tensor
from torch.nn import functional as F

from drivewm.structures import OCC3D, History

_TOUCHING = np.zeros((3, 3, 3, 3), bool)
_TOUCHING[1, 1] = True  # cells of one frame and one class, by their corners too


def numbered_things(frames: Tensor, height: int) -> np.ndarray:
    """The things of each frame, numbered from 1 on over all frames.

    Args:
        frames: `(N, X, Y, Z)` uint8 classes.
        height: cells along x; a cell is of the greatest movable class in its columns.

    Returns:
        `(N, movable classes, height, W)` integers, 0 where no thing is.
    """
    movable = frames.new_tensor(OCC3D.movable)
    top = torch.where(torch.isin(frames, movable), frames, OCC3D.index("others")).amax(-1)
    top = F.max_pool2d(top.float(), frames.shape[1] // height)
    return label((top[:, None] == movable[:, None, None]).cpu().numpy(), _TOUCHING)[0]


def as_wholes(displacement: Tensor, history: History) -> Tensor:
    """The field in which all cells of a thing go where half of them, on either axis, go further and half less far.

    Its cells are not told apart by what moves it, so their differences are the field's errors: without them things
    tear, and with the median, which the cells at the border do not pull along, they also arrive nearer to where they
    will be.

    Args:
        displacement: `(B, K, 2, H, W)` of each cell; H and W divide the grid's columns.
        history: the observed frames, with occupancy.

    Returns:
        `(B, K, 2, H, W)`; cells without a thing keep what they had.
    """
    even = displacement.clone()
    things = value_indices(numbered_things(history.occupancy[:, -1], displacement.shape[-2]), ignore_value=0)
    for clip, _, rows, columns in things.values():
        even[clip[0]][..., rows, columns] = displacement[clip[0]][..., rows, columns].median(-1, keepdim=True).values
    return even
