"""Pure functions on arrays and structures; inputs are never changed."""

from drivewm.evaluation.functional.bootstrap import (
    Interval,
    clustered_interval,
    clustered_mean_interval,
    paired_difference_interval,
)
from drivewm.evaluation.functional.closed_loop import EpisodeScore, score_episode
from drivewm.evaluation.functional.occupancy import confusion_counts, iou_per_class, miou, occupied_iou

__all__ = [
    "EpisodeScore",
    "Interval",
    "clustered_interval",
    "clustered_mean_interval",
    "confusion_counts",
    "iou_per_class",
    "miou",
    "occupied_iou",
    "paired_difference_interval",
    "score_episode",
]
