"""Forecasts beside the truth: one sheet with a row per predictor and a column per time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from drivewm.geometry.voxel_grid import VoxelGrid
from drivewm.structures import OCC3D, LabelSet
from drivewm.visualization.bev import draw_bev
from drivewm.visualization.panels import arrange, classes_in, legend
from drivewm.visualization.voxels import draw_voxels

HORIZONS_S = (1.0, 2.0, 3.0)


def nearest_frames(times_s: np.ndarray, wanted_s: Sequence[float], tolerance_s: float = 0.26) -> list[int]:
    """Index of the frame nearest to each wanted time [s]; ValueError where none is within the tolerance."""
    times = np.asarray(times_s, np.float64)
    frames = [int(np.abs(times - wanted).argmin()) for wanted in wanted_s]
    missing = [w for w, f in zip(wanted_s, frames, strict=True) if abs(times[f] - w) > tolerance_s]
    if missing:
        raise ValueError(f"there is no frame near {missing} s; the frames are at {times.tolist()} s")
    return frames


def compare_forecasts(
    truth: np.ndarray,
    forecasts: Mapping[str, np.ndarray],
    grid: VoxelGrid,
    times_s: np.ndarray,
    *,
    horizons_s: Sequence[float] = HORIZONS_S,
    perspective: bool = False,
    captions: Mapping[str, Sequence[str]] | None = None,
    title: str = "",
    panel_px: int = 300,
    supersampling: int = 2,
    labels: LabelSet = OCC3D,
) -> np.ndarray:
    """Truth in the first row, then one row per forecast; columns are the horizons.

    Args:
        truth: `(F, X, Y, Z)` uint8, each frame in its own ego frame.
        forecasts: name -> the same shape.
        times_s: `(F,)` time of each frame after t0 [s].
        horizons_s: times to show [s].
        perspective: 3-D pictures instead of bird's-eye ones.
        captions: name ("truth" too) -> a line for each horizon.
        panel_px: width of a panel [pixel].
        supersampling: rays a pixel along each axis, in perspective.

    Returns:
        `(H, W, 3)` uint8.
    """
    frames = nearest_frames(times_s, horizons_s)
    named = {"truth": truth, **forecasts}
    for name, occupancy in named.items():
        if occupancy.shape != truth.shape:
            raise ValueError(f"forecast {name!r} has shape {occupancy.shape}, but the truth has {truth.shape}")

    def panel(occupancy: np.ndarray) -> np.ndarray:
        if perspective:
            size = (panel_px, round(panel_px * 0.66))
            return draw_voxels(occupancy, grid, size=size, supersampling=supersampling, labels=labels)
        return draw_bev(occupancy, grid, pixels_per_voxel=max(1, panel_px // grid.shape[1]), labels=labels)

    rows = [[panel(occupancy[f]) for f in frames] for occupancy in named.values()]
    texts = [list((captions or {}).get(name, [""] * len(frames))) for name in named] if captions else ()
    return arrange(
        rows,
        title=title,
        column_titles=[f"t0 + {h:g} s" for h in horizons_s],
        row_titles=[name.replace("_", " ") for name in named],
        captions=texts,
        legend=legend(classes_in(*named.values(), labels=labels), rows[0][0].shape[1] * len(frames), labels),
    )


def strip(
    occupancy: np.ndarray,
    grid: VoxelGrid,
    times_s: np.ndarray,
    *,
    boxes: Sequence[np.ndarray] | None = None,
    perspective: bool = False,
    title: str = "",
    panel_px: int = 220,
    columns: int = 4,
    labels: LabelSet = OCC3D,
) -> np.ndarray:
    """The frames of a clip one after the other, `columns` a row.

    Args:
        occupancy: `(T, X, Y, Z)` uint8, each frame in its own ego frame.
        times_s: `(T,)` relative to t0 [s].
        boxes: per frame `(M, 7)`, outlined (bird's eye only).

    Returns:
        `(H, W, 3)` uint8.
    """
    panels = []
    for t, frame in enumerate(occupancy):
        if perspective:
            panels.append(draw_voxels(frame, grid, size=(panel_px, round(panel_px * 0.66)), labels=labels))
        else:
            scale = max(1, panel_px // grid.shape[1])
            panels.append(
                draw_bev(frame, grid, boxes=boxes[t] if boxes else None, pixels_per_voxel=scale, labels=labels)
            )
    texts = [
        "t0" if abs(s) < 0.05 else f"t0 {'+' if s > 0 else '-'} {abs(s):.1f} s" for s in np.asarray(times_s, float)
    ]
    columns = min(columns, len(panels))
    while len(panels) % columns:
        panels.append(np.full_like(panels[0], 255))
        texts.append("")
    rows = [panels[i : i + columns] for i in range(0, len(panels), columns)]
    captions = [texts[i : i + columns] for i in range(0, len(texts), columns)]
    swatches = legend(classes_in(occupancy, labels=labels), panels[0].shape[1] * columns, labels)
    return arrange(rows, title=title, captions=captions, legend=swatches)
