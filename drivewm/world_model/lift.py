"""Lift: what camera views showed, brought to the cells of a bird's-eye view."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drivewm.layers.conv import ResBlock
from drivewm.layers.gathered_attention import gathered_there
from drivewm.world_model.evidence import Lifted
from drivewm.world_model.exchange import Before, Cells
from drivewm.world_model.exchange.places import HEIGHTS_M

_FINE = 4
"""Columns per cell along each axis: a cell of metres would hide which of them a view saw."""
_POINT_DIM = 16
COLUMN_DIM = 32
"""Features of a column."""


class Lift(nn.Module):
    """Features of the tokens that saw the points of a cell -> a feature of the cell.

    As Simple-BEV (Harley et al., 2023): every point of a column takes what was seen along its ray, whatever the
    distance; convolutions over columns find where rays agree. What cells hear starts as nothing.

    Args:
        dim: C, of tokens and cells.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.narrow = nn.Linear(dim, _POINT_DIM)
        columns = nn.Conv2d(len(HEIGHTS_M) * (_POINT_DIM + 1), COLUMN_DIM, 1)
        self.columns = nn.Sequential(columns, ResBlock(COLUMN_DIM), ResBlock(COLUMN_DIM))
        self.fold = nn.Linear(COLUMN_DIM * _FINE**2, dim)
        nn.init.zeros_(self.fold.weight)
        nn.init.zeros_(self.fold.bias)

    def forward(self, features: Tensor, where: Before, cells: Cells) -> Lifted:
        """Features `(J, N, C)` of tokens that are `where` -> of P cells and their columns; zero where none was seen."""
        shape = tuple(_FINE * side for side in cells.shape)
        with torch.no_grad():
            index, there = where.at(Cells(cells.grid, shape).points(False, features.device))
        points = gathered_there(self.narrow(features), index, there).flatten(2)
        known = there.any(-1).view(-1, 1, *shape).to(points.dtype)
        columns = known * self.columns(points.transpose(1, 2).unflatten(2, shape))
        folded = self.fold(F.pixel_unshuffle(columns, _FINE).flatten(2).transpose(1, 2))
        return Lifted(folded * F.max_pool2d(known, _FINE).flatten(1)[..., None], columns)
