"""The points of all sweeps of a scene, and the labels of its keyframes from them.

After Occ3D (Tian et al., 2023) and SurroundOcc (Wei et al., 2023): what stands is gathered in the global frame, what
moves in the frame of its own box; at a keyframe both are put together, points vote for the class of their voxel, and
rays tell what is free from what nobody saw.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from drivewm.data.labels.sorting import ALONE, STATIC, Sweep, sort_out
from drivewm.data.labels.tracks import SweepBoxes
from drivewm.data.labels.voting import Ballot
from drivewm.geometry import VoxelGrid, raycast, se3
from drivewm.simulation.occupancy import paint_boxes
from drivewm.structures import OCC3D


class SceneCloud:
    """What all sweeps of a scene have hit.

    It knows the whole scene: its labels are truth, never what a predictor sees. Those that are `causal` look only back.

    Args:
        sweeps: in the order of time.
        boxes: the moving objects at the time of each (`tracks.boxes_at`).
    """

    def __init__(self, sweeps: Iterable[Sweep], boxes: Sequence[SweepBoxes]) -> None:
        self._boxes, self._sweeps = boxes, []
        poses, mounts, track, local = [], [], [np.zeros(0, np.int32)], [np.zeros((0, 3), np.float32)]
        for sweep, around in zip(sweeps, boxes, strict=True):
            found = sort_out(sweep, around)
            self._sweeps.append((found.points, found.classes, found.owner))
            mine = np.flatnonzero(found.owner >= 0)
            track.append(found.owner[mine])
            local.append(found.local[mine])
            poses.append(sweep.T_global_ego)
            mounts.append(sweep.T_ego_lidar)
        self._T_global_ego, self._T_ego_lidar = np.array(poses), np.array(mounts)
        order = np.argsort(np.concatenate(track), kind="stable")
        self._track, self._local = np.concatenate(track)[order], np.concatenate(local)[order]

    def semantics(self, sweep: int, ballot: Ballot, causal: bool = False) -> np.ndarray:
        """Classes `(X, Y, Z)` uint8 of a keyframe, in its ego frame.

        Args:
            sweep: the keyframe's number among the sweeps.
            ballot: of the grid.
            causal: from this sweep and those before it alone. Of things that move there is then what it hits itself.
        """
        T_ego_global = se3.inverse(self._T_global_ego[sweep])
        T_ego_lidar = T_ego_global @ self._T_global_ego @ self._T_ego_lidar
        used = self._sweeps[: sweep + 1] if causal else self._sweeps
        for (points, classes, owner), T in zip(used, T_ego_lidar, strict=False):
            ballot.add(points, classes, T, owner, STATIC)
        points, classes, owner = self._sweeps[sweep]
        own = np.where(owner >= 0, ALONE, owner) if causal else owner
        ballot.add(points, classes, T_ego_lidar[sweep], own, ALONE)
        if not causal:
            self._add_tracks(sweep, ballot, T_ego_global)
        return ballot.count()

    def seen(self, sweep: int, grid: VoxelGrid, rays_of: Sequence[int]) -> np.ndarray:
        """Voxels `(X, Y, Z)` bool of a keyframe's grid that rays pass or end in.

        In boxes of things that move only the keyframe's own rays count: at other times something else was there.

        Args:
            sweep: the keyframe's number among the sweeps.
            grid: in its ego frame.
            rays_of: numbers of the sweeps whose rays count beside its own.
        """
        T_ego_global = se3.inverse(self._T_global_ego[sweep])
        T_ego_lidar = T_ego_global @ self._T_global_ego @ self._T_ego_lidar
        seen = np.zeros(grid.shape, bool)
        for s in rays_of:
            raycast.carve_into(seen, grid, T_ego_lidar[s], self._sweeps[s][0])
        if len(rays_of):
            seen &= ~self._in_boxes(sweep, grid, T_ego_global)
        raycast.carve_into(seen, grid, T_ego_lidar[sweep], self._sweeps[sweep][0])
        return seen

    def _add_tracks(self, sweep: int, ballot: Ballot, T_ego_global: np.ndarray) -> None:
        """Puts all that is known of each object to where it is now; it votes for the object's class."""
        now = self._boxes[sweep]
        for box, track, label in zip(now.boxes[now.known], now.track[now.known], now.label[now.known], strict=True):
            mine = slice(*np.searchsorted(self._track, (track, track + 1)))
            T_ego_box = T_ego_global @ se3.from_xyzyaw(*box[[0, 1, 2, 6]])
            classes = np.full(mine.stop - mine.start, label, np.uint8)
            ballot.add(self._local[mine], classes, T_ego_box, self._track[mine], track)

    def _in_boxes(self, sweep: int, grid: VoxelGrid, T_ego_global: np.ndarray) -> np.ndarray:
        """Voxels `(X, Y, Z)` bool that boxes of things that move touch now."""
        boxes, inside = self._boxes[sweep].boxes, np.zeros(grid.shape, np.uint8)
        T_ego_box = T_ego_global @ se3.from_xyzyaw(*boxes[:, [0, 1, 2, 6]].T)
        yaw = np.arctan2(T_ego_box[:, 1, 0], T_ego_box[:, 0, 0])
        paint_boxes(
            inside, np.column_stack([T_ego_box[:, :3, 3], boxes[:, 3:6], yaw]), np.ones(len(boxes), np.uint8), grid
        )
        return inside.astype(bool)


def masked(semantics: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """`mask_lidar (X, Y, Z)` bool: what rays have seen, and all that is occupied."""
    return seen | (semantics != OCC3D.free)
