"""Random draws that do not depend on how many processes share a batch."""

from __future__ import annotations

from collections.abc import Callable

from mmengine.dist import get_dist_info
from torch import Tensor


def rows_of_global_batch(draw: Callable[[int], Tensor], batch: int) -> Tensor:
    """This process's rows of what is drawn for the batch of all processes.

    Every process draws for the whole batch, from generators in equal states, so these stay equal; and a clip gets the
    same numbers however many processes there are. Which rows belong to which process is as `ResumableSampler` deals
    out samples: process r of n has the rows r, r + n, ...

    Args:
        draw: gives random numbers for that many clips, `(clips, ...)`; called once.
        batch: clips in this process, equal in all processes.

    Returns:
        `(batch, ...)`.
    """
    rank, processes = get_dist_info()
    return draw(batch * processes)[rank::processes]
