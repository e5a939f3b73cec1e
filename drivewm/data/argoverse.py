"""A sensor log in Argoverse 2's layout (Wilson et al., NeurIPS 2021): boxes, ego poses and the drivable area.

As scenes for simulated agents; sweeps and their index are another matter (`argoverse2_index`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from scipy.signal import savgol_filter

from drivewm.data.argoverse_files import (
    BOX_COLUMNS,
    BOXES_FILE,
    POSES_FILE,
    T_EGO_AXLE,
    categories_of,
    read_poses,
    rows_at,
)
from drivewm.data.errors import DataError, MissingFileError
from drivewm.data.nuscenes_schema import CATEGORIES
from drivewm.geometry import se3
from drivewm.structures import OCC3D, AgentTracks, RoadMap

DT_S = 0.1
_RESOLUTION_M = 0.25
_AROUND_M = 120.0
_SMOOTH_STEPS = 9  # velocities by a parabola over so many positions


@dataclass(frozen=True)
class ArgoverseLog:
    """All sweeps of a log that have boxes, 0.1 s apart; global is Argoverse's city frame.

    Attributes:
        name: of the log.
        tracks: all annotated, numbered from 0 in the order of their names; velocities smoothed over 0.9 s.
        category: nuScenes category name of each track.
        T_global_ego: `(T, 4, 4)` float64.
        road_map: drivable area within 120 m of the drive, without lanes.
    """

    name: str
    tracks: AgentTracks
    category: tuple[str, ...]
    T_global_ego: np.ndarray
    road_map: RoadMap


def read_argoverse(folder: str | Path) -> ArgoverseLog:
    """Reads a log's `annotations.feather`, `city_SE3_egovehicle.feather` and `map/log_map_archive_*.json`.

    Raises:
        MissingFileError: one of them is missing.
        DataError: pyarrow is not installed, boxes without a pose, or sweeps not 0.1 s apart.
    """
    folder = Path(folder)
    T_axle_box, boxes = read_poses(folder / BOXES_FILE, BOX_COLUMNS)
    T_global_axle, poses = read_poses(folder / POSES_FILE, ("timestamp_ns",))
    stamps, step = np.unique(boxes["timestamp_ns"], return_inverse=True)
    dt_s = np.diff(stamps) / 1e9
    if len(dt_s) and np.abs(dt_s - DT_S).max() > 0.1 * DT_S:
        raise DataError(folder / BOXES_FILE, "timestamp_ns", f"steps of {dt_s.max()} s", f"{DT_S} s")
    row = rows_at(folder / POSES_FILE, poses["timestamp_ns"], stamps, "every sweep with boxes")
    T_global_ego = T_global_axle[row] @ se3.inverse(T_EGO_AXLE)
    T_global_box = T_global_axle[row][step] @ T_axle_box
    names, first, slot = np.unique(boxes["track_uuid"], return_index=True, return_inverse=True)
    category = categories_of(folder / BOXES_FILE, boxes["category"][first])
    array, valid = np.zeros((len(stamps), len(names), 7)), np.zeros((len(stamps), len(names)), bool)
    size = np.stack([boxes[f"{side}_m"] for side in ("length", "width", "height")], axis=-1)
    yaw = np.arctan2(T_global_box[:, 1, 0], T_global_box[:, 0, 0])
    array[step, slot] = np.concatenate([T_global_box[:, :3, 3], size, yaw[:, None]], axis=-1)
    valid[step, slot] = True
    label = np.array([OCC3D.index(CATEGORIES[name]) for name in category], np.int64)
    tracks = AgentTracks(array, _velocity(array, valid), label, np.arange(len(names)), valid)
    return ArgoverseLog(folder.name, tracks, tuple(category), T_global_ego, _road_map(folder, T_global_ego))


def _velocity(boxes: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """`(T, N, 2)` [m/s], smoothed; 0 where a track has but one box."""
    velocity = np.zeros((*valid.shape, 2))
    for slot in range(valid.shape[1]):
        steps = np.flatnonzero(valid[:, slot])
        if len(steps) < 2:
            continue
        every = np.arange(steps[0], steps[-1] + 1)
        xy = np.stack([np.interp(every, steps, boxes[steps, slot, axis]) for axis in range(2)], axis=-1)
        window = min(_SMOOTH_STEPS, len(xy) - (len(xy) + 1) % 2)
        found = np.gradient(xy, DT_S, axis=0)
        if window >= 3:
            found = savgol_filter(xy, window, 2, deriv=1, delta=DT_S, axis=0)
        velocity[steps, slot] = found[steps - steps[0]]
    return velocity


def _road_map(folder: Path, T_global_ego: np.ndarray) -> RoadMap:
    files = sorted((folder / "map").glob("log_map_archive_*.json"))
    if not files:
        raise MissingFileError(folder / "map", "file", "nothing", "log_map_archive_*.json")
    areas = json.loads(files[0].read_text(encoding="utf-8"))["drivable_areas"].values()
    polygons = [shapely.Polygon([(p["x"], p["y"]) for p in area["area_boundary"]]) for area in areas]
    low = np.floor(T_global_ego[:, :2, 3].min(0) - _AROUND_M)
    count = np.ceil((T_global_ego[:, :2, 3].max(0) + _AROUND_M - low) / _RESOLUTION_M).astype(int)
    x, y = np.meshgrid(
        *(low[axis] + _RESOLUTION_M * (np.arange(count[axis]) + 0.5) for axis in range(2)), indexing="ij"
    )
    drivable = np.zeros(x.shape, bool)
    for polygon in polygons:
        shapely.prepare(polygon)
        drivable |= shapely.contains_xy(polygon, x, y)
    return RoadMap({}, drivable, (float(low[0]), float(low[1])), _RESOLUTION_M)
