"""Write a data set in nuScenes' format, so that it is there completely or not at all.

Everything grows in `OUT.incomplete`: each file is written under a temporary name and renamed, a scene's record comes
after its files and says that they are all there, the tables come last, and then the folder takes its name. A run that
is killed leaves `OUT.incomplete`; the same command finishes it.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np

from drivewm.data.errors import DataError, DatasetExistsError
from drivewm.data.files import read_json, write_lidar, write_lidarseg, write_occupancy
from drivewm.data.nuscenes_rows import make_tables
from drivewm.data.nuscenes_tables import INCOMPLETE_SUFFIX
from drivewm.data.pictures import write_depth, write_jpeg, write_semantic
from drivewm.data.records import LIDAR, SceneRecord
from drivewm.data.row_tokens import sample_data_token, token
from drivewm.host import write_json

_RECORDS = "records"


class NuScenesWriter:
    """A data set in the making.

    Args:
        out: the folder to be.
        description: content of dataset.json: `grid`, and whatever the data depends on (seed, options).
        version: folder of the tables.
        key: goes into every token.
        overwrite: replace `out`, or an unfinished generation with another description.

    Raises:
        DatasetExistsError: without `overwrite`, when one of them is there.
        DataError: `out` is to be overwritten but is no data set of ours.
    """

    def __init__(self, out: str | Path, description: dict, version: str, key: str, overwrite: bool = False) -> None:
        self.out, self.description, self.version, self.key = Path(os.path.abspath(out)), description, version, key
        self.folder = self.out.with_name(self.out.name + INCOMPLETE_SUFFIX)
        if self.out.exists() and not (self.out.is_dir() and not any(self.out.iterdir())):
            if not overwrite:
                raise DatasetExistsError(out, "output", "existing data", "a new folder, or --overwrite to replace it")
            if not (self.out / "dataset.json").is_file():
                raise DataError(
                    out, "output", "a folder without dataset.json", "a data set written by this tool, to overwrite it"
                )
        if self.folder.exists() and not self._continues():
            if not overwrite:
                raise DatasetExistsError(
                    self.folder,
                    "output",
                    "an unfinished generation with other options",
                    "the same options, or --overwrite",
                )
            shutil.rmtree(self.folder)
        write_json(self.folder / "dataset.json", description, indent=1)

    def _continues(self) -> bool:
        path = self.folder / "dataset.json"
        return path.exists() and read_json(path, dict) == self.description

    def has_scene(self, name: str) -> bool:
        """Was this scene finished, by this run or by one that was killed?"""
        return (self.folder / _RECORDS / f"{name}.json").exists()

    def write_sweep(
        self,
        scene: str,
        timestamp_us: int,
        points: np.ndarray,
        is_key_frame: bool = True,
        numbers: np.ndarray | None = None,
    ) -> dict[str, str]:
        """Writes a LiDAR sweep `(N, 5)`, and the category numbers `(N,)` of its points if given.

        Returns:
            fields of its `SensorData`: `file`, `lidarseg_file`.
        """
        file = f"{self._sensor_file(scene, LIDAR, timestamp_us, is_key_frame)}.pcd.bin"
        write_lidar(self.folder / file, points)
        lidarseg_file = ""
        if numbers is not None:
            own = sample_data_token(self.key, scene, LIDAR, timestamp_us)
            lidarseg_file = f"lidarseg/{self.version}/{own}_lidarseg.bin"
            write_lidarseg(self.folder / lidarseg_file, numbers)
        return {"file": file, "lidarseg_file": lidarseg_file}

    def write_image(
        self,
        scene: str,
        channel: str,
        timestamp_us: int,
        rgb: np.ndarray,
        depth: np.ndarray | None = None,
        semantic: np.ndarray | None = None,
    ) -> dict[str, str]:
        """Writes a keyframe's picture of a camera `(H, W, 3)`, with its depth [m] and classes `(H, W)` if given.

        Returns:
            fields of its `SensorData`: `file`.
        """
        stem = self._sensor_file(scene, channel, timestamp_us, True)
        write_jpeg(self.folder / f"{stem}.jpg", rgb)
        if depth is not None:
            write_depth(self.folder / f"{stem.replace('samples/', 'depth/', 1)}.png", depth)
        if semantic is not None:
            write_semantic(self.folder / f"{stem.replace('samples/', 'semantic/', 1)}.png", semantic)
        return {"file": f"{stem}.jpg"}

    def write_labels(
        self,
        scene: str,
        number: int,
        semantics: np.ndarray,
        mask_lidar: np.ndarray,
        mask_camera: np.ndarray | None = None,
    ) -> None:
        """Writes a keyframe's occupancy labels `(X, Y, Z)` and which voxels its LiDAR and cameras see."""
        sample = token(self.key, scene, "sample", number)
        write_occupancy(self.folder / "gts" / scene / sample / "labels.npz", semantics, mask_lidar, mask_camera)

    @staticmethod
    def _sensor_file(scene: str, channel: str, timestamp_us: int, is_key_frame: bool) -> str:
        """Name of a sensor's file, without its suffix."""
        folder = "samples" if is_key_frame else "sweeps"
        return f"{folder}/{channel}/{scene}__{channel}__{timestamp_us}"

    def write_can_bus(self, scene: str, messages: dict[str, list | dict]) -> None:
        """Writes a scene's CAN bus messages, a file each."""
        for name, content in messages.items():
            write_json(self.folder / "can_bus" / f"{scene}_{name}.json", content)

    def finish_scene(self, record: SceneRecord) -> None:
        """Marks a scene as complete."""
        if record.route:
            write_json(self.folder / "can_bus" / f"{record.name}_route.json", record.route)
        write_json(self.folder / _RECORDS / f"{record.name}.json", record.to_json())

    def finish(self, scene_names: list[str], map_files: dict[str, str]) -> None:
        """Writes the tables of these scenes and gives the data set its name."""
        records = [
            SceneRecord.from_json(read_json(self.folder / _RECORDS / f"{name}.json", dict)) for name in scene_names
        ]
        splits: dict[str, list[str]] = {"train": [], "val": []}
        for record in records:
            splits.setdefault(record.split, []).append(record.name)
        write_json(self.folder / "splits.json", splits, indent=1)
        for name, rows in make_tables(records, self.key, map_files).items():
            write_json(self.folder / self.version / f"{name}.json", rows, indent=0)
        shutil.rmtree(self.folder / _RECORDS)
        if self.out.exists():
            retired = self.out.with_name(self.out.name + ".retired")
            shutil.rmtree(retired, ignore_errors=True)
            os.replace(self.out, retired)
            os.replace(self.folder, self.out)
            shutil.rmtree(retired)
        else:
            os.replace(self.folder, self.out)
