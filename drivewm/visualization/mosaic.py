"""The views of several cameras as one picture, each with its name."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw

from drivewm.visualization.canvas import INK, font
from drivewm.visualization.panels import PAPER

# As nuScenes arranges its cameras: each row from the left of the ego to its right.
_NUSCENES = (("CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT"), ("CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT"))
_GAP = 4


def mosaic(views: Mapping[str, np.ndarray], captions: Mapping[str, str] | None = None) -> np.ndarray:
    """Views of one size as one picture: nuScenes' six as they stand around the car, others three in a row.

    Args:
        views: name of a camera -> `(H, W, 3)` uint8.
        captions: of each camera, to be written behind its name.

    Returns:
        `(H, W, 3)` uint8.

    Raises:
        ValueError: there are no views, or they differ in size.
    """
    sizes = {view.shape for view in views.values()}
    if len(sizes) != 1:
        raise ValueError(f"a mosaic needs views of one size, got {sorted(sizes) or 'no view'}")
    names = list(views)
    rows = [names[i : i + 3] for i in range(0, len(names), 3)]
    if set(names) == {name for row in _NUSCENES for name in row}:
        rows = _NUSCENES
    height, width = sizes.pop()[:2]
    columns = max(map(len, rows))
    size = (columns * (width + _GAP) - _GAP, len(rows) * (height + _GAP) - _GAP)
    picture = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(picture, "RGBA")
    for r, row in enumerate(rows):
        for c, name in enumerate(row):
            corner = (c * (width + _GAP), r * (height + _GAP))
            picture.paste(Image.fromarray(views[name]), corner)
            text = name.removeprefix("CAM_").replace("_", " ").lower()
            if captions:
                text = f"{text}  {captions[name]}".rstrip()
            at = (corner[0] + 8, corner[1] + 6)
            box = draw.textbbox(at, text, font=font(12))
            draw.rounded_rectangle((box[0] - 4, box[1] - 3, box[2] + 4, box[3] + 3), 3, fill=(255, 255, 255, 200))
            draw.text(at, text, font=font(12), fill=INK)
    return np.array(picture)
