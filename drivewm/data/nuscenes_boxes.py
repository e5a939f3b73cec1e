"""Annotations of nuScenes' tables as columns of the index: boxes in the ego frame of their keyframe."""

from __future__ import annotations

import numpy as np

from drivewm.data.errors import DataError
from drivewm.data.nuscenes_schema import CATEGORIES
from drivewm.data.nuscenes_tables import NuScenesTables
from drivewm.geometry import se3
from drivewm.structures import OCC3D

MAX_GAP_S = 1.5
"""Annotations further apart give no velocity (the devkit's `box_velocity`; twice that for a centred difference)."""


def box_columns(tables: NuScenesTables, frame_of_sample: np.ndarray, T_global_ego: np.ndarray) -> dict[str, np.ndarray]:
    """The index' box columns, sorted by keyframe.

    Args:
        tables: of the data set.
        frame_of_sample: `(samples,)` keyframe number of each row of sample.json.
        T_global_ego: `(F, 4, 4)` ego pose of each keyframe.

    Raises:
        DataError: for a token that points nowhere, an unknown category, a size that is not positive.
    """
    rows = tables.rows["sample_annotation"]
    sample = tables.follow("sample_annotation", "sample_token", "sample")
    instance = tables.follow("sample_annotation", "instance_token", "instance")
    tables.follow(
        "sample_annotation", "visibility_token", "visibility", [row for row in rows if row["visibility_token"]]
    )
    for row in rows:
        for token in row["attribute_tokens"]:
            tables.position("attribute", token, "sample_annotation", "attribute_tokens")
    center = tables.numbers("sample_annotation", "translation", 3)
    width_length_height = tables.numbers("sample_annotation", "size", 3)
    if (width_length_height <= 0).any():
        bad = rows[int(np.flatnonzero((width_length_height <= 0).any(axis=1))[0])]
        raise DataError(
            tables.path("sample_annotation"), "size", f"{bad['size']} in row {bad['token']}", "positive lengths"
        )
    frame = frame_of_sample[sample]
    T_global_box = tables.transforms("sample_annotation")
    T_ego_global = se3.inverse(T_global_ego)[frame]
    T_ego_box = T_ego_global @ T_global_box
    centred, backward = _velocities(tables, center, sample)
    order = np.argsort(frame, kind="stable")
    columns = {
        "box_center": T_ego_box[:, :3, 3],
        "box_size": width_length_height[:, [1, 0, 2]],
        "box_yaw": np.arctan2(T_ego_box[:, 1, 0], T_ego_box[:, 0, 0]),
        "box_velocity": (T_ego_global[:, :3, :3] @ centred[..., None])[:, :2, 0],
        "box_velocity_past": (T_ego_global[:, :3, :3] @ backward[..., None])[:, :2, 0],
        "box_label": labels_of_instances(tables)[instance],
        "box_track": instance,
        "box_lidar_points": tables.numbers("sample_annotation", "num_lidar_pts", 1)[:, 0],
    }
    columns = {name: values[order] for name, values in columns.items()}
    columns["frame_box_ptr"] = np.concatenate([[0], np.cumsum(np.bincount(frame, minlength=len(T_global_ego)))])
    return columns


def labels_of_instances(tables: NuScenesTables) -> np.ndarray:
    """`OCC3D` class of each row of instance.json. Raises DataError for a category that nuScenes does not have."""
    category = tables.follow("instance", "category_token", "category")
    names = [row["name"] for row in tables.rows["category"]]
    unknown = sorted({names[i] for i in category}.difference(CATEGORIES))
    if unknown:
        raise DataError(tables.path("category"), "name", unknown, f"nuScenes' categories ({', '.join(CATEGORIES)})")
    of_category = np.array([OCC3D.index(CATEGORIES.get(name, "others")) for name in names], np.uint8)
    return of_category[category] if len(category) else np.zeros(0, np.uint8)


def _velocities(tables: NuScenesTables, center: np.ndarray, sample: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Velocities `(N, 3)` [m/s, global] of all annotations, as `velocities` has them."""
    before = tables.follow("sample_annotation", "prev", "sample_annotation")
    after = tables.follow("sample_annotation", "next", "sample_annotation")
    time_s = 1e-6 * tables.numbers("sample", "timestamp", 1)[:, 0][sample]
    return velocities(center, time_s, before, after)


def velocities(
    center: np.ndarray, time_s: np.ndarray, before: np.ndarray, after: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Velocity `(N, 3)` [m/s] of each annotation by the devkit's rule, and from the past alone; NaN where unknown.

    The devkit's: centred where both neighbours exist, else one-sided.

    Args:
        center: `(N, 3)` [m, global].
        time_s: `(N,)`.
        before, after: `(N,)` row of the same track's annotation before and after, -1 for none.
    """
    own = np.arange(len(center))
    first, last = np.where(before < 0, own, before), np.where(after < 0, own, after)
    limit = np.where((before >= 0) & (after >= 0), 2 * MAX_GAP_S, MAX_GAP_S)

    def difference(start: np.ndarray, end: np.ndarray, limit_s: np.ndarray | float) -> np.ndarray:
        elapsed = time_s[end] - time_s[start]
        known = (elapsed > 0) & (elapsed <= limit_s)
        return np.where(known[:, None], (center[end] - center[start]) / np.where(known, elapsed, 1.0)[:, None], np.nan)

    return difference(first, last, limit), difference(first, own, MAX_GAP_S)
