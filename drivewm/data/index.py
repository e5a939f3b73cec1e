"""The index: what a data set's tables say about its frames and sweeps, as memory-mapped columns.

Built once from the tables (seconds to a minute), opened in milliseconds, shared between worker processes by the
operating system. A folder with one .npy file a column and `schema.json`; `docs/data_format.md` documents it.
"""

from __future__ import annotations

import hashlib
import math
import mmap
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from drivewm.data.errors import DataError, DatasetExistsError, MissingFileError, StaleIndexError
from drivewm.data.files import read_json, read_occupancy, resolve
from drivewm.data.index_columns import COLUMNS, IMAGE_COLUMNS
from drivewm.geometry import VoxelGrid
from drivewm.host import replace_folder, write_json

SCHEMA_VERSION = 3
_NPY_PREFIX = 10
"""Bytes before the header of a .npy file: magic, version, length of the header."""


@dataclass(frozen=True)
class Index:
    """An open index.

    Attributes:
        folder: where it lies.
        data_root: where the data set lies that it describes.
        version: folder of nuScenes' tables; the data set's name where it has none.
        sweep_format: of the LiDAR files, one of `sweeps.SWEEP_FORMATS`.
        tables: glob patterns below the data root of the files that the index depends on.
        grid: the data set's voxel grid; None where it has no occupancy.
        split_names: names that `scene_in_split`'s columns stand for.
        columns: `COLUMNS` and, of a data set with cameras, `IMAGE_COLUMNS`, memory-mapped.
        occupancy: `(F, X, Y, Z)` uint8, all labels decoded, memory-mapped; None where they were not cached.
        visible: `(F, ceil(X Y Z / 8))` uint8, the bits of `mask_lidar`; None likewise.
    """

    folder: Path
    data_root: Path
    version: str
    sweep_format: str
    tables: tuple[str, ...]
    grid: VoxelGrid | None
    split_names: tuple[str, ...]
    columns: dict[str, np.ndarray] = field(repr=False)
    occupancy: np.ndarray | None = field(repr=False)
    visible: np.ndarray | None = field(repr=False)

    def __reduce__(self):  # a worker maps the files itself instead of being sent their contents
        return Index.open, (self.folder, self.data_root)

    def __getitem__(self, column: str) -> np.ndarray:
        return self.columns[column]

    @property
    def num_frames(self) -> int:
        """Number of keyframes."""
        return len(self["frame_token"])

    @property
    def num_scenes(self) -> int:
        """Number of scenes."""
        return len(self["scene_name"])

    @property
    def has_images(self) -> bool:
        """Does the data set have cameras?"""
        return "frame_image_ptr" in self.columns

    def scenes_of(self, split: str) -> np.ndarray:
        """Positions of the scenes of a split. Raises DataError for an unknown split."""
        if split not in self.split_names:
            raise DataError(self.folder / "schema.json", "split", repr(split), f"one of {', '.join(self.split_names)}")
        return np.flatnonzero(self["scene_in_split"][:, self.split_names.index(split)])

    def path(self, row: int, column: str) -> Path:
        """The file that a column of file names has in a row. Raises UnsafePathError."""
        return resolve(self.data_root, self[column][row].decode(), self.folder / f"{column}.npy", column)

    def labels(self, frames: slice, visible_to: str | None = "lidar") -> tuple[np.ndarray, np.ndarray | None]:
        """Occupancy `(T, X, Y, Z)` uint8 of keyframes and, bool of the same shape, which voxels LiDAR or cameras see.

        Args:
            frames: which keyframes.
            visible_to: lidar, camera, or None for no mask. That of cameras is not cached: labels are unpacked for it.

        Raises DataError where there is none, or a file of it is broken.
        """
        if self.occupancy is None or visible_to == "camera":
            paths = [self.path(n, "frame_occupancy_file") for n in range(*frames.indices(self.num_frames))]
            loaded = [read_occupancy(path, self.grid, f"mask_{visible_to or 'lidar'}") for path in paths]
            return np.stack([s for s, _ in loaded]), np.stack([v for _, v in loaded]) if visible_to else None
        semantics = np.array(self.occupancy[frames])
        if visible_to is None:
            return semantics, None
        bits = np.unpackbits(self.visible[frames], axis=1, count=int(np.prod(self.grid.shape)))
        return semantics, bits.reshape(semantics.shape).astype(bool)

    @classmethod
    def open(cls, folder: str | Path, data_root: str | Path | None = None) -> Index:
        """Opens an index, once it is clear that it is of this schema and of the tables as they are now.

        Args:
            folder: written by `write`.
            data_root: where the data set is, if it moved apart from its index.

        Raises:
            MissingFileError, StaleIndexError, DataError.
        """
        folder = Path(folder)
        path = folder / "schema.json"
        if not folder.is_dir():
            raise MissingFileError(folder, "index", "nothing", "an index folder", "tools/create_index.py makes one")
        schema = read_json(path, dict)
        if schema.get("schema_version") != SCHEMA_VERSION:
            raise StaleIndexError(
                path,
                "schema_version",
                schema.get("schema_version"),
                SCHEMA_VERSION,
                "Build it again: tools/create_index.py",
            )
        root = Path(data_root) if data_root is not None else Path(os.path.normpath(folder / schema["data_root"]))
        changed = _changed(root, schema)
        if changed:
            raise StaleIndexError(
                root,
                "tables",
                f"{', '.join(changed)} changed or missing since the index was built",
                "the tables of then",
                f"Build {folder} again: tools/create_index.py --overwrite",
            )
        names = [*COLUMNS, *(IMAGE_COLUMNS if "frame_image_ptr" in schema["columns"] else ())]
        columns = {name: _load(folder, name, schema["columns"]) for name in names}
        cached = {
            name: _load(folder, name, schema["columns"]) if name in schema["columns"] else None
            for name in ("occupancy", "visible")
        }
        grid = (
            None if schema["grid"] is None else VoxelGrid(tuple(schema["grid"]["range_m"]), schema["grid"]["voxel_m"])
        )
        described = schema["dataset_version"], schema["sweep_format"], tuple(schema["tables"])
        return cls(folder, root, *described, grid, tuple(schema["splits"]), columns, **cached)


def _load(folder: Path, name: str, shapes: dict[str, dict]) -> np.ndarray:
    path = folder / f"{name}.npy"
    try:
        return _mapped(path, **shapes[name])
    except ValueError:  # np.load can say what is wrong with it
        pass
    except FileNotFoundError:
        raise MissingFileError(path, "column", "nothing", "a column of the index") from None
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise DataError(path, "column", f"a broken file ({error})", "a .npy array") from None
    found = {"dtype": array.dtype.str, "shape": list(array.shape)}
    if found != shapes[name]:
        raise DataError(path, "column", found, f"{shapes[name]}, as schema.json says")
    return array


def _mapped(path: Path, dtype: str, shape: list[int]) -> np.ndarray:
    """The .npy file `path`, memory-mapped read-only; ValueError if it is not of this type and shape.

    np.load finds out what a file holds, which takes ten times as long; here it is known.
    """
    header = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {tuple(shape)}, }}".encode()
    with open(path, "rb") as file:
        start = file.read(_NPY_PREFIX + len(header))
        offset = _NPY_PREFIX + int.from_bytes(start[8:_NPY_PREFIX], "little")
        size = os.fstat(file.fileno()).st_size
        if start[:8] != b"\x93NUMPY\x01\x00" or start[_NPY_PREFIX:] != header:
            raise ValueError(f"{path} is not a .npy array of {dtype}, {shape}")
        if size != offset + math.prod(shape) * np.dtype(dtype).itemsize:
            raise ValueError(f"{path} has {size} bytes")
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return np.ndarray(tuple(shape), dtype, mapped, offset)


def _changed(root: Path, schema: dict) -> list[str]:
    """Tables that differ from those which the index was built of.

    A table of the same size, written at the same time, is the same; only of the others is a digest taken.
    """
    then, stamps = schema["fingerprint"], schema.get("stamps", {})
    if stamps and stamps == _stamps(root, schema["tables"]):
        return []
    now = fingerprint(root, schema["tables"])
    return sorted(name for name in {*now, *then} if now.get(name) != then.get(name))


def _stamps(root: Path, tables: Iterable[str]) -> dict[str, list[int]]:
    """Size and time of change [ns] of the files that an index depends on."""
    states = {name: path.stat() for name, path in _find(root, tables).items()}
    return {name: [state.st_size, state.st_mtime_ns] for name, state in states.items()}


def _find(root: Path, tables: Iterable[str]) -> dict[str, Path]:
    """The files that an index depends on, by their names below the data root."""
    paths = [path for pattern in tables for path in sorted(root.glob(pattern)) if path.is_file()]
    return {path.relative_to(root).as_posix(): path for path in paths}


def fingerprint(root: str | Path, tables: Iterable[str]) -> dict[str, str]:
    """What an index depends on: sizes of the files, and digests of the small ones (a few ms in all).

    Args:
        root: of the data set.
        tables: glob patterns below it.
    """
    found = {}
    for name, path in _find(Path(root), tables).items():
        size = path.stat().st_size
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if size <= 4_000_000 else ""
        found[name] = f"{size} {digest}".strip()
    return found


class IndexWriter:
    """Writes an index into a temporary folder that takes its name when all is there.

    Use as a context manager: `column` and `array` fill it, a clean exit publishes it, an exception leaves nothing.

    Args:
        folder: the index to be. An index that is there already is replaced when `overwrite` is set.
    """

    def __init__(self, folder: str | Path, overwrite: bool = False) -> None:
        self.folder = Path(folder)
        if self.folder.exists() and not overwrite:
            raise DatasetExistsError(folder, "index", "one that exists", "a new folder, or --overwrite")
        if self.folder.exists() and not (self.folder / "schema.json").exists() and any(self.folder.iterdir()):
            raise DataError(folder, "index", "a folder that is no index", "an index to overwrite")
        self._building = self.folder.with_name(self.folder.name + ".partial")
        self._shapes: dict[str, dict] = {}

    def __enter__(self) -> IndexWriter:
        shutil.rmtree(self._building, ignore_errors=True)
        self._building.mkdir(parents=True)
        return self

    def column(self, name: str, values) -> None:
        """Writes one of `COLUMNS` or `IMAGE_COLUMNS`."""
        dtype, tail, _ = (COLUMNS | IMAGE_COLUMNS)[name]
        array = np.asarray([v.encode() for v in values], dtype="S") if dtype == "S" else np.asarray(values, dtype)
        if dtype == "S" and not len(array):
            array = np.zeros(0, "S1")
        array = np.ascontiguousarray(
            array.reshape(len(array), *tail) if array.size else array.reshape(0, *(abs(n) for n in tail))
        )
        np.save(self._building / f"{name}.npy", array, allow_pickle=False)
        self._shapes[name] = {"dtype": array.dtype.str, "shape": list(array.shape)}

    def array(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """A uint8 array on disk to be filled in place, for `occupancy` and `visible`."""
        self._shapes[name] = {"dtype": np.dtype(np.uint8).str, "shape": list(shape)}
        return np.lib.format.open_memmap(self._building / f"{name}.npy", "w+", np.uint8, shape)

    def finish(
        self,
        data_root: Path,
        version: str,
        sweep_format: str,
        tables: Sequence[str],
        grid: VoxelGrid | None,
        splits: list[str],
    ) -> None:
        """Writes schema.json; what the arguments mean stands in `Index`."""
        schema = {
            "schema_version": SCHEMA_VERSION,
            "data_root": Path(os.path.relpath(data_root, self.folder)).as_posix(),
            "dataset_version": version,
            "sweep_format": sweep_format,
            "tables": list(tables),
            "grid": None if grid is None else {"range_m": list(grid.range_m), "voxel_m": grid.voxel_m},
            "splits": splits,
            "fingerprint": fingerprint(data_root, tables),
            "stamps": _stamps(data_root, tables),
            "columns": self._shapes,
        }
        missing = set(COLUMNS).difference(self._shapes)
        if missing:
            raise ValueError(f"index columns were not written: {sorted(missing)}")
        write_json(self._building / "schema.json", schema, indent=1)

    def __exit__(self, error_type, error, traceback) -> None:
        if error_type is not None:
            shutil.rmtree(self._building, ignore_errors=True)
            return
        replace_folder(self._building, self.folder)
