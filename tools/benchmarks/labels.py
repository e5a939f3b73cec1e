"""The occupancy label of one keyframe (200 x 200 x 16) from 20 sweeps of 34,688 rays among 34 moving boxes."""

from __future__ import annotations

import numpy as np

from benchmarks.measure import Row, compare
from benchmarks.scenes import lidar_rays, street
from drivewm.data.labels.cloud import SceneCloud
from drivewm.data.labels.sorting import ALONE, STATIC, Sweep, sort_out_reference
from drivewm.data.labels.tracks import SweepBoxes, Track, boxes_at
from drivewm.data.labels.voting import UNLABELLED, Ballot, vote_reference
from drivewm.geometry import OCC3D_GRID, se3
from drivewm.geometry.raycast import carve_into, cast_rays
from drivewm.structures import OCC3D

SWEEPS, BOXES, SWEEP_US = 20, 34, 50_000
LAST = SWEEPS - 1


def against_numpy() -> Row:
    """Who owns each point, and the vote, in NumPy: every point against every box, one `bincount` of all votes."""
    sweeps, boxes = recording()
    ballot = Ballot(OCC3D_GRID)
    return compare(
        lambda: SceneCloud(sweeps, boxes).semantics(LAST, ballot),
        lambda: numpy_label(sweeps, boxes),
        _check_equal,
        goal=35.0,
        rounds=5,
    )


def carved_against_numpy() -> Row:
    """The same with the rays of all sweeps; in NumPy all rays of a sweep walk at once, from voxel to voxel."""
    sweeps, boxes = recording()
    ballot, T = Ballot(OCC3D_GRID), _to_keyframe(sweeps)

    def carved(label, carve) -> np.ndarray:
        semantics, seen = label(), np.zeros(OCC3D_GRID.shape, bool)
        for sweep, T_ego_lidar in zip(sweeps, T, strict=True):
            carve(seen, T_ego_lidar, np.ascontiguousarray(sweep.points[:, :3]))
        return np.where(seen, semantics, UNLABELLED)

    return compare(
        lambda: carved(
            lambda: SceneCloud(sweeps, boxes).semantics(LAST, ballot),
            lambda seen, T, points: carve_into(seen, OCC3D_GRID, T, points),
        ),
        lambda: carved(lambda: numpy_label(sweeps, boxes), numpy_carve),
        _check_equal,
        goal=6.0,
        rounds=3,
    )


def recording() -> tuple[list[Sweep], list[SweepBoxes]]:
    """Sweeps along a street, every tenth with point classes, and the boxes of objects that move through it."""
    occupancy, (origin, directions) = street(), lidar_rays()
    rng = np.random.default_rng(0)
    T_ego_lidar = se3.from_xyzyaw(*origin, -np.pi / 2)
    sweeps = []
    for k in range(SWEEPS):
        T_street_ego = se3.from_xyzyaw(0.2 * (k - LAST), 0.0, 0.0, 0.0)
        depth, index = cast_rays(occupancy != OCC3D.free, OCC3D_GRID, T_street_ego[:3, 3] + origin, directions)
        hit = np.isfinite(depth)
        ego = origin + (depth[hit] + 0.2 + rng.normal(0, 0.02, hit.sum()))[:, None] * directions[hit]
        points = se3.transform_points(se3.inverse(T_ego_lidar), ego).astype(np.float32)
        classes = occupancy[tuple(index[hit].T)] if k % 10 == 9 else np.full(hit.sum(), UNLABELLED, np.uint8)
        sweeps.append(Sweep(points, classes, T_ego_lidar, T_street_ego))
    tracks = []
    for _ in range(BOXES):
        x, y, yaw, speed = rng.uniform([-35, -15, -np.pi, 0], [35, 15, np.pi, 10])
        along = speed * np.arange(3) * 0.5
        path = np.column_stack([x + along * np.cos(yaw), y + along * np.sin(yaw), np.full(3, 0.7)])
        boxes = np.column_stack([path, np.tile([4.5, 1.9, 1.6, yaw], (3, 1))])
        tracks.append(Track(OCC3D.index("car"), np.arange(3) * 500_000, boxes))
    return sweeps, boxes_at(tracks, np.arange(SWEEPS) * SWEEP_US)


def numpy_label(sweeps: list[Sweep], boxes: list[SweepBoxes]) -> np.ndarray:
    """What `SceneCloud.semantics` does for the last sweep, all in NumPy: classes `(X, Y, Z)` uint8."""
    found = [sort_out_reference(sweep, around) for sweep, around in zip(sweeps, boxes, strict=True)]
    points, classes = [], []
    for sorted_points, T_ego_lidar in zip(found, _to_keyframe(sweeps), strict=True):
        votes = sorted_points.owner == STATIC
        if sorted_points is found[LAST]:
            votes |= sorted_points.owner == ALONE
        points.append(se3.transform_points(T_ego_lidar, sorted_points.points[votes].astype(np.float64)))
        classes.append(sorted_points.classes[votes])
    owner, local = (np.concatenate([getattr(part, name) for part in found]) for name in ("owner", "local"))
    now, T_ego_global = boxes[LAST], se3.inverse(sweeps[LAST].T_global_ego)
    for box, track, label in zip(now.boxes, now.track, now.label, strict=True):
        T_ego_box = T_ego_global @ se3.from_xyzyaw(*box[[0, 1, 2, 6]])
        points.append(se3.transform_points(T_ego_box, local[owner == track].astype(np.float64)))
        classes.append(np.full(len(points[-1]), label, np.uint8))
    return vote_reference(np.concatenate(points), np.concatenate(classes), OCC3D_GRID)


def numpy_carve(seen: np.ndarray, T_grid_sensor: np.ndarray, points: np.ndarray) -> None:
    """`carve_into` for a sensor inside of the grid: each step takes all rays that go on one voxel further."""
    grid, origin = OCC3D_GRID, T_grid_sensor[:3, 3]
    offset = points.astype(np.float64) @ T_grid_sensor[:3, :3].T
    length = np.linalg.norm(offset, axis=1)
    direction = offset / length[:, None]
    with np.errstate(divide="ignore"):
        low, high = (grid.origin_m - origin) / direction, (grid.origin_m + grid.extent_m - origin) / direction
        far = np.minimum(length, np.maximum(low, high).min(1))
        cell = np.tile(np.floor((origin - grid.origin_m) / grid.voxel_m).astype(np.int64), (len(points), 1))
        step = np.sign(direction).astype(np.int64)
        border = (grid.origin_m + (cell + (step > 0)) * grid.voxel_m - origin) / direction
        spacing = np.abs(grid.voxel_m / direction)
    while len(cell):
        seen[tuple(cell.T)] = True
        rows, axis = np.arange(len(cell)), border.argmin(1)
        reached = border[rows, axis]
        cell[rows, axis] += step[rows, axis]
        border[rows, axis] += spacing[rows, axis]
        on = (reached <= far) & (cell >= 0).all(1) & (cell < np.array(grid.shape)).all(1)
        cell, step, border, spacing, far = cell[on], step[on], border[on], spacing[on], far[on]


def _to_keyframe(sweeps: list[Sweep]) -> list[np.ndarray]:
    """`T_ego_lidar (4, 4)` of each sweep, into the ego frame of the last one."""
    T_ego_global = se3.inverse(sweeps[LAST].T_global_ego)
    return [T_ego_global @ sweep.T_global_ego @ sweep.T_ego_lidar for sweep in sweeps]


def _check_equal(a: np.ndarray, b: np.ndarray) -> None:
    """Points within rounding of a border may fall on either side of it."""
    differ = int((a != b).sum())
    if differ > 1e-5 * a.size:
        raise AssertionError(f"{differ} of {a.size} voxels differ")
