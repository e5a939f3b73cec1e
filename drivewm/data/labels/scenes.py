"""What labels are made from, read out of the tables of a data set in nuScenes' format."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from drivewm.data.errors import DataError, MissingFileError
from drivewm.data.files import read_json, read_lidar, resolve
from drivewm.data.labels.sorting import Sweep
from drivewm.data.labels.tracks import Track
from drivewm.data.labels.voting import UNLABELLED
from drivewm.data.nuscenes_boxes import labels_of_instances
from drivewm.data.nuscenes_lidar import CHANNEL
from drivewm.data.nuscenes_schema import LIDARSEG_CATEGORIES
from drivewm.data.nuscenes_tables import NuScenesTables
from drivewm.structures import OCC3D

_NOT_SOLID = ("noise", "vehicle.ego")
_LEFT_OUT = 255


@dataclass(frozen=True)
class LabelScene:
    """One scene: S sweeps in the order of time, K of them keyframes.

    Attributes:
        name: of the scene.
        root: of the data set.
        lidar_files, class_files: S file names relative to `root`; '' where a sweep has no point classes.
        time_us: `(S,)` [microseconds].
        T_global_ego, T_ego_lidar: `(S, 4, 4)`.
        keyframes: `(K,)` numbers of the sweeps that are keyframes.
        tokens: of the K samples.
        tracks: annotated objects.
        class_of_number: `(256,)` uint8, what the numbers in class files mean; 255 for points that are not to vote.
    """

    name: str
    root: Path
    lidar_files: list[str]
    class_files: list[str]
    time_us: np.ndarray
    T_global_ego: np.ndarray
    T_ego_lidar: np.ndarray
    keyframes: np.ndarray
    tokens: list[str]
    tracks: list[Track]
    class_of_number: np.ndarray

    def keyframes_only(self) -> LabelScene:
        """The scene without the sweeps between its keyframes."""
        k = self.keyframes
        files = ([names[i] for i in k] for names in (self.lidar_files, self.class_files))
        arrays = self.time_us[k], self.T_global_ego[k], self.T_ego_lidar[k], np.arange(len(k))
        return LabelScene(self.name, self.root, *files, *arrays, self.tokens, self.tracks, self.class_of_number)

    def sweeps(self) -> Iterator[Sweep]:
        """Reads the sweeps. Raises DataError for a file that is missing or broken."""
        for file, classes_file, T_ego_lidar, T_global_ego in zip(
            self.lidar_files, self.class_files, self.T_ego_lidar, self.T_global_ego, strict=True
        ):
            points = read_lidar(self.root / file)
            classes = np.full(len(points), UNLABELLED, np.uint8)
            if classes_file:
                classes = self.class_of_number[_read_numbers(self.root / classes_file, len(points))]
                points, classes = points[classes != _LEFT_OUT], classes[classes != _LEFT_OUT]
            yield Sweep(points, classes, T_ego_lidar, T_global_ego)


def _read_numbers(path: Path, count: int) -> np.ndarray:
    try:
        numbers = np.fromfile(path, np.uint8)
    except FileNotFoundError:
        raise MissingFileError(path, "file", "nothing", "the point classes of a sweep (_lidarseg.bin)") from None
    if len(numbers) != count:
        raise DataError(path, "size", f"{len(numbers)} bytes", f"{count}, one a point of its sweep")
    return numbers


def read_scenes(tables: NuScenesTables) -> list[LabelScene]:
    """All scenes, in the order of their table.

    Raises:
        DataError: a table or lidarseg.json is missing or holds what it should not; two sweeps of a scene have the same
            time; a scene has no keyframe with point classes.
    """
    sensor = tables.follow("calibrated_sensor", "sensor_token", "sensor")
    is_lidar = np.array([tables.rows["sensor"][i]["channel"] == CHANNEL for i in sensor], bool)
    calibration = tables.follow("sample_data", "calibrated_sensor_token", "calibrated_sensor")
    rows = [row for row, i in zip(tables.rows["sample_data"], calibration, strict=True) if is_lidar[i]]
    sample = tables.follow("sample_data", "sample_token", "sample", rows)
    scene = tables.follow("sample", "scene_token", "scene")[sample]
    time_us = np.array([row["timestamp"] for row in rows], np.int64)
    is_keyframe = np.array([bool(row["is_key_frame"]) for row in rows])
    class_file, class_of_number = _class_files(tables)
    T_global_ego, T_ego_lidar = (
        tables.transforms(table, [tables.rows[table][i] for i in tables.follow("sample_data", field, table, rows)])
        for field, table in (("ego_pose_token", "ego_pose"), ("calibrated_sensor_token", "calibrated_sensor"))
    )
    tracks = _tracks(tables, dict(zip(sample[is_keyframe].tolist(), time_us[is_keyframe].tolist(), strict=True)))
    order = np.lexsort((time_us, scene))
    found = []
    for number, row in enumerate(tables.rows["scene"]):
        resolve(tables.root, f"gts/{row['name']}", tables.path("scene"), "name")
        own = order[np.searchsorted(scene[order], number) : np.searchsorted(scene[order], number, side="right")]
        if np.any(np.diff(time_us[own]) <= 0):
            where = f"timestamp of {CHANNEL} in {row['name']}"
            raise DataError(tables.path("sample_data"), where, "two at the same time", "increasing times")
        keyframes = np.flatnonzero(is_keyframe[own])
        class_files = [class_file.get(rows[i]["token"], "") for i in own]
        if not any(class_files[k] for k in keyframes):
            where = f"point classes of {row['name']}"
            raise DataError(tables.root / tables.version / "lidarseg.json", where, "none", "those of its keyframes")
        for i in own:
            resolve(tables.root, rows[i]["filename"], tables.path("sample_data"), f"filename of {rows[i]['token']}")
        found.append(
            LabelScene(
                row["name"],
                tables.root,
                [rows[i]["filename"] for i in own],
                class_files,
                time_us[own],
                T_global_ego[own],
                T_ego_lidar[own],
                keyframes,
                [rows[own[k]]["sample_token"] for k in keyframes],
                tracks.get(number, []),
                class_of_number,
            )
        )
    return found


def _class_files(tables: NuScenesTables) -> tuple[dict[str, str], np.ndarray]:
    """File of point classes of each sample_data's token, and what their numbers mean `(256,)`."""
    path = tables.root / tables.version / "lidarseg.json"
    if not path.exists():
        raise MissingFileError(path, "file", "nothing", "classes of LiDAR points (nuScenes-lidarseg)")
    files = {}
    for number, row in enumerate(read_json(path, list)):
        if not isinstance(row, dict) or not {"sample_data_token", "filename"}.issubset(row):
            raise DataError(path, f"row {number}", row, "sample_data_token and filename")
        resolve(tables.root, row["filename"], path, f"filename of row {number}")
        files[row["sample_data_token"]] = row["filename"]
    meaning = np.full(256, _LEFT_OUT, np.uint8)
    for row in tables.rows["category"]:
        if "index" not in row:
            where = f"index of {row['name']}"
            raise DataError(tables.path("category"), where, "none", "nuScenes-lidarseg's number of each category")
        if row["name"] not in LIDARSEG_CATEGORIES:
            raise DataError(tables.path("category"), "name", row["name"], f"one of {', '.join(LIDARSEG_CATEGORIES)}")
        if row["name"] not in _NOT_SOLID:
            meaning[row["index"]] = OCC3D.index(LIDARSEG_CATEGORIES[row["name"]])
    return files, meaning


def _tracks(tables: NuScenesTables, time_of_sample: dict[int, int]) -> dict[int, list[Track]]:
    """Annotated objects of each scene that has any; annotations are of the time of their keyframe's sweep."""
    sample = tables.follow("sample_annotation", "sample_token", "sample")
    instance = tables.follow("sample_annotation", "instance_token", "instance")
    scene = tables.follow("sample", "scene_token", "scene")
    T = tables.transforms("sample_annotation")
    size = tables.numbers("sample_annotation", "size", 3)[:, [1, 0, 2]]
    boxes = np.column_stack([T[:, :3, 3], size, np.arctan2(T[:, 1, 0], T[:, 0, 0])])
    time_us = np.array([time_of_sample.get(i, tables.rows["sample"][i]["timestamp"]) for i in sample], np.int64)
    label = labels_of_instances(tables)
    order = np.lexsort((time_us, instance))
    found: dict[int, list[Track]] = {}
    for rows in np.split(order, np.flatnonzero(np.diff(instance[order])) + 1):
        if len(rows):
            track = Track(int(label[instance[rows[0]]]), time_us[rows], boxes[rows])
            found.setdefault(int(scene[sample[rows[0]]]), []).append(track)
    return found
