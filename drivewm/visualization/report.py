"""The report: one HTML page that holds all its pictures and tables and fetches nothing, made of plain Python values."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from drivewm.evaluation.tables import best_cells, format_cell, is_number
from drivewm.host import write_bytes
from drivewm.visualization.files import png_bytes
from drivewm.visualization.report_style import GLOSSARY, STYLE

_MIME = ((b"\x89PNG", "image/png"), (b"GIF8", "image/gif"), (b"\xff\xd8\xff", "image/jpeg"))


@dataclass(frozen=True)
class Table:
    """A table of a section.

    Attributes:
        headers: one a column.
        rows: cells; floats are printed with two digits, NaN and None as a dash, anything else as it prints.
        caption: what it shows, on which data.
        best: "max", "min" or None for each column: the best value is marked.
        highlight: text of the first cell of the row that is ours, set off from the others.
    """

    headers: Sequence[str]
    rows: Sequence[Sequence[object]]
    caption: str = ""
    best: Sequence[str | None] | None = None
    highlight: str | None = None


@dataclass(frozen=True)
class Figure:
    """A picture or animation of a section.

    Attributes:
        source: `(H, W, 3)` uint8, a file (PNG, JPEG, GIF, MP4), or such a file's bytes.
        alt: what is to be seen, for those who cannot see it.
        caption: what it shows and where it is poor.
        wide: over the full width instead of beside another one.
    """

    source: np.ndarray | bytes | str | Path
    alt: str
    caption: str = ""
    wide: bool = False


@dataclass(frozen=True)
class Section:
    """A part of the page: text (paragraphs; lines that start with "- " are a list), then tables, then figures.

    In text and captions `**bold**` and `` `code` `` are understood, everything else is shown as it is.
    """

    title: str
    text: Sequence[str] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()


@dataclass(frozen=True)
class Headline:
    """A figure at the top of the page: the value, what it is, and what to compare it with."""

    value: str
    label: str
    note: str = ""


@dataclass(frozen=True)
class Report:
    """The whole page.

    Attributes:
        title, subtitle: its head.
        sections: in order.
        headlines: a few figures to see first.
        glossary: word -> meaning.
    """

    title: str
    sections: Sequence[Section]
    subtitle: str = ""
    headlines: Sequence[Headline] = ()
    glossary: Mapping[str, str] = field(default_factory=lambda: dict(GLOSSARY))


def write_report(path: str | Path, report: Report) -> Path:
    """Write the page to one `.html` file."""
    return write_bytes(path, render(report).encode("utf-8"))


def render(report: Report) -> str:
    """The page as HTML. Its content policy forbids the browser to fetch anything."""
    anchors = [(f"part-{number}", section) for number, section in enumerate(report.sections, 1)]
    links = "".join(f'<a href="#{anchor}">{_plain(section.title)}</a>' for anchor, section in anchors)
    if report.glossary:
        links += '<a href="#glossary">Glossary</a>'
    tiles = "".join(
        f'<div class="tile"><b>{_plain(h.value)}</b><span>{_plain(h.label)}</span><small>{_plain(h.note)}</small></div>'
        for h in report.headlines
    )
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; media-src data:; '
        "style-src 'unsafe-inline'\">",
        f'<title>{_plain(report.title)}</title><link rel="icon" href="data:,">',
        f"<style>{STYLE}</style></head><body>",
        f"<header><h1>{_plain(report.title)}</h1>",
        f"<p>{_inline(report.subtitle)}</p>" if report.subtitle else "",
        f'<div class="tiles">{tiles}</div>' if tiles else "",
        f"</header><nav>{links}</nav><main>",
        *(_section(anchor, section) for anchor, section in anchors),
        _glossary(report.glossary) if report.glossary else "",
        "</main></body></html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _section(anchor: str, section: Section) -> str:
    figures = "".join(_figure(figure) for figure in section.figures)
    return "\n".join(
        [
            f'<section id="{anchor}"><h2>{_plain(section.title)}</h2>',
            *_paragraphs(section.text),
            *(_table(table) for table in section.tables),
            f'<div class="figures">{figures}</div>' if figures else "",
            "</section>",
        ]
    )


def _paragraphs(texts: Sequence[str]) -> list[str]:
    if isinstance(texts, str):
        raise ValueError("a section's text is a sequence of paragraphs, got one string")
    parts = []
    for text in texts:
        lines = text.strip().splitlines()
        if lines and all(line.startswith("- ") for line in lines):
            parts.append("<ul>" + "".join(f"<li>{_inline(line[2:])}</li>" for line in lines) + "</ul>")
        else:
            parts.append(f"<p>{_inline(text.strip())}</p>")
    return parts


def _table(table: Table) -> str:
    marked = best_cells(table.headers, table.rows, table.best)
    numeric = [all(is_number(row[c]) or row[c] is None for row in table.rows) for c in range(len(table.headers))]
    head = "".join(
        f"<th{_class('number' if n else '')}>{_plain(h)}</th>" for h, n in zip(table.headers, numeric, strict=True)
    )
    body = ""
    for r, row in enumerate(table.rows):
        cells = ""
        for c, value in enumerate(row):
            names = [name for name, on in (("number", numeric[c]), ("best", (r, c) in marked)) if on]
            cells += f"<td{_class(*names)}>{_inline(format_cell(value))}</td>"
        ours = table.highlight is not None and str(row[0]) == table.highlight
        body += f"<tr{_class('ours' if ours else '')}>{cells}</tr>"
    note = ' <span class="key">Marked: best of its column.</span>' if marked else ""
    caption = f"<figcaption>{_inline(table.caption)}{note}</figcaption>" if table.caption or note else ""
    return (
        f'<figure class="table"><div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>{caption}</figure>"
    )


def _figure(figure: Figure) -> str:
    if not figure.alt.strip():
        raise ValueError(f"a figure needs an alt text (its caption: {figure.caption!r})")
    data, mime = _encoded(figure.source)
    uri = f"data:{mime};base64,{base64.b64encode(data).decode('ascii')}"
    if mime == "video/mp4":
        label = html.escape(figure.alt, quote=True)
        shown = f'<video controls autoplay loop muted playsinline aria-label="{label}" src="{uri}"></video>'
    else:
        width, height = Image.open(io.BytesIO(data)).size
        shown = f'<img src="{uri}" alt="{html.escape(figure.alt, quote=True)}" width="{width}" height="{height}">'
    caption = f"<figcaption>{_inline(figure.caption)}</figcaption>" if figure.caption else ""
    return f"<figure{_class('wide' if figure.wide else '')}>{shown}{caption}</figure>"


def _encoded(source: np.ndarray | bytes | str | Path) -> tuple[bytes, str]:
    """Bytes and media type. Arrays become PNG, or JPEG where that is less than half as large (ray-traced pictures)."""
    if isinstance(source, np.ndarray):
        png, buffer = png_bytes(source), io.BytesIO()
        Image.fromarray(source).save(buffer, "JPEG", quality=90, subsampling=0, optimize=True)
        return (buffer.getvalue(), "image/jpeg") if 2 * buffer.tell() < len(png) else (png, "image/png")
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    for magic, mime in _MIME:
        if data.startswith(magic):
            return data, mime
    if data[4:8] == b"ftyp":
        return data, "video/mp4"
    name = "bytes" if isinstance(source, bytes) else str(source)
    raise ValueError(f"a figure must be PNG, JPEG, GIF or MP4; {name} starts with {data[:8]!r}")


def _glossary(words: Mapping[str, str]) -> str:
    entries = "".join(f"<dt>{_plain(word)}</dt><dd>{_inline(meaning)}</dd>" for word, meaning in words.items())
    return f'<section id="glossary"><h2>Glossary</h2><dl>{entries}</dl></section>'


def _plain(text: str) -> str:
    return html.escape(str(text))


def _inline(text: str) -> str:
    """Escaped text with `**bold**` and `` `code` ``."""
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(str(text), quote=False))
    return re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", text)


def _class(*names: str) -> str:
    given = " ".join(name for name in names if name)
    return f' class="{given}"' if given else ""
