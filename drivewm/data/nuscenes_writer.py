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
from drivewm.data.files import read_json, write_lidar, write_occupancy
from drivewm.data.nuscenes_rows import make_tables, token
from drivewm.data.nuscenes_tables import INCOMPLETE_SUFFIX
from drivewm.data.records import SceneRecord
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

    def write_frame(
        self, scene: str, number: int, timestamp_us: int, points: np.ndarray, semantics: np.ndarray, visible: np.ndarray
    ) -> str:
        """Writes a keyframe's sweep `(N, 5)` and labels `(X, Y, Z)`. Returns the sweep's file name for the record."""
        lidar_file = f"samples/LIDAR_TOP/{scene}__LIDAR_TOP__{timestamp_us}.pcd.bin"
        write_lidar(self.folder / lidar_file, points)
        sample = token(self.key, scene, "sample", number)
        write_occupancy(self.folder / "gts" / scene / sample / "labels.npz", semantics, visible)
        return lidar_file

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
