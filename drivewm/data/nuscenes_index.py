"""Build the index of a data set in nuScenes' format: real nuScenes, the town, converted recordings."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from drivewm.data.errors import DataError, MissingFileError
from drivewm.data.files import read_json, read_occupancy, resolve
from drivewm.data.index import Index, IndexWriter
from drivewm.data.nuscenes_boxes import box_columns
from drivewm.data.nuscenes_cameras import image_columns
from drivewm.data.nuscenes_lidar import lidar_columns
from drivewm.data.nuscenes_tables import NuScenesTables, find_version
from drivewm.geometry import OCC3D_GRID, VoxelGrid

_LOG = logging.getLogger(__name__)
SWEEP_FORMAT = "nuscenes"
CACHE_LIMIT_BYTES = 4 * 1024**3
"""Without an explicit choice, labels are cached in the index while they need no more than this."""


def build_index(
    root: str | Path,
    version: str | None = None,
    out: str | Path | None = None,
    cache_occupancy: bool | None = None,
    overwrite: bool = False,
) -> Index:
    """Reads the tables once and writes the index.

    Args:
        root: data root, which holds `version`, `samples/` and, if there are any, `gts/` and `can_bus/`.
        version: folder of the tables; None: the only `v1.0-*` folder.
        out: the index; None: `root/index`.
        cache_occupancy: decode all labels into the index, so that clips load without unpacking (X * Y * Z * 9 / 8
            bytes a keyframe). None: where that needs less than 4 GiB.
        overwrite: replace an index that is there.

    Returns:
        the index, opened.

    Raises:
        DataError: (of some kind) for anything in the tables or files that does not hold; nothing is left behind then.
    """
    root = Path(root)
    version = find_version(root, version)
    out = root / "index" if out is None else Path(out)
    tables = NuScenesTables(root, version)
    with IndexWriter(out, overwrite) as writer:
        scenes, frame_of_sample = _scene_columns(tables)
        frames = lidar_columns(tables, frame_of_sample, scenes["scene_frame_ptr"])
        occupancy = _occupancy_files(root, scenes["scene_name"], scenes["scene_frame_ptr"], frames["frame_token"])
        grid = grid_of(root) or (OCC3D_GRID if any(occupancy) else None)
        splits, in_split = _splits(root, version, scenes["scene_name"])
        boxes = box_columns(tables, frame_of_sample, frames["frame_T_global_ego"])
        routes = _route_columns(root, scenes["scene_name"])
        lights = _light_columns(root, scenes["scene_name"], scenes["scene_frame_ptr"], frames["frame_time_us"])
        images = image_columns(tables, frame_of_sample)
        for columns in (scenes, frames, boxes, routes, lights, images):
            for name, values in columns.items():
                writer.column(name, values)
        writer.column("frame_occupancy_file", occupancy)
        writer.column("scene_in_split", in_split)
        needed = 0 if grid is None else len(occupancy) * int(np.prod(grid.shape)) * 9 // 8
        if grid is not None and (needed <= CACHE_LIMIT_BYTES if cache_occupancy is None else cache_occupancy):
            _cache_occupancy(writer, root, occupancy, grid)
        depends_on = (f"{version}/*.json", "splits.json", "dataset.json", "gts/labels.json")
        writer.finish(root, version, SWEEP_FORMAT, depends_on, grid, splits)
    index = Index.open(out, root)
    _LOG.info("indexed %d keyframes of %d scenes of %s", index.num_frames, index.num_scenes, version)
    return index


def _scene_columns(tables: NuScenesTables) -> tuple[dict, np.ndarray]:
    """Scene columns, and the keyframe number of each row of sample.json: scenes in table order, keyframes by time."""
    scene = tables.follow("sample", "scene_token", "scene")
    for field in ("prev", "next"):
        tables.follow("sample", field, "sample")
    for field in ("first_sample_token", "last_sample_token"):
        tables.follow("scene", field, "sample")
    log = tables.follow("scene", "log_token", "log")
    time = np.array([row["timestamp"] for row in tables.rows["sample"]], np.int64)
    order = np.lexsort((time, scene))
    count = np.bincount(scene, minlength=len(tables.rows["scene"]))
    for row, found in zip(tables.rows["scene"], count, strict=True):
        if found != row["nbr_samples"]:
            raise DataError(
                tables.path("scene"), f"nbr_samples of {row['name']}", row["nbr_samples"], f"{found}, as in sample.json"
            )
    frame_of_sample = np.empty(len(order), np.int64)
    frame_of_sample[order] = np.arange(len(order))
    same = scene[order][1:] == scene[order][:-1]
    if np.any(same & (np.diff(time[order]) <= 0)):
        raise DataError(
            tables.path("sample"), "timestamp", "two samples of a scene at the same time", "increasing times"
        )
    columns = {
        "scene_name": [row["name"] for row in tables.rows["scene"]],
        "scene_location": [tables.rows["log"][i]["location"] for i in log],
        "scene_frame_ptr": np.concatenate([[0], np.cumsum(count)]),
    }
    return columns, frame_of_sample


def _occupancy_files(root: Path, scene_names: list[str], frame_ptr: np.ndarray, tokens: list[str]) -> list[str]:
    """Occ3D's label of each keyframe, '' for scenes without a folder in gts/."""
    files = [""] * len(tokens)
    for scene, (start, end) in zip(scene_names, zip(frame_ptr[:-1], frame_ptr[1:], strict=True), strict=True):
        resolve(root, f"gts/{scene}", "scene.json", "name")
        if not (root / "gts" / scene).is_dir():
            continue
        for frame in range(start, end):
            files[frame] = f"gts/{scene}/{tokens[frame]}/labels.npz"
            path = resolve(root, files[frame], "sample.json", "token")
            if not path.is_file():
                raise MissingFileError(path, "file", "nothing", f"the occupancy label of a keyframe of {scene}")
    return files


def grid_of(root: str | Path) -> VoxelGrid | None:
    """The grid that a data set names: beside its labels (gts/labels.json), else in dataset.json; None if nowhere."""
    path = next((p for p in (Path(root, "gts", "labels.json"), Path(root, "dataset.json")) if p.exists()), None)
    if path is None:
        return None
    grid = read_json(path, dict).get("grid")
    if not isinstance(grid, dict) or set(grid) != {"range_m", "voxel_m"}:
        raise DataError(path, "grid", grid, "range_m and voxel_m")
    return VoxelGrid(tuple(grid["range_m"]), grid["voxel_m"])


def _splits(root: Path, version: str, scene_names: list[str]) -> tuple[list[str], np.ndarray]:
    """Split names and `(S, splits)` bool: from splits.json, else nuScenes' own."""
    path = next((p for p in (root / "splits.json", root / version / "splits.json") if p.exists()), None)
    if path is not None:
        splits = read_json(path, dict)
        for name, members in splits.items():
            unknown = sorted(set(members).difference(scene_names))
            if unknown:
                raise DataError(path, f"split {name}", unknown, "names of scenes in scene.json")
    else:
        from nuscenes.utils.splits import create_splits_scenes

        splits = {
            name: members for name, members in create_splits_scenes().items() if set(members).intersection(scene_names)
        }
    in_split = np.array([[scene in set(members) for members in splits.values()] for scene in scene_names], bool)
    return list(splits), in_split.reshape(len(scene_names), len(splits))


def _route_columns(root: Path, scene_names: list[str]) -> dict[str, np.ndarray]:
    """The CAN bus expansion's baseline route of each scene that has one."""
    routes = []
    for scene in scene_names:
        path = resolve(root, f"can_bus/{scene}_route.json", "scene.json", "name")
        try:
            points = np.array(read_json(path, list) if path.exists() else [], np.float64).reshape(-1, 2)
        except ValueError:
            raise DataError(path, "route", "something else", "a list of [x, y]") from None
        if not np.isfinite(points).all():
            raise DataError(path, "route", "NaN or infinite values", "finite global coordinates")
        routes.append(points if len(points) > 1 else np.zeros((0, 2)))
    return {
        "scene_route_ptr": np.concatenate([[0], np.cumsum([len(points) for points in routes])]),
        "route_xy": np.concatenate([np.zeros((0, 2)), *routes]),
    }


def _light_columns(root: Path, scene_names: list[str], frame_ptr: np.ndarray, time_us: np.ndarray) -> dict:
    """The stop lines that lights closed at each keyframe: of scenes of the town, which alone tell."""
    found = []
    for scene, begin, end in zip(scene_names, frame_ptr[:-1], frame_ptr[1:], strict=True):
        path = resolve(root, f"can_bus/{scene}_lights.json", "scene.json", "name")
        rows = read_json(path, list) if path.exists() else []
        try:
            stamps = np.array([row["utime"] for row in rows], np.int64)
            red = [np.array(row["red"], np.float64).reshape(-1, 2) for row in rows]
        except (KeyError, TypeError, ValueError):
            raise DataError(path, "rows", "something else", "{utime, red: [[x, y], ...]}") from None
        if not all(np.isfinite(points).all() for points in red):
            raise DataError(path, "red", "NaN or infinite values", "finite global coordinates")
        for row in np.searchsorted(stamps, time_us[begin:end], side="right") - 1:
            found.append(red[row] if row >= 0 else np.zeros((0, 2)))
    return {
        "frame_light_ptr": np.concatenate([[0], np.cumsum([len(points) for points in found])]),
        "light_xy": np.concatenate([np.zeros((0, 2)), *found]),
    }


def _cache_occupancy(writer: IndexWriter, root: Path, files: list[str], grid: VoxelGrid) -> None:
    voxels = int(np.prod(grid.shape))
    occupancy = writer.array("occupancy", (len(files), *grid.shape))
    visible = writer.array("visible", (len(files), -(-voxels // 8)))
    for frame, file in enumerate(files):
        if file:
            semantics, mask = read_occupancy(root / file, grid)
            occupancy[frame], visible[frame] = semantics, np.packbits(mask)
    occupancy.flush()
    visible.flush()
