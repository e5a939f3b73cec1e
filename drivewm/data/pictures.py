"""Camera pictures as files: colours as JPEG, depth and classes as PNG. Equal pictures give equal bytes."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from drivewm.host import write_bytes

DEPTH_STEP_M = 0.01
"""Unit of depth images; they hold 0 where nothing is met, and go up to 655.35 m."""
_JPEG = {"format": "JPEG", "quality": 90, "subsampling": "4:2:0", "optimize": False}
_PNG = {"format": "PNG", "compress_level": 4}


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


def _write(path: str | Path, picture: np.ndarray, settings: dict) -> None:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, **settings)
    write_bytes(path, buffer.getvalue())
