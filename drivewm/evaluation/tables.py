"""Tables as Markdown text, which also reads well in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

Rows = Sequence[Sequence[object]]
Best = Sequence[str | None] | None


def markdown_table(headers: Sequence[str], rows: Rows, best: Best = None) -> str:
    """An aligned Markdown table.

    Args:
        headers: one a column.
        rows: cells; floats are printed with two digits, NaN and None as a dash.
        best: for each column "max", "min" or None; the best value is set in bold.

    Raises:
        ValueError: if a row has not one cell a column.
    """
    marked = best_cells(headers, rows, best)
    text = [
        [f"**{format_cell(v)}**" if (r, c) in marked else format_cell(v) for c, v in enumerate(row)]
        for r, row in enumerate(rows)
    ]
    widths = [max([len(str(h)), 3, *(len(row[c]) for row in text)]) for c, h in enumerate(headers)]
    numeric = [bool(rows) and all(is_number(row[c]) or row[c] is None for row in rows) for c in range(len(headers))]

    def line(cells: Sequence[str]) -> str:
        padded = (c.rjust(w) if n else c.ljust(w) for c, w, n in zip(cells, widths, numeric, strict=True))
        return "| " + " | ".join(padded) + " |"

    rule = "|" + "|".join("-" * (w + 1) + (":" if n else "-") for w, n in zip(widths, numeric, strict=True)) + "|"
    return "\n".join([line([str(h) for h in headers]), rule, *(line(row) for row in text)])


def format_cell(value: object) -> str:
    """Floats with two digits, NaN and None as a dash, anything else as it prints."""
    if value is None or (is_number(value) and value != value):
        return "-"
    return f"{value:.2f}" if isinstance(value, float | np.floating) else str(value)


def interval_cell(
    interval: Mapping[str, float | None] | Sequence[float] | None, digits: int = 2, signed: bool = False
) -> str:
    """`value [low, high]`; the value alone where no bounds are known, a dash where there is none (None or NaN).

    Args:
        interval: three numbers, also by these names.
        digits: behind the point.
        signed: with a plus, as differences have.
    """
    if interval is None:
        return "-"
    parts = [interval[name] for name in ("value", "low", "high")] if isinstance(interval, Mapping) else interval
    form = f"{'+' * signed}.{digits}f"
    value, low, high = ("" if part is None or part != part else format(part, form) for part in parts)
    if not value:
        return "-"
    return f"{value} [{low}, {high}]" if low and high else value


def is_number(value: object) -> bool:
    """A plain or NumPy number (NaN too), not a bool."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def best_cells(headers: Sequence[str], rows: Rows, best: Best) -> set[tuple[int, int]]:
    """(row, column) of the best values of the columns for which `best` says "max" or "min"; ties are all best."""
    for row in rows:
        if len(row) != len(headers):
            raise ValueError(f"a table row has {len(row)} cells, but there are {len(headers)} columns: {list(headers)}")
    cells: set[tuple[int, int]] = set()
    for c, rule in enumerate(best or ()):
        if rule not in ("max", "min", None):
            raise ValueError(f'best must be "max", "min" or None, got {rule!r}')
        values = {r: row[c] for r, row in enumerate(rows) if is_number(row[c]) and row[c] == row[c]}
        if rule and len(values) > 1:
            top = max(values.values()) if rule == "max" else min(values.values())
            cells |= {(r, c) for r, v in values.items() if v == top}
    return cells


def figure_table(figures: Mapping[str, float]) -> str:
    """Figures with names such as `NAME/SCORE/HORIZON` as a table: a row each `NAME/SCORE`, a column each last part.

    Names without "/" have one column, "value".
    """
    rows: dict[str, dict[str, float]] = {}
    for name, value in figures.items():
        row, _, column = name.rpartition("/")
        rows.setdefault(row or column, {})[column if row else "value"] = value
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    return markdown_table(["figure", *columns], [[name, *(row.get(c) for c in columns)] for name, row in rows.items()])
