"""nuScenes' basemap masks: where one may drive, as a PNG of 0.1 m pixels."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from drivewm.host import write_bytes

PIXEL_M = 0.1
"""The devkit's `MapMask` takes this as given."""


def write_mask(path: str | Path, drivable: np.ndarray) -> None:
    """Writes `drivable (W, H)` bool, indexed [x, y] in cells of `PIXEL_M` from global (0, 0), as a one-channel PNG.

    In the picture x runs to the right and y upwards; drivable is 255, as the devkit expects.
    """
    picture = Image.fromarray(np.multiply(drivable.T[::-1], np.uint8(255), dtype=np.uint8, order="C"))
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", compress_level=1)  # a town at 0.1 m is 30 million pixels
    write_bytes(path, buffer.getvalue())
