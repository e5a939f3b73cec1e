"""Excerpts of real recordings as data sets in nuScenes' format, so that everything else reads them unchanged."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import numpy as np

from drivewm.data.basemap import write_mask
from drivewm.data.errors import DataError, MissingFileError
from drivewm.data.nuscenes_writer import NuScenesWriter
from drivewm.data.occupancy_labels import causal_labels
from drivewm.data.records import LIDAR, FrameRecord, SceneRecord, SensorData, SensorRecord, pose_fields
from drivewm.geometry import VoxelGrid, se3
from drivewm.structures import OCC3D

VERSION = "v1.0-recording"
SPLIT = "val"
"""Recordings are for evaluation."""

# nuScenes scene-0061's calibration of LIDAR_TOP; the vehicles of one fleet differ by millimetres.
T_EGO_LIDAR = se3.from_quaternion(
    np.array([0.7077955119163518, -0.006492242056004365, 0.010646214713995808, -0.7063073142877817]),
    np.array([0.943713, 0.0, 1.84023]),
)

_CLASSES = np.array(
    [
        OCC3D.index(name)
        for name in (
            "driveable_surface",
            "sidewalk",
            "manmade",
            "manmade",
            "vegetation",
            "pedestrian",
            "bicycle",
            "car",
            "truck",
            "bus",
            "others",
        )
    ],
    np.uint8,
)
"""Of the excerpt's classes: road, sidewalk, building, pole, vegetation, person, two-wheeler, car, truck, bus, none."""

# Returns from the ego vehicle itself lie in this box of the LiDAR frame (4D-Occ's evaluation): |x|, and y from, to [m].
_EGO_HALF_WIDTH, _EGO_REAR, _EGO_FRONT = 0.8, -1.5, 2.5
_FIELDS = ("points", "intensity", "label", "frame_ptr", "T_world_lidar", "t")


def convert_recording(file: str | Path, out: str | Path, grid: VoxelGrid, overwrite: bool = False) -> Path:
    """Writes the nuScenes excerpt `nuscenes_scene-NNNN_*.npz` as a data set of one scene.

    Points keep their LiDAR frame; the ring is not known (-1). The world frame is the first keyframe's ego frame.
    Occupancy by `causal_labels`. There are no boxes and no route.

    Args:
        file: holds `points (P, 3)`, `intensity (P,)`, `label (P,)`, `frame_ptr (F + 1,)`, `T_world_lidar (F, 4, 4)`,
            `t (F,)`.
        out: the data set to be.
        grid: for the labels.
        overwrite: replace `out`.

    Returns:
        `out`.

    Raises:
        DataError: the file is not such an excerpt.
    """
    arrays = _load(Path(file))
    scene = re.search(r"scene-\d{4}", Path(file).name)
    if scene is None:
        raise DataError(file, "name", Path(file).name, "a name that holds scene-NNNN")
    name = scene.group()
    T_world_ego = arrays["T_world_lidar"] @ se3.inverse(T_EGO_LIDAR)
    T_global_ego = se3.inverse(T_world_ego[0]) @ T_world_ego
    bounds = list(zip(arrays["frame_ptr"][:-1], arrays["frame_ptr"][1:], strict=True))
    keep = [~_on_ego(arrays["points"][a:b]) for a, b in bounds]
    sweeps = [arrays["points"][a:b][k] for (a, b), k in zip(bounds, keep, strict=True)]
    intensity = [arrays["intensity"][a:b][k] for (a, b), k in zip(bounds, keep, strict=True)]
    label = [arrays["label"][a:b][k] for (a, b), k in zip(bounds, keep, strict=True)]
    classes = [_CLASSES[np.minimum(values, len(_CLASSES) - 1)] for values in label]
    semantics, visible = causal_labels(sweeps, classes, T_global_ego, T_EGO_LIDAR, grid)

    description = {
        "schema_version": 1,
        "kind": "recording",
        "source": Path(file).name,
        "grid": {"range_m": list(grid.range_m), "voxel_m": grid.voxel_m},
    }
    writer = NuScenesWriter(out, description, VERSION, key=Path(file).name, overwrite=overwrite)
    frames, data = [], []
    for k, time_s in enumerate(arrays["t"]):
        stamp = int(round(float(time_s) * 1e6))
        points = np.column_stack([sweeps[k], intensity[k], np.full(len(sweeps[k]), -1.0)])
        writer.write_labels(name, k, semantics[k], visible[k])
        files = writer.write_sweep(name, stamp, points)
        data.append(SensorData(stamp, *pose_fields(T_global_ego[k]), frame=k, **files))
        frames.append(FrameRecord(stamp, []))
    record = SceneRecord(
        name=name,
        location="unknown",
        split=SPLIT,
        description=f"Keyframes of a recording: {Path(file).name}",
        sensors=[SensorRecord(LIDAR, *pose_fields(T_EGO_LIDAR), data)],
        frames=frames,
        route=[],
    )
    writer.finish_scene(record)
    mask = "maps/unknown.png"
    write_mask(writer.folder / mask, np.zeros((10, 10), bool))
    writer.finish([name], {"unknown": mask})
    return Path(out)


def _on_ego(points: np.ndarray) -> np.ndarray:
    return (np.abs(points[:, 0]) <= _EGO_HALF_WIDTH) & (points[:, 1] >= _EGO_REAR) & (points[:, 1] <= _EGO_FRONT)


def _load(file: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(file, allow_pickle=False) as loaded:
            arrays = {name: loaded[name] for name in loaded.files}
    except FileNotFoundError:
        raise MissingFileError(file, "file", "nothing", "a recording (.npz)") from None
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise DataError(file, "content", f"a broken archive ({error})", "an npz archive") from None
    missing = sorted(set(_FIELDS).difference(arrays))
    if missing:
        raise DataError(file, "fields", f"no {', '.join(missing)}", f"{', '.join(_FIELDS)}")
    count, frames = len(arrays["points"]), len(arrays["t"])
    shapes = {
        "points": (count, 3),
        "intensity": (count,),
        "label": (count,),
        "frame_ptr": (frames + 1,),
        "T_world_lidar": (frames, 4, 4),
    }
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise DataError(file, name, f"shape {arrays[name].shape}", f"{shape}")
    pointer = arrays["frame_ptr"]
    if pointer[0] != 0 or pointer[-1] != count or np.any(np.diff(pointer) < 0):
        raise DataError(file, "frame_ptr", pointer.tolist(), f"increasing positions from 0 to {count}")
    for name in ("points", "intensity", "T_world_lidar", "t"):
        if not np.isfinite(arrays[name]).all():
            raise DataError(file, name, "NaN or infinite values", "finite values")
    if np.any(np.diff(arrays["t"]) <= 0):
        raise DataError(file, "t", "times that do not increase", "increasing times [s]")
    return arrays
