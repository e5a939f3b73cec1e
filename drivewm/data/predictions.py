"""Occupancy forecasts as files, so that any model's can be scored without running it.

A folder with one `SAMPLE_TOKEN.npz` a window, named by its frame t0, and `predictions.json`, which is written last: a
folder without it is not complete. docs/data_format.md documents both.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from drivewm.data.errors import DataError, MissingFileError
from drivewm.data.files import read_json, resolve
from drivewm.geometry import VoxelGrid
from drivewm.host import replacing, write_bytes
from drivewm.structures import OCC3D

DESCRIPTION = "predictions.json"
GIVEN = "given"
"""Ego pose of forecasts that were made under the driven ego motion."""


@dataclass(frozen=True)
class PredictionSet:
    """What `predictions.json` says of a folder.

    Attributes:
        folder: where the files are.
        name: of the model, its row in the tables.
        ego_pose: under whose ego motion it forecasts: "given" (the driven one), or another word, such as "planner";
            each file then holds it.
        num_history: keyframes that the model observed; the copies beside it see as many.
        num_future: F, keyframes in each file, 0.5 s apart.
        grid: where the voxels are.
        sample_tokens: of frame t0 of each window.
    """

    folder: Path
    name: str
    ego_pose: str
    num_history: int
    num_future: int
    grid: VoxelGrid
    sample_tokens: tuple[str, ...]

    @classmethod
    def open(cls, folder: str | Path) -> PredictionSet:
        """Reads `predictions.json`. Raises MissingFileError, DataError."""
        path = Path(folder) / DESCRIPTION
        found = read_json(path, dict)
        kinds = {"name": str, "ego_pose": str, "num_history": int, "num_future": int, "grid": dict, "windows": list}
        for field, kind in kinds.items():
            value = found.get(field)
            if not isinstance(value, kind) or (kind is not int and not value) or (kind is int and value < 1):
                raise DataError(path, field, repr(value), f"a {kind.__name__} that is not empty (or 0)")
        tokens = found["windows"]
        if not all(isinstance(token, str) for token in tokens) or len(set(tokens)) != len(tokens):
            raise DataError(path, "windows", "tokens that are no text or come twice", "each window's sample_token once")
        try:
            grid = VoxelGrid(tuple(found["grid"]["range_m"]), found["grid"]["voxel_m"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(path, "grid", f"{found['grid']} ({error})", "range_m (6 numbers) and voxel_m") from None
        sizes = (found["num_history"], found["num_future"])
        return cls(Path(folder), found["name"], found["ego_pose"], *sizes, grid, tuple(tokens))

    def write(self) -> Path:
        """Writes `predictions.json`, once all files are there."""
        content = {
            "name": self.name,
            "ego_pose": self.ego_pose,
            "num_history": self.num_history,
            "num_future": self.num_future,
            "grid": {"range_m": list(self.grid.range_m), "voxel_m": self.grid.voxel_m},
            "windows": list(self.sample_tokens),
        }
        return write_bytes(self.folder / DESCRIPTION, (json.dumps(content, indent=1) + "\n").encode())

    def read(self, sample_token: str) -> dict[str, np.ndarray]:
        """Arrays of one window, as `write_prediction` takes them.

        Raises:
            MissingFileError, UnsafePathError, DataError: file absent or broken, an array missing, of another shape or
                type, or with a class that `OCC3D` does not have.
        """
        path = self.path(sample_token)
        try:
            with np.load(path, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
        except FileNotFoundError:
            raise MissingFileError(
                path, "file", "nothing", f"the window {sample_token}, which {DESCRIPTION} lists"
            ) from None
        except (zipfile.BadZipFile, zipfile.zlib.error, EOFError, OSError, ValueError) as error:
            raise DataError(path, "content", f"a broken archive ({error})", "an npz archive of plain arrays") from None
        frames, voxels = self.num_future, self.grid.shape
        shapes = {
            "labels": ((frames, *voxels), "u"),
            "times_s": ((frames,), "f"),
            "T_t0_ego": ((frames, 4, 4), "f"),
            "probabilities": ((frames, OCC3D.num_classes, *voxels), "f"),
            "seconds": ((), "f"),
        }
        needed = ["labels", "times_s"] + (["T_t0_ego"] if self.ego_pose != GIVEN else [])
        for name in (*needed, *arrays):
            if name not in arrays:
                raise DataError(path, name, f"only {sorted(arrays)}", "an array of that name")
            if name not in shapes or (name == "T_t0_ego" and self.ego_pose == GIVEN):
                wanted = f"one of {', '.join(shapes)}; T_t0_ego only where ego_pose is not {GIVEN!r}"
                raise DataError(path, name, "an array of that name", wanted)
            shape, kind = shapes[name]
            if arrays[name].shape != shape or arrays[name].dtype.kind != kind:
                expected = f"{'unsigned bytes' if kind == 'u' else 'floats'} of {shape}, as {DESCRIPTION} says"
                raise DataError(path, name, f"{arrays[name].dtype} of shape {arrays[name].shape}", expected)
            if name in ("times_s", "T_t0_ego", "seconds") and not np.isfinite(arrays[name]).all():
                raise DataError(path, name, "NaN or infinite values", "finite values")
        labels = arrays["labels"]
        if labels.dtype != np.uint8 or labels.max() >= OCC3D.num_classes:
            found = f"{labels.dtype} up to {labels.max()}"
            raise DataError(path, "labels", found, f"uint8 classes 0 to {OCC3D.num_classes - 1}")
        return arrays

    def path(self, sample_token: str) -> Path:
        """File of a window; UnsafePathError where its name leaves the folder."""
        return resolve(self.folder, f"{sample_token}.npz", self.folder / DESCRIPTION, "windows")


def write_prediction(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes the file of one window, whole or not at all.

    Args:
        path: `PredictionSet.path`.
        arrays: `labels (F, X, Y, Z)` uint8 classes, each frame in its own ego frame; `times_s (F,)` [s] after t0;
            `T_t0_ego (F, 4, 4)` [m], the ego motion they were made under, where that is not the driven one; optional
            `probabilities (F, C, X, Y, Z)` float16 and `seconds ()`, what the forecast took.
    """
    with replacing(path) as temporary:
        np.savez_compressed(temporary, **arrays)
