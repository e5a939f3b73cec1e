"""Which windows of a scene the published tables of occupancy forecasting are over, told by their frames t0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

PUBLISHED = ("all", "occworld", "first")
"""Window sets, see `published_windows`."""

_FUTURE = 6


def published_windows(keyframes: int) -> dict[str, range]:
    """Positions of t0 in a scene of so many keyframes, by window set. All look 3 s (6 keyframes) ahead.

    - `all`: every window of 5 + 6 keyframes (I2-World, Liao et al., 2025): L - 10 of a scene of L; 4,519 on nuScenes'
      val;
    - `occworld`: the same without the last two of each scene, since its code reads windows of 12 and leaves out the
      last of those too (OccWorld, Zheng et al., 2024): L - 12; 4,219;
    - `first`: keyframes 0 to 9 alone, 4 + 6 (DOME, Gu et al., 2024; COME, Shi et al., 2025): one a scene; 150.

    A set says what is to be forecast, not from how much: a predictor that observes 4 keyframes has the windows of all
    sets, one that observes 5 has no `first`.
    """
    end = keyframes - _FUTURE
    return {"all": range(4, end), "occworld": range(4, end - 2), "first": range(3, min(4, end))}


def window_sets(scenes: Mapping[str, Sequence[str]]) -> dict[str, set[str]]:
    """Sample tokens of t0 of each published set, from all keyframes' tokens of each scene in order of time."""
    sets: dict[str, set[str]] = {name: set() for name in PUBLISHED}
    for tokens in scenes.values():
        for name, positions in published_windows(len(tokens)).items():
            sets[name].update(tokens[position] for position in positions)
    return sets
