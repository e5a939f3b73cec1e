"""How far an episode in a recorded scene can be believed."""

from __future__ import annotations

from dataclasses import asdict, dataclass

MAX_DRIFT_M, MAX_DURATION_S = 10.0, 8.0
"""Beyond these an episode is not valid: the others do what they did around an ego that was elsewhere."""
MIN_VISIBLE_RATIO = 0.9
"""Nor is it where fewer rays than this, as a share of those at the recorded pose, end on something that was seen. 5 m
beside the recorded path there are 0.97 (a town, nuScenes, PandaSet), 10 m beside 0.81 to 0.96."""


@dataclass(frozen=True)
class LogValidity:
    """What an episode went through.

    Attributes:
        drift_m: the farthest that the ego was from where it was recorded at the same time [m].
        duration_s: how long the scored part lasted [s].
        visible_share: of the observation with the least, the share of LiDAR rays that end on something that was seen in
            the recording; None without LiDAR.
        logged_visible_share: the same at the recorded pose whose rays these were.
    """

    drift_m: float
    duration_s: float
    visible_share: float | None = None
    logged_visible_share: float | None = None

    @property
    def faults(self) -> tuple[str, ...]:
        """Why the episode is not valid."""
        found = []
        if self.drift_m > MAX_DRIFT_M:
            found.append("drift")
        if self.duration_s > MAX_DURATION_S + 1e-6:
            found.append("duration")
        if self.visible_share is not None and self.visible_share < MIN_VISIBLE_RATIO * self.logged_visible_share:
            found.append("visibility")
        return tuple(found)

    @property
    def valid(self) -> bool:
        return not self.faults

    def to_dict(self) -> dict:
        """As JSON values, `valid` and `faults` among them."""
        return {**asdict(self), "valid": self.valid, "faults": list(self.faults)}
