"""Small charts: scores with intervals, and scores by horizon against the baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

_OURS = "#db146e"
_OTHERS = ("#5b6472", "#2f8fd0", "#3f9b57", "#d08b1f", "#8459b5", "#9aa3af")
_GRID = {"color": "#dfe3e8", "linewidth": 0.8}


def bars(
    values: Mapping[str, tuple[float, float, float]],
    *,
    title: str = "",
    unit: str = "",
    highlight: str | None = None,
    limits: tuple[float, float] | None = None,
) -> np.ndarray:
    """Horizontal bars with their intervals.

    Args:
        values: name -> value, lower and upper bound (NaN bounds draw none).
        unit: written at the axis.
        highlight: name of the bar in the accent colour.
        limits: of the axis.

    Returns:
        `(H, W, 3)` uint8.
    """
    figure, axes = _figure(6.4, 0.9 + 0.46 * len(values))
    for row, (name, (value, low, high)) in enumerate(values.items()):
        axes.barh(row, value, height=0.62, color=_OURS if name == highlight else _OTHERS[0], zorder=2)
        if np.isfinite([low, high]).all():
            error = [[max(0.0, value - low)], [max(0.0, high - value)]]
            axes.errorbar(value, row, xerr=error, color="#1f242e", capsize=4, linewidth=1.4, zorder=3)
        edge = np.nanmax([value, high])
        axes.annotate(f"{value:.3g}", (edge, row), (6, 0), textcoords="offset points", va="center", fontsize=10)
    axes.set_yticks(range(len(values)), [name.replace("_", " ") for name in values])
    axes.invert_yaxis()
    axes.set_xlabel(unit)
    low, high = limits or (0.0, 1.12 * float(np.nanmax([v for triple in values.values() for v in triple])))
    axes.set_xlim(low, high if high > low else low + 1)
    axes.xaxis.grid(True, **_GRID)
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold")
    return _render(figure)


def by_horizon(
    curves: Mapping[str, Mapping[str, float]],
    *,
    title: str = "",
    unit: str = "mIoU [%]",
    highlight: str | None = "model",
    horizons: Sequence[str] = ("0.5s", "1s", "1.5s", "2s", "2.5s", "3s"),
    ceiling: tuple[str, float] | None = None,
) -> np.ndarray:
    """One line a predictor over the forecast horizon.

    Args:
        curves: name -> horizon ("1s") -> value, as `row["scores"]["miou"]` of a forecast report.
        highlight: name of the thick line.
        horizons: those drawn, where a curve has them.
        ceiling: name and value of a dashed level, e.g. the tokenizer's reconstruction.

    Returns:
        `(H, W, 3)` uint8.
    """
    figure, axes = _figure(6.4, 3.6)
    others = iter(_OTHERS * len(curves))
    for name, values in curves.items():
        own = name == highlight
        shown = [h for h in horizons if h in values]
        seconds = [float(h.removesuffix("s")) for h in shown]
        color, width = (_OURS, 2.8) if own else (next(others), 1.7)
        label = name.replace("_", " ")
        axes.plot(
            seconds, [values[h] for h in shown], marker="o", markersize=4.5, color=color, linewidth=width, label=label
        )
    if ceiling is not None:
        axes.axhline(ceiling[1], color="#9aa3af", linestyle="--", linewidth=1.2, label=ceiling[0].replace("_", " "))
    axes.set_xlabel("seconds after t0")
    axes.set_ylabel(unit)
    axes.set_ylim(bottom=0)
    axes.grid(True, **_GRID)
    axes.legend(frameon=False, fontsize=9.5)
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold")
    return _render(figure)


def _figure(width_in: float, height_in: float):
    figure = Figure(figsize=(width_in, height_in), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#b9c0c9")
    axes.tick_params(colors="#454c59", labelsize=10)
    axes.set_axisbelow(True)
    return figure, axes


def _render(figure: Figure) -> np.ndarray:
    buffer = BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return np.array(Image.open(buffer).convert("RGB"))
