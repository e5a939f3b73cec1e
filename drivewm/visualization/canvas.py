"""BevCanvas: a bird's-eye picture that is drawn on in metres. Forward (x) is up, left (y) is left."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from drivewm.geometry import se2
from drivewm.geometry.boxes import bev_corners

Color = tuple[int, int, int] | tuple[int, int, int, int]

INK = (31, 36, 46)
BACKGROUND = (246, 247, 249)
EGO = (24, 28, 36)
PLAN = (219, 20, 110)
TRUTH = (24, 28, 36)
ROUTE = (0, 150, 136)
# Everything is drawn larger and averaged down, which smooths slanted edges.
_SUPERSAMPLING = 2


@cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib brings along, so that pictures are the same on every machine."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)


class BevCanvas:
    """A picture of the ground between two corners.

    Args:
        range_m: lower x, y and upper x, y of the picture [m].
        pixels_per_m: scale; the picture's size is rounded to whole pixels.
        background: RGB.
    """

    def __init__(
        self,
        range_m: tuple[float, float, float, float],
        pixels_per_m: float,
        background: Color = BACKGROUND,
    ) -> None:
        self.range_m = tuple(float(v) for v in range_m)
        x0, y0, x1, y1 = self.range_m
        if not (x1 > x0 and y1 > y0 and pixels_per_m > 0):
            raise ValueError(f"a picture of {range_m} m at {pixels_per_m} pixels a metre is empty")
        self.scale = pixels_per_m * _SUPERSAMPLING
        size = (max(1, round((y1 - y0) * pixels_per_m)), max(1, round((x1 - x0) * pixels_per_m)))
        self._image = Image.new("RGB", (size[0] * _SUPERSAMPLING, size[1] * _SUPERSAMPLING), background)
        self._draw = ImageDraw.Draw(self._image, "RGBA")

    def to_pixel(self, points: np.ndarray) -> np.ndarray:
        """Points `(..., 2)` [m] -> column, row `(..., 2)` of the *finished* picture."""
        return self._to_pixel(points) / _SUPERSAMPLING

    def _to_pixel(self, points: np.ndarray) -> np.ndarray:
        points = np.asarray(points, np.float64)[..., :2]
        return (np.array(self.range_m[2:]) - points)[..., ::-1] * self.scale

    def _out_of_sight(self, pixels: np.ndarray) -> bool:
        """Do all pixels `(N, 2)` lie beyond one and the same edge of the picture? Most of a map does."""
        return bool((pixels.max(0) < 0).any() or (pixels.min(0) > self._image.size).any())

    def raster(self, colors: np.ndarray) -> None:
        """Fill the picture with cells `(X, Y, 3 | 4)` uint8, `[x, y]` as an occupancy grid is; 4: with opacity."""
        cells = Image.fromarray(np.ascontiguousarray(colors[::-1, ::-1]))
        cells = cells.resize(self._image.size, Image.Resampling.NEAREST)
        self._image.paste(cells, mask=cells if colors.shape[-1] == 4 else None)

    def polygon(
        self, corners: np.ndarray, fill: Color | None = None, outline: Color | None = None, width_px: int = 1
    ) -> None:
        """A closed polygon `(N, 2)` [m]."""
        points = self._to_pixel(corners)
        if self._out_of_sight(points):
            return
        pixels = [tuple(p) for p in points.tolist()]
        if fill is not None:
            self._draw.polygon(pixels, fill=fill)
        if outline is not None:
            self._draw.line(
                [*pixels, pixels[0], pixels[1]], fill=outline, width=width_px * _SUPERSAMPLING, joint="curve"
            )

    def polyline(self, points: np.ndarray, color: Color, width_px: float = 2.0) -> None:
        """A line through points `(N, 2)` [m]; NaN points are left out."""
        points = np.asarray(points, np.float64)[..., :2]
        points = self._to_pixel(points[np.isfinite(points).all(-1)])
        if len(points) < 2 or self._out_of_sight(points):
            return
        seen = np.flatnonzero(((points >= 0) & (points <= self._image.size)).all(-1))
        if len(seen):  # the ends beyond the picture are cut off, but for the points next to it
            points = points[max(seen[0] - 1, 0) : seen[-1] + 2]
        pixels = [tuple(p) for p in _thinned(points).tolist()]
        width = max(1, round(width_px * _SUPERSAMPLING))
        if len(color) == 3:
            self._draw.line(pixels, fill=color, width=width, joint="curve")
            return
        # Segments of a see-through line overlap at its joints: drawn as a mask, they cover once.
        mask = Image.new("L", self._image.size, 0)
        ImageDraw.Draw(mask).line(pixels, fill=color[3], width=width, joint="curve")
        self._image.paste(color[:3], mask=mask)

    def dots(self, points: np.ndarray, color: Color, radius_px: float = 3.0, outline: Color | None = None) -> None:
        """A disc at each point `(N, 2)` [m]."""
        radius = radius_px * _SUPERSAMPLING
        for column, row in self._to_pixel(np.asarray(points).reshape(-1, np.shape(points)[-1])):
            if np.isfinite((column, row)).all():
                disc = (column - radius, row - radius, column + radius, row + radius)
                self._draw.ellipse(disc, fill=color, outline=outline, width=_SUPERSAMPLING)

    def pixels(self, points: np.ndarray, colors: np.ndarray) -> None:
        """One small square per point `(N, 2)` [m] with `colors (N, 3)` uint8; later points cover earlier ones. Fast."""
        canvas = np.array(self._image)
        column, row = np.floor(self._to_pixel(points)).astype(np.int64).T
        for dx in range(_SUPERSAMPLING):
            for dy in range(_SUPERSAMPLING):
                inside = (
                    (column + dx >= 0)
                    & (row + dy >= 0)
                    & (column + dx < canvas.shape[1])
                    & (row + dy < canvas.shape[0])
                )
                canvas[row[inside] + dy, column[inside] + dx] = colors[inside]
        self._image = Image.fromarray(canvas)
        self._draw = ImageDraw.Draw(self._image, "RGBA")

    def box(self, box: np.ndarray, color: Color, fill: Color | None = None, width_px: int = 2) -> None:
        """Footprint of a box `(7,)` with a line from its centre to its front."""
        corners = bev_corners(box)
        self.polygon(corners, fill=fill, outline=color, width_px=width_px)
        self.polyline(np.stack([box[:2], (corners[0] + corners[3]) / 2]), color, width_px)

    def ego(self, pose: np.ndarray, length_m: float, width_m: float, center_ahead_m: float) -> None:
        """The ego, filled, with a pale windscreen; `pose (3,)` of its rear axle [m, rad]."""
        half = np.array([length_m, width_m]) / 2
        shape = np.array([[1.0, 0.55], [0.72, 1], [-1, 1], [-1, -1], [0.72, -1], [1.0, -0.55]]) * half
        screen = np.array([[0.45, 0.7], [0.15, 0.8], [0.15, -0.8], [0.45, -0.7]]) * half
        shift = np.array([center_ahead_m, 0.0])
        pose = np.asarray(pose, np.float64)
        self.polygon(se2.transform_points(pose, shape + shift), fill=EGO, outline=(255, 255, 255), width_px=1)
        self.polygon(se2.transform_points(pose, screen + shift), fill=(176, 206, 226))

    def text(
        self, text: str, pixel: tuple[float, float], size: int = 13, color: Color = INK, bold: bool = False
    ) -> None:
        """Text with its top left corner at a pixel (column, row) of the finished picture, on a pale plate."""
        face = font(size * _SUPERSAMPLING, bold)
        at = (pixel[0] * _SUPERSAMPLING, pixel[1] * _SUPERSAMPLING)
        left, top, right, bottom = self._draw.textbbox(at, text, font=face)
        pad = 3 * _SUPERSAMPLING
        self._draw.rounded_rectangle(
            (left - pad, top - pad, right + pad, bottom + pad), radius=pad, fill=(255, 255, 255, 215)
        )
        self._draw.text(at, text, font=face, fill=color)

    def image(self) -> np.ndarray:
        """The finished picture `(H, W, 3)` uint8."""
        return np.array(self._image.reduce(_SUPERSAMPLING))


def _thinned(pixels: np.ndarray, spacing: float = 6.0) -> np.ndarray:
    """A line `(N, 2)` with about one point per `spacing` pixels of its length, its ends kept: fewer joints to draw."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(pixels, axis=0), axis=-1))])
    kept = np.diff(np.floor(along / spacing), prepend=-1) > 0
    kept[-1] = True
    return pixels[kept]
