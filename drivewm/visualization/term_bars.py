"""The terms of plans as rows of bars, a column a plan, with the true value of each as a mark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

from drivewm.visualization.canvas import INK, Color, font
from drivewm.visualization.panels import PAPER

WORDS = {
    "nc": "no collision",
    "dac": "on the road",
    "tlc": "red light kept",
    "ep": "progress",
    "ttc": "keeps distance",
    "comfort": "comfort",
    "room": "room to stop",
    "certainty": "certainty",
    "total": "total",
}
_MUTED, _TRACK, _RULE = (104, 110, 122), (234, 237, 241), (196, 201, 209)
_LABELS, _NUMBER, _GAP = 150, 44, 14


@dataclass(frozen=True)
class Column:
    """One plan's values.

    Attributes:
        title: above.
        color: of the bars.
        values: by the names in `WORDS`, in [0, 1].
        true: those that are known.
    """

    title: str
    color: Color
    values: Mapping[str, float]
    true: Mapping[str, float] = field(default_factory=dict)


def draw_terms(columns: Sequence[Column], size: tuple[int, int]) -> np.ndarray:
    """A table of bars; `size`: width and height [px]. `(H, W, 3)` uint8."""
    width, height = size
    picture = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(picture)
    line, each = height / (len(WORDS) + 1.8), (width - _LABELS) / len(columns)
    told = any(column.true for column in columns)
    for number, column in enumerate(columns):
        left = _LABELS + number * each
        draw.text((left, line * 0.45), column.title, font=font(15, True), fill=column.color, anchor="lm")
        right = left + each - _GAP
        if told:
            draw.text((right - _NUMBER, line * 1.15), "imagined", font=font(11), fill=_MUTED, anchor="rm")
            draw.text((right, line * 1.15), "real", font=font(11), fill=INK, anchor="rm")
    for row, (name, words) in enumerate(WORDS.items()):
        middle = line * (row + 2.1)
        bold = name == "total"
        if bold:
            draw.line((0, middle - line / 2, width - _GAP, middle - line / 2), fill=_RULE, width=1)
        draw.text((0, middle), words, font=font(14, bold), fill=INK, anchor="lm")
        if not bold and name != words:
            draw.text((_LABELS - _GAP, middle), name, font=font(11), fill=_MUTED, anchor="rm")
        for number, column in enumerate(columns):
            left = _LABELS + number * each
            _cell(draw, column, name, (left, middle), each - _GAP, line, told)
    return np.array(picture)


def _cell(
    draw: ImageDraw.ImageDraw,
    column: Column,
    name: str,
    at: tuple[float, float],
    width: float,
    line: float,
    told: bool,
) -> None:
    (left, middle), right, half = at, at[0] + width, min(8.0, line * 0.28)
    end = right - _NUMBER * (2 if told else 1)
    value = column.values[name]
    draw.rounded_rectangle((left, middle - half, end, middle + half), 3, fill=_TRACK)
    if value > 0.005:
        draw.rounded_rectangle((left, middle - half, left + value * (end - left), middle + half), 3, fill=column.color)
    bold = name == "total"
    number = font(13, bold)
    draw.text((right - _NUMBER if told else right, middle), f"{value:.2f}", font=number, fill=INK, anchor="rm")
    if not told:
        return
    true = column.true.get(name)
    draw.text((right, middle), "-" if true is None else f"{true:.2f}", font=number, fill=INK, anchor="rm")
    if true is not None:
        x, reach = left + true * (end - left), half + 2
        mark = [(x, middle - reach), (x + 5, middle), (x, middle + reach), (x - 5, middle)]
        draw.polygon(mark, fill=INK, outline=PAPER)
