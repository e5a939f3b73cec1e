"""Camera pictures as files: colours as JPEG, depth and classes as PNG. Equal pictures are written as equal bytes."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
from PIL import Image

from drivewm.data.errors import DataError, MissingFileError
from drivewm.geometry.cameras import PictureCut
from drivewm.host import write_bytes

DEPTH_STEP_M = 0.01
"""Unit of depth images; they hold 0 where nothing is met, and go up to 655.35 m."""
_JPEG = {"format": "JPEG", "quality": 90, "subsampling": "4:2:0", "optimize": False}
_PNG = {"format": "PNG", "compress_level": 4}
_SPARE = 2
"""JPEGs are decoded at a half, quarter or eighth of their size where that is still so many times what is wanted."""


def write_jpeg(path: str | Path, rgb: np.ndarray) -> None:
    """Writes colours `(H, W, 3)` uint8."""
    _write(path, rgb, _JPEG)


def write_depth(path: str | Path, depth: np.ndarray) -> None:
    """Writes depth `(H, W)` [m] along the optical axis, inf for nothing, as a PNG of 16 bits in `DEPTH_STEP_M`."""
    met = np.isfinite(depth)
    units = np.clip(np.round(np.where(met, depth, 0.0) / DEPTH_STEP_M), 1, 65535)
    _write(path, np.where(met, units, 0).astype(np.uint16), _PNG)


def write_semantic(path: str | Path, semantic: np.ndarray) -> None:
    """Writes classes `(H, W)` uint8 of `OCC3D` as a PNG of 8 bits."""
    _write(path, semantic.astype(np.uint8), _PNG)


def read_picture(path: str | Path, cut: PictureCut) -> np.ndarray:
    """Reads colours `(H, W, 3)` uint8 of a JPEG or PNG, cut and scaled as `cut` says.

    Raises:
        MissingFileError, DataError: file absent, no complete JPEG or PNG, or of another size than `cut` is for.
    """
    try:
        with Image.open(path, formats=("JPEG", "PNG")) as picture:
            found = picture.size
            if found == cut.size:
                return _cut(picture, cut)
    except FileNotFoundError:
        raise MissingFileError(path, "file", "nothing", "a camera's image") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # PNGs raise SyntaxError
        raise DataError(path, "content", f"a broken image ({error})", "a complete JPEG or PNG") from None
    raise DataError(path, "size", "{} x {}".format(*found), "{} x {}, as the tables say".format(*cut.size))


def _cut(picture: Image.Image, cut: PictureCut) -> np.ndarray:
    wanted = tuple(math.ceil(_SPARE * cut.scale * n) for n in cut.size)
    drafted = picture.draft("RGB", wanted)
    shrunk = 1.0 if drafted is None else drafted[1][2] / cut.size[0]
    picture = picture.convert("RGB")
    if cut.size == cut.new_size:
        return np.array(picture)
    box = [shrunk * edge for edge in cut.box]
    box[2:] = (min(edge, limit) for edge, limit in zip(box[2:], picture.size, strict=True))  # else rounding oversteps
    return np.array(picture.resize(cut.new_size, Image.Resampling.BICUBIC, box=box))


def _write(path: str | Path, picture: np.ndarray, settings: dict) -> None:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, **settings)
    write_bytes(path, buffer.getvalue())
