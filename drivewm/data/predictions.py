"""Forecasts of occupancy or point clouds as files, so that any model's can be scored without running it.

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
from drivewm.data.recording import check_pointer
from drivewm.geometry import VoxelGrid
from drivewm.host import replacing, write_bytes
from drivewm.structures import OCC3D

DESCRIPTION = "predictions.json"
GIVEN = "given"
"""Ego pose of forecasts that were made under the driven ego motion."""
MODALITIES = ("occupancy", "lidar")
_TYPES = {"u": "unsigned bytes", "iu": "integers", "f": "floats"}


@dataclass(frozen=True)
class PredictionSet:
    """What `predictions.json` says of a folder.

    Attributes:
        folder: where the files are.
        name: of the model, its row in the tables.
        ego_pose: under whose ego motion it forecasts: "given" (the driven one), or another word, such as "planner";
            each file then holds it.
        num_history: keyframes that the model observed; the copies beside it see as many.
        num_future: F, frames in each file.
        grid: where the voxels are; None: they are point clouds.
        sample_tokens: of frame t0 of each window.
        frame_step: a window's frames are so many frames of the data set apart, as of `DriveClips`.
    """

    folder: Path
    name: str
    ego_pose: str
    num_history: int
    num_future: int
    grid: VoxelGrid | None
    sample_tokens: tuple[str, ...]
    frame_step: int = 1

    @property
    def modality(self) -> str:
        """One of `MODALITIES`."""
        return "lidar" if self.grid is None else "occupancy"

    @classmethod
    def open(cls, folder: str | Path) -> PredictionSet:
        """Reads `predictions.json`. Raises MissingFileError, DataError."""
        path = Path(folder) / DESCRIPTION
        found = read_json(path, dict)
        found = {"modality": "occupancy", "frame_step": 1} | found
        if found["modality"] not in MODALITIES:
            raise DataError(path, "modality", repr(found["modality"]), f"one of {', '.join(MODALITIES)}")
        kinds = {"name": str, "ego_pose": str, "windows": list}
        kinds |= dict.fromkeys(("num_history", "num_future", "frame_step"), int)
        if found["modality"] == "occupancy":
            kinds["grid"] = dict
        elif found.get("ego_pose") != GIVEN:
            expected = f"{GIVEN!r}: point clouds are forecast under the driven ego motion"
            raise DataError(path, "ego_pose", repr(found.get("ego_pose")), expected)
        for field, kind in kinds.items():
            value = found.get(field)
            if not isinstance(value, kind) or (kind is not int and not value) or (kind is int and value < 1):
                raise DataError(path, field, repr(value), f"a {kind.__name__} that is not empty (or 0)")
        tokens = found["windows"]
        if not all(isinstance(token, str) for token in tokens) or len(set(tokens)) != len(tokens):
            raise DataError(path, "windows", "tokens that are no text or come twice", "each window's sample_token once")
        grid = _grid(path, found["grid"]) if "grid" in kinds else None
        sizes = (found["num_history"], found["num_future"])
        return cls(Path(folder), found["name"], found["ego_pose"], *sizes, grid, tuple(tokens), found["frame_step"])

    def write(self) -> Path:
        """Writes `predictions.json`, once all files are there."""
        content = {
            "name": self.name,
            "modality": self.modality,
            "ego_pose": self.ego_pose,
            "num_history": self.num_history,
            "num_future": self.num_future,
            "frame_step": self.frame_step,
            "windows": list(self.sample_tokens),
        }
        if self.grid is not None:
            content["grid"] = {"range_m": list(self.grid.range_m), "voxel_m": self.grid.voxel_m}
        return write_bytes(self.folder / DESCRIPTION, (json.dumps(content, indent=1) + "\n").encode())

    def read(self, sample_token: str) -> dict[str, np.ndarray]:
        """Arrays of one window, as `write_prediction` takes them.

        Raises:
            MissingFileError, UnsafePathError, DataError: file absent or broken, an array missing, of another shape or
                type, not finite, or with a class that `OCC3D` does not have.
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
        self._check(path, arrays)
        return arrays

    def _check(self, path: Path, arrays: Mapping[str, np.ndarray]) -> None:
        """Raises DataError, which names `path`, unless the arrays are those of a window."""
        shapes, needed = self._shapes()
        for name in (*needed, *arrays):
            if name not in arrays:
                raise DataError(path, name, f"only {sorted(arrays)}", "an array of that name")
            if name not in shapes:
                wanted = f"one of {', '.join(shapes)}; T_t0_ego only where ego_pose is not {GIVEN!r}"
                raise DataError(path, name, "an array of that name", wanted)
            (shape, kind), array = shapes[name], arrays[name]
            sizes = zip(shape, array.shape, strict=False)
            fits = array.ndim == len(shape) and all(isinstance(n, str) or n == m for n, m in sizes)
            if not fits or array.dtype.kind not in kind:
                expected = f"{_TYPES[kind]} of ({', '.join(map(str, shape))}), as {DESCRIPTION} says"
                raise DataError(path, name, f"{array.dtype} of shape {array.shape}", expected)
            if name in ("points", "times_s", "T_t0_ego", "seconds") and not np.isfinite(array).all():
                raise DataError(path, name, "NaN or infinite values", "finite values")
        if self.modality == "lidar":
            if arrays["points"].shape[1] not in (3, 4):
                raise DataError(path, "points", f"shape {arrays['points'].shape}", "(N, 3), or (N, 4) with intensity")
            check_pointer(path, arrays["frame_ptr"], len(arrays["points"]))
            return
        labels = arrays["labels"]
        if labels.dtype != np.uint8 or labels.max() >= OCC3D.num_classes:
            found = f"{labels.dtype} up to {labels.max()}"
            raise DataError(path, "labels", found, f"uint8 classes 0 to {OCC3D.num_classes - 1}")

    def _shapes(self) -> tuple[dict[str, tuple[tuple, str]], list[str]]:
        """Shape (a letter: any number) and kinds of type of each array that may be there; which ones must be."""
        frames = self.num_future
        shapes: dict[str, tuple[tuple, str]] = {"times_s": ((frames,), "f"), "seconds": ((), "f")}
        if self.modality == "lidar":
            shapes |= {"points": (("N", "C"), "f"), "frame_ptr": ((frames + 1,), "iu")}
            return shapes, ["points", "frame_ptr", "times_s"]
        voxels, needed = self.grid.shape, ["labels", "times_s"]
        shapes["labels"] = ((frames, *voxels), "u")
        shapes["probabilities"] = ((frames, OCC3D.num_classes, *voxels), "f")
        if self.ego_pose != GIVEN:
            shapes["T_t0_ego"] = ((frames, 4, 4), "f")
            needed.append("T_t0_ego")
        return shapes, needed

    def path(self, sample_token: str) -> Path:
        """File of a window; UnsafePathError where its name leaves the folder."""
        return resolve(self.folder, f"{sample_token}.npz", self.folder / DESCRIPTION, "windows")


def _grid(path: Path, found: dict) -> VoxelGrid:
    try:
        return VoxelGrid(tuple(found["range_m"]), found["voxel_m"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(path, "grid", f"{found} ({error})", "range_m (6 numbers) and voxel_m") from None


def write_prediction(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes the file of one window, whole or not at all.

    Args:
        path: `PredictionSet.path`.
        arrays: `times_s (F,)` [s] after t0 and, optional, `seconds ()`, what the forecast took.

            Of occupancy `labels (F, X, Y, Z)` uint8 classes, each frame in its own ego frame; `T_t0_ego (F, 4, 4)` [m],
            the ego motion they were made under, where that is not the driven one; optional
            `probabilities (F, C, X, Y, Z)` float16.

            Of point clouds `points (N, 3 or 4)` float [m], frame after frame, each in its own LiDAR frame, with
            intensity 0..255 as a fourth value if it is predicted; and `frame_ptr (F + 1,)` int: frame f has the points
            `ptr[f]` to `ptr[f + 1]`.
    """
    with replacing(path) as temporary:
        np.savez_compressed(temporary, **arrays)
