"""What the marks and colours in the picture of a thought mean."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from drivewm.visualization.canvas import INK, PLAN, ROUTE, Color, font
from drivewm.visualization.panels import PAPER
from drivewm.visualization.ramps import BLOCKED, DRIVABLE, SCORE, Ramp

PREFERRED = (38, 44, 120)
RED_LIGHT = (222, 44, 44)
UNKNOWN = (208, 208, 206)
STRUCK = (255, 232, 40)
LEGEND_PX = 220
_LINE, _SWATCH, _TEXT, _BAR_PX, _BAR_FROM = 24, 40, 13, 200, 220


def draw_legend(width: int) -> np.ndarray:
    """A legend `(LEGEND_PX, width, 3)` uint8."""
    picture = Image.new("RGB", (width, LEGEND_PX), PAPER)
    draw = ImageDraw.Draw(picture)
    half = width // 2
    _stroke(draw, (0, 0), PLAN, 7, "chosen plan")
    _stroke(draw, (half, 0), PREFERRED, 3, "the head's preferred plan")
    _stroke(draw, (0, 1), _pale(ROUTE), 14, "route")
    _stroke(draw, (half, 1), RED_LIGHT, 6, "stop line of a light that is red now")
    _box(draw, (0, 2), INK, None, "where others really are")
    _box(draw, (half, 2), INK, PLAN, "the vehicle on the chosen plan")
    _stroke(draw, (0, 3), UNKNOWN, 14, "beyond what is seen or imagined")
    _candidate(draw, half)
    _ring(draw, (0, 4), "whom the chosen plan really hits")
    ramps = (
        ("a candidate's imagined score", SCORE, "0", "1"),
        ("imagined: something there", BLOCKED, "0 %", "100 %"),
        ("imagined: road", DRIVABLE, "0 %", "100 %"),
    )
    for row, (words, ramp, low, high) in enumerate(ramps, start=6):
        y = _middle(row)
        draw.text((0, y), words, font=font(_TEXT), fill=INK, anchor="lm")
        draw.text((_BAR_FROM + 34, y), low, font=font(_TEXT - 1), fill=INK, anchor="rm")
        _bar(picture, ramp, (_BAR_FROM + 42, y))
        draw.text((_BAR_FROM + 50 + _BAR_PX, y), high, font=font(_TEXT - 1), fill=INK, anchor="lm")
    return np.array(picture)


def _candidate(draw: ImageDraw.ImageDraw, left: int) -> None:
    """A candidate as it is drawn: a line, and a dot where it ends."""
    y, color = _middle(3), tuple(SCORE(0.85).tolist())
    draw.line((left, y, left + _SWATCH - 8, y), fill=color, width=3)
    draw.ellipse((left + _SWATCH - 14, y - 6, left + _SWATCH - 2, y + 6), fill=color, outline=INK)
    draw.text(
        (left + _SWATCH + 10, y), "a candidate, to where it is after 4 s", font=font(_TEXT), fill=INK, anchor="lm"
    )


def _ring(draw: ImageDraw.ImageDraw, place: tuple[int, int], words: str) -> None:
    x, y = place[0] + _SWATCH // 2, _middle(place[1])
    draw.ellipse((x - 10, y - 10, x + 10, y + 10), outline=INK, width=6)
    draw.ellipse((x - 9, y - 9, x + 9, y + 9), outline=STRUCK, width=3)
    draw.text((place[0] + _SWATCH + 10, y), words, font=font(_TEXT), fill=INK, anchor="lm")


def _middle(row: int) -> int:
    return _LINE * row + _LINE // 2


def _stroke(draw: ImageDraw.ImageDraw, place: tuple[int, int], color: Color, thick: int, words: str) -> None:
    x, y = place[0], _middle(place[1])
    draw.line((x, y, x + _SWATCH, y), fill=color, width=thick)
    draw.text((x + _SWATCH + 10, y), words, font=font(_TEXT), fill=INK, anchor="lm")


def _box(draw: ImageDraw.ImageDraw, place: tuple[int, int], color: Color, fill: Color | None, words: str) -> None:
    x, y = place[0], _middle(place[1])
    draw.rectangle((x + 6, y - 6, x + _SWATCH - 6, y + 6), outline=color, fill=fill, width=2)
    draw.text((x + _SWATCH + 10, y), words, font=font(_TEXT), fill=INK, anchor="lm")


def _pale(color: Color) -> Color:
    return tuple((2 * 255 + c) // 3 for c in color)


def _bar(picture: Image.Image, ramp: Ramp, at: tuple[int, int]) -> None:
    bar = Image.fromarray(np.repeat(ramp(np.linspace(0, 1, _BAR_PX))[None], 14, axis=0))
    if bar.mode == "RGBA":  # on road, as in the picture
        below = Image.new("RGB", bar.size, tuple(DRIVABLE(1.0).tolist()))
        below.paste(bar, mask=bar)
        bar = below
    picture.paste(bar, (at[0], at[1] - 7))
