"""What a planner thinks at one moment: its candidates, the futures that it imagines, and the plan that it takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drivewm.dynamics.bicycle import PACIFICA
from drivewm.geometry import se2
from drivewm.geometry.boxes import bev_corners
from drivewm.geometry.voxel_grid import VoxelGrid
from drivewm.planning.protocol import PLAN_DT_S
from drivewm.structures import OCC3D
from drivewm.visualization.bev import bev_colors
from drivewm.visualization.canvas import INK, PLAN, ROUTE, BevCanvas, Color
from drivewm.visualization.considered import SHOWN_S, Considered
from drivewm.visualization.panels import arrange, legend
from drivewm.visualization.ramps import BLOCKED, DRIVABLE, SCORE
from drivewm.visualization.term_bars import Column, draw_terms
from drivewm.visualization.thought_legend import LEGEND_PX, PREFERRED, RED_LIGHT, STRUCK, UNKNOWN, draw_legend

_LARGE_M, _SMALL_M = (-8.0, -21.0, 48.0, 21.0), (-8.0, -17.0, 36.0, 17.0)
"""What the pictures show around the ego; the small ones follow it where it gets too near to their edge."""
_FOLLOWED_M = (24.0, 9.0)
_LARGE_PX, _TABLE_PX, _SMALL_PX = 504, 640, 282  # their widths
_SCALE_M, _LANE_M, _RING_M = 10.0, 2.0, 1.6
_FADED, _VIVID = 0.55, 0.9  # of the observed scene's colours, and of what moves: what is drawn on it counts
_WHITE = (255, 255, 255)
Range = tuple[float, float, float, float]


def draw_thought(considered: Considered, title: str = "") -> np.ndarray:
    """One moment on a sheet that is 1180 px wide.

    Above, what was observed with all candidates, coloured by their imagined score, and a table of the chosen and of the
    preferred plan's terms, imagined and, where they are known, real. Below, the imagined scene at `SHOWN_S` with the
    vehicle where the chosen plan has it then, and the true outlines of the others where they are known.

    Returns:
        `(H, W, 3)` uint8, the same size for all moments.
    """
    plans = (("chosen plan", PLAN, considered.chosen), ("preferred plan", PREFERRED, considered.preferred))
    columns = [Column(name, color, plan.terms, plan.true_terms) for name, color, plan in plans]
    picture = _candidates(considered)
    table = draw_terms(columns, (_TABLE_PX, len(picture) - LEGEND_PX))
    upper = arrange([[picture, np.concatenate([table, draw_legend(_TABLE_PX)])]], title=title)
    lower = arrange(
        [[_imagined(considered, moment) for moment in range(len(SHOWN_S))]],
        column_titles=[f"imagined at t0 + {t:g} s" for t in SHOWN_S],
        captions=[[f"contact on the chosen plan: {considered.chosen.contact[_step(t)]:.0%}" for t in SHOWN_S]],
        legend=legend(OCC3D.occupied, len(SHOWN_S) * _SMALL_PX),
        text_size=14,
    )
    return np.concatenate([upper, lower])


def _candidates(considered: Considered) -> np.ndarray:
    """The observed scene and all plans in it."""
    canvas = _canvas(considered.grid, _LARGE_M, _LARGE_PX)
    movable = np.isin(considered.occupancy, OCC3D.movable).any(-1, keepdims=True)
    colors = 255 + (bev_colors(considered.occupancy) - 255.0) * np.where(movable, _VIVID, _FADED)
    canvas.raster(_cut(np.round(colors).astype(np.uint8), considered.grid, canvas, UNKNOWN))
    canvas.polyline(considered.route, (*ROUTE, 75), _LANE_M * _LARGE_PX / (_LARGE_M[3] - _LARGE_M[1]))
    _stop_line(canvas, considered)
    _others(canvas, considered.boxes)
    _rings(canvas, considered, 0)
    plans = [(considered.candidates[i], tuple(SCORE(considered.scores[i]).tolist())) for i in _worst_first(considered)]
    for poses, color in plans:
        _line(canvas, poses, color, 2.5)
    chosen, preferred = considered.chosen.poses, considered.preferred.poses
    _line(canvas, chosen, PLAN, 10)
    _line(canvas, preferred, PREFERRED, 2.5, casing_px=1)  # narrow: the chosen one shows below it
    _vehicle(canvas, preferred[-1], PREFERRED, opacity=0)
    _vehicle(canvas, chosen[-1], PLAN, opacity=70)
    for poses, color in plans:  # plans that share a path differ where they end
        canvas.dots(poses[-1:, :2], color, 6, outline=INK)
    canvas.ego(np.zeros(3), PACIFICA.length_m, PACIFICA.width_m, PACIFICA.rear_axle_to_center_m)
    _scale(canvas)
    return canvas.image()


def _imagined(considered: Considered, moment: int) -> np.ndarray:
    """The imagined scene at one of `SHOWN_S`, with the vehicle and the true others then."""
    poses, grid = considered.chosen.poses[: _step(SHOWN_S[moment]) + 1], considered.scene_grid
    moved = poses[-1, :2] - np.clip(poses[-1, :2], np.negative(_FOLLOWED_M), _FOLLOWED_M)
    canvas = _canvas(grid, _SMALL_M, _SMALL_PX, moved)
    known = considered.known[moment][..., None] > 0.5
    ground = np.where(known, DRIVABLE(considered.drivable[moment]), np.uint8(UNKNOWN))
    canvas.raster(_cut(ground, grid, canvas, UNKNOWN))
    canvas.raster(_cut(BLOCKED(considered.blocked[moment]), grid, canvas, (0, 0, 0, 0)))
    _stop_line(canvas, considered)
    if considered.coming_boxes is not None:
        _others(canvas, considered.coming_boxes[moment])
    _rings(canvas, considered, 1 + moment)
    _line(canvas, poses, PLAN, 2)
    _vehicle(canvas, poses[-1], PLAN, opacity=235)
    return canvas.image()


def _worst_first(considered: Considered) -> Sequence[int]:
    """Numbers of the candidates: what is drawn last is on top."""
    return np.argsort(considered.scores, kind="stable").tolist()


def _line(canvas: BevCanvas, poses: np.ndarray, color: Color, width_px: float, casing_px: float = 2.5) -> None:
    path = np.concatenate([np.zeros((1, 2)), poses[:, :2]])
    canvas.polyline(path, _WHITE, width_px + casing_px)
    canvas.polyline(path, color, width_px)


def _vehicle(canvas: BevCanvas, pose: np.ndarray, color: Color, opacity: int) -> None:
    """The ego's outline, its rear axle at `pose (3,)`."""
    half = np.array([PACIFICA.length_m, PACIFICA.width_m]) / 2
    shape = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * half + [PACIFICA.rear_axle_to_center_m, 0]
    corners = se2.transform_points(pose.astype(np.float64), shape)
    canvas.polygon(corners, outline=_WHITE, width_px=4)
    canvas.polygon(corners, fill=(*color, opacity), outline=INK if opacity > 200 else color, width_px=2)


def _others(canvas: BevCanvas, boxes: np.ndarray | None) -> None:
    """Outlines of boxes `(M, 7)`."""
    for box in np.empty((0, 7)) if boxes is None else boxes:
        canvas.polygon(bev_corners(box), outline=INK, width_px=2)


def _rings(canvas: BevCanvas, considered: Considered, moment: int) -> None:
    """Around whom the vehicle really hits; moment 0 is now."""
    turn = np.linspace(0, 2 * np.pi, 33)
    for box in [] if considered.struck is None else considered.struck[moment]:
        ring = box[:2] + max(box[3] / 2, _RING_M) * np.stack([np.cos(turn), np.sin(turn)], axis=-1)
        canvas.polyline(ring, INK, 6)
        canvas.polyline(ring, STRUCK, 3)


def _stop_line(canvas: BevCanvas, considered: Considered) -> None:
    """Across the route where a light that is not green closes it."""
    route = considered.route.astype(np.float64)
    if len(route) < 2 or not np.isfinite(considered.stop_m):
        return
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(route, axis=0), axis=-1))])
    if considered.stop_m > along[-1]:
        return
    ends = [np.array([np.interp(considered.stop_m + d, along, axis) for axis in route.T]) for d in (-0.5, 0.5)]
    ahead = (ends[1] - ends[0]) / max(np.linalg.norm(ends[1] - ends[0]), 1e-6)
    left, middle = np.array([-ahead[1], ahead[0]]) * 0.9 * _LANE_M, (ends[0] + ends[1]) / 2
    line = np.stack([middle - left, middle + left])
    canvas.polyline(line, _WHITE, 9)
    canvas.polyline(line, RED_LIGHT, 6)


def _scale(canvas: BevCanvas) -> None:
    """A bar of `_SCALE_M` in the lower left corner."""
    low_x, high_y = canvas.range_m[0] + 1.2, canvas.range_m[3] - 1.2
    bar = np.array([[low_x, high_y], [low_x, high_y - _SCALE_M]])
    canvas.polyline(bar, _WHITE, 6)
    canvas.polyline(bar, INK, 3)
    column, row = canvas.to_pixel(bar[0])
    canvas.text(f"{_SCALE_M:g} m", (column + 4, row - 24))


def _canvas(grid: VoxelGrid, range_m: Range, width_px: int, moved_m: Sequence[float] = (0, 0)) -> BevCanvas:
    """A canvas of whole cells of the grid, which may lie outside of it, and which shows a range, moved a bit."""
    x0, y0, x1, y1 = range_m
    low = grid.origin_m[:2] + grid.voxel_m * np.round((np.add((x0, y0), moved_m) - grid.origin_m[:2]) / grid.voxel_m)
    size = grid.voxel_m * np.round(np.array([x1 - x0, y1 - y0]) / grid.voxel_m)
    return BevCanvas((*low, *(low + size)), width_px / size[1])


def _cut(cells: np.ndarray, grid: VoxelGrid, canvas: BevCanvas, beyond: Color) -> np.ndarray:
    """Those of the colours `(X, Y, C)` of a grid that a canvas shows, and `beyond` where it shows more."""
    corners = np.reshape(canvas.range_m, (2, 2))
    low, high = np.round((corners - grid.origin_m[:2]) / grid.voxel_m).astype(int)
    shown = np.empty((*(high - low), len(beyond)), np.uint8)
    shown[:] = beyond
    begin, end = np.maximum(low, 0), np.minimum(high, cells.shape[:2])
    if (begin < end).all():
        inside = tuple(slice(a, b) for a, b in zip(begin - low, end - low, strict=True))
        shown[inside] = cells[begin[0] : end[0], begin[1] : end[1]]
    return shown


def _step(time_s: float) -> int:
    """Number of a plan's pose at a time after t0."""
    return round(time_s / PLAN_DT_S) - 1
