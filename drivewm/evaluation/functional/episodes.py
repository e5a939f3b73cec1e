"""A planner's results over many episodes: means with intervals, for tables and summaries."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from drivewm.evaluation.functional.bootstrap import Interval, clustered_mean_interval
from drivewm.evaluation.functional.closed_loop import EpisodeScore


def summarize_episodes(
    scores: Sequence[EpisodeScore], scenarios: Sequence[Hashable], rng: np.random.Generator, resamples: int = 1000
) -> dict[str, Interval]:
    """Means over episodes with 95% intervals, clustered by scenario; each is a share in [0, 1] but for the speed [m/s].

    Args:
        scores: one an episode.
        scenarios: the scenario of each episode; its seeds are one cluster.
        rng: for the bootstrap.

    Returns:
        `score` (mean `episode_pdms`), `collision_rate` (any collision), `at_fault_rate`, `off_road_rate` (episodes that
        left the drivable area), `progress` and `ep` (see `EpisodeScore`), `ttc`, `comfort`, `comfortable_share` of
        steps and `mean_speed`.
    """
    columns = {
        "score": [s.episode_pdms for s in scores],
        "collision_rate": [s.collided for s in scores],
        "at_fault_rate": [s.at_fault for s in scores],
        "off_road_rate": [s.dac < 1 for s in scores],
        "progress": [s.progress for s in scores],
        "ep": [s.ep for s in scores],
        "ttc": [s.ttc for s in scores],
        "comfort": [s.comfort for s in scores],
        "comfortable_share": [s.comfortable_share for s in scores],
        "mean_speed": [s.mean_speed for s in scores],
    }
    return {
        name: clustered_mean_interval(np.asarray(values, np.float64), scenarios, rng, resamples)
        for name, values in columns.items()
    }
