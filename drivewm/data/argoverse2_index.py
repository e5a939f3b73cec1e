"""Build the index of Argoverse 2's sensor logs (Wilson et al., NeurIPS 2021) in their public layout; nothing is copied.

`{train,val,test}/LOG/`, or logs directly in the root, or a single log as the root: the latter two are split val.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from drivewm.data.argoverse_files import (
    BOX_COLUMNS,
    BOXES_FILE,
    CALIBRATION_FILE,
    POSES_FILE,
    T_EGO_AXLE,
    categories_of,
    read_poses,
    rows_at,
)
from drivewm.data.errors import DataError, MissingFileError
from drivewm.data.index import Index
from drivewm.data.log_index import Log, write_log_index
from drivewm.data.nuscenes_boxes import velocities
from drivewm.data.nuscenes_schema import CATEGORIES
from drivewm.geometry import se3
from drivewm.structures import OCC3D

NAME = "argoverse2"
SPLITS = ("train", "val", "test")
LIDAR = "up_lidar"
"""The upper of the two, which sit on one axis: a sweep holds the points of both."""


def build_argoverse2_index(root: str | Path, out: str | Path | None = None, overwrite: bool = False) -> Index:
    """Reads poses, calibration and boxes of all logs and writes the index. Every sweep is a frame.

    Global is Argoverse's city frame. The ego frame lies below Argoverse's, on the ground.

    Args:
        root: see above.
        out: the index; None: `root/index`.
        overwrite: replace an index that is there.

    Raises:
        DataError: (of some kind) pyarrow is not installed, a file of a log is missing or does not hold, or there is no
            log. Only boxes may be missing, as they are in split test.
    """
    root = Path(root)
    layouts = {"": "val", "*/": "val", **{f"{split}/*/": split for split in SPLITS}}
    found = [(prefix, path.parents[1]) for prefix in layouts for path in sorted(root.glob(f"{prefix}sensors/lidar"))]
    if not found:
        raise MissingFileError(root, "logs", "none", "Argoverse 2's layout: {train,val,test}/LOG/sensors/lidar")
    logs = [_read_log(root, folder, layouts[prefix]) for prefix, folder in found]
    files = (POSES_FILE, CALIBRATION_FILE, BOXES_FILE)
    tables = [f"{prefix}{file}" for prefix in dict.fromkeys(p for p, _ in found) for file in files]
    return write_log_index(root, None if out is None else Path(out), logs, NAME, tables, overwrite)


def _read_log(root: Path, folder: Path, split: str) -> Log:
    name = folder.resolve().name
    files = sorted((folder / "sensors" / "lidar").glob("*.feather"))
    if not files:
        raise MissingFileError(folder / "sensors" / "lidar", "files", "none", "sweeps, TIMESTAMP_NS.feather")
    for path in files:
        if not path.stem.isdecimal():
            raise DataError(path, "name", path.name, "the sweep's timestamp in nanoseconds")
    stamps_ns = np.array([int(path.stem) for path in files], np.int64)
    T_global_axle, poses = read_poses(folder / POSES_FILE, ("timestamp_ns",))
    own = rows_at(folder / POSES_FILE, poses["timestamp_ns"], stamps_ns, "every sweep")
    boxes = None
    if (folder / BOXES_FILE).is_file():
        boxes = _read_boxes(folder, stamps_ns, T_global_axle, poses["timestamp_ns"])
    return Log(
        name=name,
        split=split,
        tokens=[f"{name}-{stamp}" for stamp in stamps_ns],
        files=[path.relative_to(root).as_posix() for path in files],
        time_us=stamps_ns // 1000,
        time_file=folder / "sensors" / "lidar",
        T_global_ego=T_global_axle[own] @ se3.inverse(T_EGO_AXLE),
        T_ego_lidar=T_EGO_AXLE @ _calibration(folder / CALIBRATION_FILE),
        boxes=boxes,
    )


def _calibration(path: Path) -> np.ndarray:
    """`T_axle_lidar (4, 4)` of the upper LiDAR."""
    T_axle_sensor, table = read_poses(path, ("sensor_name",))
    row = np.flatnonzero(table["sensor_name"] == LIDAR)
    if len(row) != 1:
        raise DataError(path, "sensor_name", f"{LIDAR} {len(row)} times", "once")
    return T_axle_sensor[row[0]]


def _read_boxes(folder: Path, stamps_ns: np.ndarray, T_global_axle: np.ndarray, poses_ns: np.ndarray) -> dict:
    """Boxes at the stamps of sweeps as `Log` has them; velocities look at all that are annotated."""
    path = folder / BOXES_FILE
    T_axle_box, table = read_poses(path, BOX_COLUMNS)
    size = np.stack([table[f"{side}_m"] for side in ("length", "width", "height")], axis=-1)
    if (size <= 0).any():
        row = int(np.flatnonzero((size <= 0).any(axis=1))[0])
        raise DataError(path, "length_m, width_m, height_m", f"{size[row].tolist()} in row {row}", "positive lengths")
    time_ns = table["timestamp_ns"]
    pose = T_global_axle[rows_at(folder / POSES_FILE, poses_ns, time_ns, "every box")]
    track = np.unique(table["track_uuid"].astype(str), return_inverse=True)[1]
    before, after = _neighbours(path, track, time_ns)
    T_ego_box = T_EGO_AXLE @ T_axle_box
    centred, backward = velocities((pose @ T_axle_box)[:, :3, 3], 1e-9 * time_ns, before, after)
    into_ego = np.swapaxes(pose[:, :3, :3], -1, -2)
    labels = [OCC3D.index(CATEGORIES[name]) for name in categories_of(path, table["category"])]
    columns = {
        "frame": np.searchsorted(stamps_ns, time_ns),
        "box_center": T_ego_box[:, :3, 3],
        "box_size": size,
        "box_yaw": np.arctan2(T_ego_box[:, 1, 0], T_ego_box[:, 0, 0]),
        "box_velocity": (into_ego @ centred[..., None])[:, :2, 0],
        "box_velocity_past": (into_ego @ backward[..., None])[:, :2, 0],
        "box_label": np.array(labels, np.uint8),
        "box_track": track,
        "box_lidar_points": table["num_interior_pts"],
    }
    order = np.lexsort((track, time_ns))
    order = order[np.isin(time_ns[order], stamps_ns)]
    return {name: values[order] for name, values in columns.items()}


def _neighbours(path: Path, track: np.ndarray, time_ns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row of the same track before and after each row in time, -1 for none. Raises DataError for a track twice."""
    order = np.lexsort((time_ns, track))
    same = np.diff(track[order]) == 0
    if np.any(same & (np.diff(time_ns[order]) == 0)):
        raise DataError(path, "track_uuid", "a track twice at one time", "one box a track and time")
    before, after = np.full(len(track), -1), np.full(len(track), -1)
    before[order[1:][same]] = order[:-1][same]
    after[order[:-1][same]] = order[1:][same]
    return before, after
