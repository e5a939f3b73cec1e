"""Random numbers by name: the same choice of the same agent, whatever else has happened in the episode.

Two planners that are compared in one scenario meet agents that make the same choices; a shared generator would
give others as soon as one of the two drives differently.
"""

from __future__ import annotations

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def uniform(seed: int, *keys) -> np.ndarray:
    """Numbers in [0, 1) from a seed and integer keys that broadcast (SplitMix64; Steele, Lea and Flood, 2014)."""
    with np.errstate(over="ignore"):
        state = np.uint64(seed % 2**64)
        for key in keys:
            state = _scramble(state + np.asarray(key).astype(np.uint64) * _MIX[0] + _GOLDEN)
        return (_scramble(state + _GOLDEN) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _scramble(z):
    z = (z ^ (z >> np.uint64(30))) * _MIX[0]
    z = (z ^ (z >> np.uint64(27))) * _MIX[1]
    return z ^ (z >> np.uint64(31))
