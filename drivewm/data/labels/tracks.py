"""Annotated objects between their annotations: where their boxes are at the time of any sweep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drivewm.geometry import se2
from drivewm.structures import OCC3D

MAX_GAP_S = 1.5
"""Between annotations further apart a box is nowhere."""
SPARE_S = 0.5
"""So long before its first and after its last annotation a box is guessed."""
MOVED_M = 1.0
"""An object whose class does not move by itself counts as moving from this far on."""
SWEEP_S = 0.05
"""A revolution of the LiDAR: what moves may be hit where it was so much earlier."""


@dataclass(frozen=True)
class Track:
    """One annotated object.

    Attributes:
        label: class of `OCC3D`.
        time_us: `(K,)` increasing times of its annotations [microseconds].
        boxes: `(K, 7)` centre, length, width, height [m], yaw [rad], global frame.
    """

    label: int
    time_us: np.ndarray
    boxes: np.ndarray

    @property
    def moves(self) -> bool:
        """May it be elsewhere in another sweep?"""
        moved = np.linalg.norm(self.boxes[:, :2] - self.boxes[0, :2], axis=1).max()
        return self.label in OCC3D.movable or bool(moved > MOVED_M)

    def at(self, time_us: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Boxes at some times `(S,)`: linear between two annotations, at constant velocity beyond the ends.

        Returns:
            boxes `(S, 7)`, speed `(S,)` [m/s], there `(S,)` bool, and known `(S,)` bool: there, and not only guessed.
        """
        time_s = 1e-6 * (np.asarray(time_us, np.float64) - self.time_us[0])
        own_s = 1e-6 * (self.time_us - self.time_us[0]).astype(np.float64)
        if len(own_s) == 1:
            known = time_s == 0.0
            return np.tile(self.boxes, (len(time_s), 1)), np.zeros(len(time_s)), np.abs(time_s) <= SPARE_S, known
        before = np.clip(np.searchsorted(own_s, time_s, side="right") - 1, 0, len(own_s) - 2)
        gap_s = own_s[before + 1] - own_s[before]
        share = ((time_s - own_s[before]) / gap_s)[:, None]
        step = self.boxes[before + 1] - self.boxes[before]
        step[:, 6] = se2.wrap_angle(step[:, 6])
        step[(gap_s > MAX_GAP_S)] = 0.0  # beyond the ends of such a gap it stands still
        annotated = np.isin(time_us, self.time_us)
        within = (time_s >= 0) & (time_s <= own_s[-1])
        known = annotated | (within & (gap_s <= MAX_GAP_S))
        there = known | (~within & (time_s > -SPARE_S - 1e-9) & (time_s < own_s[-1] + SPARE_S + 1e-9))
        boxes = self.boxes[before] + share * step
        boxes[annotated] = self.boxes[np.searchsorted(self.time_us, np.asarray(time_us)[annotated])]
        return boxes, np.linalg.norm(step[:, :2], axis=1) / gap_s, there, known


@dataclass(frozen=True)
class SweepBoxes:
    """The moving objects at the time of a sweep.

    Attributes:
        boxes: `(M, 7)` [m, rad], global frame.
        track: `(M,)` int32 which track each is of.
        label: `(M,)` uint8 classes of `OCC3D`.
        trail_m: `(M,)` how far behind its box an object may have been hit.
        known: `(M,)` bool: annotated or between two annotations. Of the others nobody knows exactly where they are.
    """

    boxes: np.ndarray
    track: np.ndarray
    label: np.ndarray
    trail_m: np.ndarray
    known: np.ndarray

    @classmethod
    def none(cls) -> SweepBoxes:
        """No object is known."""
        return cls(np.zeros((0, 7)), np.zeros(0, np.int32), np.zeros(0, np.uint8), np.zeros(0), np.zeros(0, bool))


def boxes_at(tracks: Sequence[Track], time_us: np.ndarray) -> list[SweepBoxes]:
    """The boxes of tracks that move at each of the times `(S,)` [microseconds]."""
    moving = [(number, track) for number, track in enumerate(tracks) if track.moves]
    placed = [track.at(time_us) for _, track in moving]
    found = []
    for s in range(len(time_us)):
        rows = [i for i, (_, _, there, _) in enumerate(placed) if there[s]]
        found.append(
            SweepBoxes(
                np.array([placed[i][0][s] for i in rows]).reshape(-1, 7),
                np.array([moving[i][0] for i in rows], np.int32),
                np.array([moving[i][1].label for i in rows], np.uint8),
                np.array([SWEEP_S * placed[i][1][s] for i in rows], np.float64),
                np.array([placed[i][3][s] for i in rows], bool),
            )
        )
    return found
