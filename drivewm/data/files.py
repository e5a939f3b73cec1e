"""Reading and writing single files of a dataset: checked on the way in, complete or absent on the way out."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np

from drivewm.data.errors import DataError, MissingFileError, UnsafePathError
from drivewm.geometry import VoxelGrid
from drivewm.host import replacing, write_bytes
from drivewm.structures import OCC3D

LIDAR_CHANNELS = 5
"""x, y, z [m, LiDAR frame], intensity, ring: float32 each, as in nuScenes' .pcd.bin."""


def resolve(root: str | Path, relative: str, file: str | Path, field: str) -> Path:
    """`root / relative`, refused where the name leaves the root (links inside of the root are the user's own).

    `file` and `field` say where the name was read. Raises UnsafePathError.
    """
    path = PurePosixPath(relative)
    if not relative or path.is_absolute() or ".." in path.parts or "\\" in relative or "\0" in relative:
        raise UnsafePathError(file, field, repr(relative), "a relative path inside of the data root, without '..'")
    return Path(root, *path.parts)


def read_json(path: str | Path, kind: type) -> list | dict:
    """Reads JSON whose top level is a `kind` (list or dict)."""
    try:
        value = json.loads(Path(path).read_bytes())
    except FileNotFoundError:
        raise MissingFileError(path, "file", "nothing", "a JSON file") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(path, "content", f"invalid JSON ({error})", f"a JSON {kind.__name__}") from None
    if not isinstance(value, kind):
        raise DataError(path, "top level", type(value).__name__, f"a JSON {kind.__name__}")
    return value


def write_lidar(path: str | Path, points: np.ndarray) -> None:
    """Writes points `(N, 5)` (x, y, z [m, LiDAR frame], intensity, ring) as nuScenes' .pcd.bin."""
    if points.ndim != 2 or points.shape[1] != LIDAR_CHANNELS:
        raise ValueError(f"points must have shape (N, {LIDAR_CHANNELS}), got {points.shape}")
    write_bytes(path, np.ascontiguousarray(points, "<f4").tobytes())


def read_lidar(path: str | Path, num_bytes: int | None = None, channels: int = LIDAR_CHANNELS) -> np.ndarray:
    """Reads a .pcd.bin, or a .bin with fewer channels.

    Args:
        path: the file.
        num_bytes: its size when the index was built, to tell a file that was cut short since; None: not known.
        channels: float32 values a point.

    Returns:
        `(N, channels)` float32; of nuScenes x, y, z [m, LiDAR frame], intensity, ring. An empty sweep is valid.

    Raises:
        MissingFileError, DataError: file absent, cut short, or with values that are not finite.
    """
    try:
        raw = np.fromfile(path, "<f4") if os.path.getsize(path) % 4 == 0 else None
    except FileNotFoundError:
        raise MissingFileError(path, "file", "nothing", "a LiDAR sweep") from None
    size = os.path.getsize(path)
    if raw is None or size % (4 * channels):
        raise DataError(path, "size", f"{size} bytes", f"a multiple of {4 * channels} bytes (float32 x {channels})")
    if num_bytes is not None and size != num_bytes:
        raise DataError(path, "size", f"{size} bytes", f"{num_bytes} bytes, as when the index was built")
    points = raw.reshape(-1, channels)
    if not np.isfinite(points).all():
        bad = int((~np.isfinite(points).all(axis=1)).sum())
        raise DataError(path, "points", f"{bad} of {len(points)} points with NaN or infinite values", "finite values")
    return points


def write_lidarseg(path: str | Path, numbers: np.ndarray) -> None:
    """Writes category numbers of points `(N,)` as nuScenes-lidarseg's .bin, a byte each."""
    write_bytes(path, np.asarray(numbers, np.uint8).tobytes())


def write_occupancy(
    path: str | Path, semantics: np.ndarray, mask_lidar: np.ndarray, mask_camera: np.ndarray | None = None
) -> None:
    """Writes Occ3D's labels.npz: `semantics` and which voxels LiDAR and cameras see, each `(X, Y, Z)`.

    Without cameras, Occ3D's layout still has a `mask_camera`: it equals `mask_lidar` then.
    """
    masks = {"mask_lidar": mask_lidar, "mask_camera": mask_lidar if mask_camera is None else mask_camera}
    masks = {name: mask.astype(np.uint8) for name, mask in masks.items()}
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, semantics=semantics.astype(np.uint8), **masks)


def read_occupancy(path: str | Path, grid: VoxelGrid, mask: str = "mask_lidar") -> tuple[np.ndarray, np.ndarray]:
    """Reads Occ3D's labels.npz: semantics `(X, Y, Z)` uint8 of `OCC3D` classes, and a mask as `(X, Y, Z)` bool.

    Args:
        path: the file.
        grid: of the labels.
        mask: mask_lidar or mask_camera. The other one need not be there.

    Raises:
        MissingFileError, DataError: file absent or broken; an array missing, of another shape than the grid's, of
            another dtype than unsigned bytes, or with a class that `OCC3D` does not have.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            loaded = {}
            for name in ("semantics", mask):
                if name not in arrays.files:
                    raise DataError(path, name, f"only {sorted(arrays.files)}", "an array of that name")
                loaded[name] = arrays[name]
    except FileNotFoundError:
        raise MissingFileError(path, "file", "nothing", "an occupancy label (labels.npz)") from None
    except (zipfile.BadZipFile, EOFError, OSError, zipfile.zlib.error) as error:
        raise DataError(path, "content", f"a broken archive ({error})", "an npz archive") from None
    for name, array in loaded.items():
        if array.shape != grid.shape:
            raise DataError(path, name, f"shape {array.shape}", f"{grid.shape}, the dataset's grid")
        if array.dtype != np.uint8 and not (name == mask and array.dtype == bool):
            raise DataError(path, name, f"dtype {array.dtype}", "uint8")
    semantics = loaded["semantics"]
    if semantics.max() >= OCC3D.num_classes:
        raise DataError(path, "semantics", f"class {semantics.max()}", f"classes 0 to {OCC3D.num_classes - 1}")
    return semantics, loaded[mask].astype(bool)
