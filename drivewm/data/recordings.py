"""Real recordings as data sets in nuScenes' format, so that everything else reads them unchanged."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from drivewm.data.basemap import write_mask
from drivewm.data.errors import DataError
from drivewm.data.labels.causal import causal_labels
from drivewm.data.labels.maker import STATEMENT, LabelOptions
from drivewm.data.nuscenes_recording import read_nuscenes
from drivewm.data.nuscenes_writer import NuScenesWriter
from drivewm.data.pandaset_recording import read_pandaset
from drivewm.data.pandaset_sequence import find_sequences, read_sequence
from drivewm.data.recording import Recording
from drivewm.data.records import LIDAR, FrameRecord, SceneRecord, SensorData, SensorRecord, pose_fields
from drivewm.geometry import VoxelGrid
from drivewm.host import write_json

VERSION = "v1.0-recording"
SPLIT = "val"
"""Recordings are for evaluation."""

_READERS = {r"scene-\d{4}": read_nuscenes, r"pandaset_\d{3}": read_pandaset}
"""Which source a file is of: by its name."""


def convert_recording(
    source: str | Path,
    out: str | Path,
    grid: VoxelGrid,
    overwrite: bool = False,
    keyframe_s: float | None = None,
) -> Path:
    """Writes recordings as a data set with one scene each.

    The ring of a point is not known (-1). The world frame is the first keyframe's ego frame. Occupancy by
    `causal_labels`. There is no route.

    Args:
        source: an excerpt `nuscenes_scene-NNNN_*.npz` or `pandaset_NNN_*.npz` (see `recording.load_npz`, and the reader
            of each); or PandaSet as published, the folder of one sequence or of several.
        out: the data set to be.
        grid: for the labels.
        overwrite: replace `out`.
        keyframe_s: time between keyframes of PandaSet [s], of which 0.1 makes every sweep one; None: 0.5. Excerpts of
            nuScenes have their own.

    Returns:
        `out`.

    Raises:
        DataError: the source is none of these.
        ValueError: `keyframe_s` is not positive, or given for an excerpt of nuScenes.
    """
    source = Path(source)
    description = {
        "schema_version": 1,
        "kind": "recording",
        "source": source.name,
        "grid": {"range_m": list(grid.range_m), "voxel_m": grid.voxel_m},
    }
    writer, names = None, []
    for path, read in _sources(source, keyframe_s):
        recording = read(path)  # before anything is written
        writer = writer or NuScenesWriter(out, description, VERSION, key=source.name, overwrite=overwrite)
        _write_scene(writer, recording, grid, path.name)
        names.append(recording.name)
    mask = "maps/unknown.png"
    write_mask(writer.folder / mask, np.zeros((10, 10), bool))
    writer.finish(names, {"unknown": mask})
    return Path(out)


def _sources(source: Path, keyframe_s: float | None) -> list[tuple[Path, Callable[[Path], Recording]]]:
    """Files or folders to read, one or more, each with its reader."""
    if keyframe_s is not None and keyframe_s <= 0:
        raise ValueError(f"keyframe_s must be positive, got {keyframe_s}")
    options = {} if keyframe_s is None else {"keyframe_s": keyframe_s}
    if source.is_dir():
        return [(folder, partial(read_sequence, **options)) for folder in find_sequences(source)]
    reader = next((read for name, read in _READERS.items() if re.search(name, source.name)), None)
    if reader is None:
        raise DataError(source, "name", source.name, "a name that holds scene-NNNN or pandaset_NNN")
    if options and reader is read_nuscenes:
        raise ValueError(f"keyframe_s is for PandaSet, but {source.name} consists of nuScenes' keyframes")
    return [(source, partial(reader, **options))]


def _write_scene(writer: NuScenesWriter, recording: Recording, grid: VoxelGrid, source: str) -> None:
    _write_labels(writer, recording, grid)
    frames = [
        FrameRecord(int(recording.stamps_us[k]), recording.boxes[i] if recording.boxes else [])
        for i, k in enumerate(recording.keyframes)
    ]
    record = SceneRecord(
        name=recording.name,
        location="unknown",
        split=SPLIT,
        description=f"A recording: {source}",
        sensors=[SensorRecord(LIDAR, *pose_fields(recording.T_ego_lidar), _write_sweeps(writer, recording))],
        frames=frames,
        route=[],
    )
    writer.finish_scene(record)


def _write_sweeps(writer: NuScenesWriter, recording: Recording) -> list[SensorData]:
    """All sweeps up to the last keyframe, in one chain; each belongs to the keyframe that comes next."""
    data = []
    for k in range(int(recording.keyframes[-1]) + 1):
        is_key_frame = k in recording.keyframes
        stamp, points = int(recording.stamps_us[k]), recording.sweeps[k]
        files = writer.write_sweep(
            recording.name,
            stamp,
            np.column_stack([points, recording.intensity[k], np.full(len(points), -1.0)]),
            is_key_frame,
            recording.numbers[k] if recording.numbers is not None and is_key_frame else None,
        )
        frame = int(np.searchsorted(recording.keyframes, k))
        pose = pose_fields(recording.T_global_ego[k])
        data.append(SensorData(stamp, *pose, frame=frame, is_key_frame=is_key_frame, **files))
    return data


def _write_labels(writer: NuScenesWriter, recording: Recording, grid: VoxelGrid) -> None:
    """Of each keyframe, from all sweeps up to it."""
    solid = recording.solid
    semantics, visible = causal_labels(
        [points[s] for points, s in zip(recording.sweeps, solid, strict=True)],
        [classes[s] for classes, s in zip(recording.classes, solid, strict=True)],
        recording.T_global_ego,
        recording.T_ego_lidar,
        grid,
    )
    write_json(writer.folder / "gts" / STATEMENT, LabelOptions(grid, causal=True).statement(), indent=1)
    for number, k in enumerate(recording.keyframes):
        writer.write_labels(recording.name, number, semantics[k], visible[k])
