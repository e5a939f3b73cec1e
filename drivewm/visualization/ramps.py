"""Ramp: colours for numbers between 0 and 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ramp:
    """Colours that go over into each other.

    Attributes:
        stops: RGB or RGBA in 0..255, evenly spaced from 0 to 1; at least two.
    """

    stops: tuple[tuple[int, ...], ...]

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Colours `(..., C)` uint8 of values `(...)`, which are brought into [0, 1]."""
        stops = np.array(self.stops, np.float64)
        position = np.clip(np.asarray(values, np.float64), 0.0, 1.0)[..., None] * (len(stops) - 1)
        below = np.minimum(position.astype(np.int64), len(stops) - 2)
        share, below = position - below, below[..., 0]
        return np.round(stops[below] * (1 - share) + stops[below + 1] * share).astype(np.uint8)


HEIGHT = Ramp(((52, 82, 168), (33, 145, 140), (94, 170, 60), (226, 150, 30), (196, 40, 50)))
"""From low to high."""
SCORE = Ramp(((165, 20, 38), (226, 90, 40), (245, 176, 65), (250, 226, 120), (128, 196, 98), (8, 122, 66)))
"""From bad to good; the middle is pale, so that it also tells without red and green."""
BLOCKED = Ramp(((255, 200, 60, 0), (255, 196, 60, 130), (252, 150, 40, 200), (236, 84, 40, 235), (200, 30, 44, 255)))
"""From free, which shows what is below, to blocked."""
DRIVABLE = Ramp(((246, 247, 249), (216, 221, 232), (172, 182, 203)))
"""From the verge to the road."""
