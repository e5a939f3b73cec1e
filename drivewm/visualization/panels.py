"""Pictures set side by side with titles: rows and columns on one sheet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from drivewm.structures import OCC3D, LabelSet
from drivewm.visualization.canvas import INK, font

PAPER = (255, 255, 255)
_GAP, _MARGIN, _MUTED = 8, 14, (104, 110, 122)


def arrange(
    rows: Sequence[Sequence[np.ndarray]],
    *,
    title: str = "",
    column_titles: Sequence[str] = (),
    row_titles: Sequence[str] = (),
    captions: Sequence[Sequence[str]] = (),
    legend: np.ndarray | None = None,
    text_size: int = 15,
) -> np.ndarray:
    """Pictures `(H, W, 3)`, given by rows, on one sheet.

    Args:
        rows: pictures; all rows have the same number, all of a row the same height, all of a column the same width.
        title: above everything.
        column_titles, row_titles: above the columns, left of the rows (turned).
        captions: one short line under each picture, by rows.
        legend: a picture below everything, cut to the sheet's width.

    Returns:
        `(H, W, 3)` uint8.

    Raises:
        ValueError: if pictures, titles or captions do not match.
    """
    heights = [row[0].shape[0] for row in rows if len(row)]
    widths = [picture.shape[1] for picture in rows[0]] if heights else []
    shapes = [[picture.shape[:2] for picture in row] for row in rows]
    if not widths or shapes != [[(height, width) for width in widths] for height in heights]:
        raise ValueError(f"pictures must have one height in a row and one width in a column, got sizes {shapes}")
    for name, texts, count in (("column_titles", column_titles, len(widths)), ("row_titles", row_titles, len(rows))):
        if len(texts) not in (0, count):
            raise ValueError(f"{name} has {len(texts)} entries for {count}")
    line = round(text_size * 1.7)
    left = _MARGIN + (line if row_titles else 0)
    top = _MARGIN + (round(line * 1.3) if title else 0) + (line if column_titles else 0)
    column_x = left + np.cumsum([0] + [width + _GAP for width in widths])
    row_y = top + np.cumsum([0] + [height + _GAP + (line if captions else 0) for height in heights])
    legend_height = 0 if legend is None else legend.shape[0] + _GAP
    size = (int(column_x[-1]) - _GAP + _MARGIN, int(row_y[-1]) - _GAP + legend_height + _MARGIN)
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    if title:
        draw.text((left, _MARGIN), title, font=font(round(text_size * 1.25), bold=True), fill=INK)
    middle_x = column_x[:-1] + np.array(widths) / 2
    for x, text in zip(middle_x, column_titles, strict=False):
        draw.text((x, top - line / 2), text, font=font(text_size, True), fill=INK, anchor="mm")
    for r, row in enumerate(rows):
        y, height = int(row_y[r]), heights[r]
        if row_titles:
            _turned(sheet, row_titles[r], (_MARGIN, y), (line, height), text_size)
        for c, picture in enumerate(row):
            sheet.paste(Image.fromarray(picture), (int(column_x[c]), y))
            if captions:
                at = (middle_x[c], y + height + line / 2)
                draw.text(at, captions[r][c], font=font(text_size - 2), fill=_MUTED, anchor="mm")
    if legend is not None:
        sheet.paste(Image.fromarray(legend), (left, size[1] - _MARGIN - legend.shape[0]))
    return np.array(sheet)


def _turned(sheet: Image.Image, text: str, corner: tuple[int, int], size: tuple[int, int], text_size: int) -> None:
    """Text from bottom to top, centred in a box."""
    label = Image.new("RGB", (size[1], size[0]), PAPER)
    middle = (size[1] / 2, size[0] / 2)
    ImageDraw.Draw(label).text(middle, text, font=font(text_size, True), fill=INK, anchor="mm")
    sheet.paste(label.rotate(90, expand=True), corner)


def legend(classes: Sequence[int], width: int, labels: LabelSet = OCC3D, text_size: int = 13) -> np.ndarray:
    """Colour swatches with the classes' names, wrapped to `width` pixels: `(H, width, 3)` uint8."""
    face, line = font(text_size), round(text_size * 1.8)
    places, x, y = [], 0, 0
    for index in classes:
        text = labels.names[index].replace("_", " ")
        needed = round(text_size * 1.3 + face.getlength(text) + text_size * 1.4)
        if x and x + needed > width:
            x, y = 0, y + line
        places.append((x, y, labels.colors[index], text))
        x += needed
    picture = Image.new("RGB", (width, y + line), PAPER)
    draw = ImageDraw.Draw(picture)
    for x, y, color, text in places:
        middle, half = y + line / 2, text_size / 2
        draw.rounded_rectangle((x, middle - half, x + text_size, middle + half), 2, fill=color, outline=(120, 124, 132))
        draw.text((x + text_size * 1.35, middle), text, font=face, fill=INK, anchor="lm")
    return np.array(picture)


def classes_in(*occupancies: np.ndarray, labels: LabelSet = OCC3D) -> list[int]:
    """Occupied classes that appear in any of the arrays, for a legend that shows no others."""
    present = np.unique(np.concatenate([np.unique(o) for o in occupancies]))
    return [int(i) for i in present if i != labels.free]
