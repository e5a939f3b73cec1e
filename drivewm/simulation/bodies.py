"""Bodies: the analytic scene as boxes, upright cylinders and ellipsoids, each with a class and whose part it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from drivewm.geometry import se2

SCENERY = -1
"""Track of what belongs to no road user."""
LAMPS = (-2, -3, -4)
"""Tracks of lit lamps, which are scenery too: green, yellow, red."""


@dataclass(frozen=True)
class Bodies:
    """Solid primitives standing on or above the ground plane z = 0.

    Attributes:
        boxes: `(B, 7)` float64 centre x, y, z, length, width, height [m], yaw [rad].
        cylinders: `(C, 5)` x, y, lower z, upper z, radius [m].
        ellipsoids: `(E, 5)` centre x, y, z, horizontal radius, vertical radius [m].
        box_class, cylinder_class, ellipsoid_class: uint8 classes of `OCC3D`.
        box_track, cylinder_track, ellipsoid_track: int64 the road user whose part a body is, as in `AgentBoxes.track`,
            or SCENERY.
    """

    boxes: np.ndarray
    box_class: np.ndarray
    box_track: np.ndarray
    cylinders: np.ndarray
    cylinder_class: np.ndarray
    cylinder_track: np.ndarray
    ellipsoids: np.ndarray
    ellipsoid_class: np.ndarray
    ellipsoid_track: np.ndarray

    @classmethod
    def of(cls, boxes: Sequence = (), cylinders: Sequence = (), ellipsoids: Sequence = ()) -> Bodies:
        """Scenery from sequences of (numbers, class) pairs."""
        arrays = []
        for items, width in ((boxes, 7), (cylinders, 5), (ellipsoids, 5)):
            arrays.append(np.array([numbers for numbers, _ in items], np.float64).reshape(-1, width))
            arrays.append(np.array([label for _, label in items], np.uint8))
            arrays.append(np.full(len(items), SCENERY, np.int64))
        return cls(*arrays)

    @property
    def classes(self) -> np.ndarray:
        """Classes of all bodies `(B + C + E,)`, in the order in which rays count them."""
        return np.concatenate([self.box_class, self.cylinder_class, self.ellipsoid_class])

    @property
    def tracks(self) -> np.ndarray:
        """Tracks of all bodies `(B + C + E,)`, in the same order."""
        return np.concatenate([self.box_track, self.cylinder_track, self.ellipsoid_track])

    def track_of(self, hit: np.ndarray) -> np.ndarray:
        """Tracks int64 of what rays have hit, of any shape: indices into `tracks`; -1 and -2 for nothing and ground."""
        tracks = np.append(self.tracks, [SCENERY, SCENERY])[hit]  # negative indices count from the end
        return np.maximum(tracks, SCENERY)

    def __add__(self, other: Bodies) -> Bodies:
        return Bodies(*(np.concatenate([getattr(self, f), getattr(other, f)]) for f in self.__dataclass_fields__))

    def near(self, center: np.ndarray, radius_m: float) -> Bodies:
        """Those whose bounding circle comes within `radius_m` of `center (2,)` [m]."""
        reaches = 0.5 * np.hypot(self.boxes[:, 3], self.boxes[:, 4]), self.cylinders[:, 4], self.ellipsoids[:, 3]
        bodies = self.boxes, self.cylinders, self.ellipsoids
        return self._only(
            *(
                np.hypot(b[:, 0] - center[0], b[:, 1] - center[1]) <= radius_m + reach
                for b, reach in zip(bodies, reaches, strict=True)
            )
        )

    def of_tracks(self, tracks: np.ndarray) -> Bodies:
        """Those that belong to some of these road users `(M,)`."""
        return self._only(
            *(np.isin(own, tracks) for own in (self.box_track, self.cylinder_track, self.ellipsoid_track))
        )

    def _only(self, boxes: np.ndarray, cylinders: np.ndarray, ellipsoids: np.ndarray) -> Bodies:
        """Those that are chosen: bool `(B,)`, `(C,)` and `(E,)`."""
        return Bodies(
            self.boxes[boxes],
            self.box_class[boxes],
            self.box_track[boxes],
            self.cylinders[cylinders],
            self.cylinder_class[cylinders],
            self.cylinder_track[cylinders],
            self.ellipsoids[ellipsoids],
            self.ellipsoid_class[ellipsoids],
            self.ellipsoid_track[ellipsoids],
        )

    def seen_from(self, pose: np.ndarray) -> Bodies:
        """The same bodies in the frame of `pose (3,)` x, y, yaw."""
        T_ego_global = se2.inverse(np.asarray(pose, np.float64))
        moved = []
        for bodies in (self.boxes, self.cylinders, self.ellipsoids):
            bodies = bodies.copy()
            bodies[:, :2] = se2.transform_points(T_ego_global, bodies[:, :2])
            moved.append(bodies)
        moved[0][:, 6] += T_ego_global[2]
        return replace(self, boxes=moved[0], cylinders=moved[1], ellipsoids=moved[2])

    def turned_boxes(self) -> np.ndarray:
        """Boxes `(B, 8)` as kernels want them: cosine and sine in place of the yaw."""
        yaw = self.boxes[:, 6:]
        return np.ascontiguousarray(np.hstack([self.boxes[:, :6], np.cos(yaw), np.sin(yaw)]))
