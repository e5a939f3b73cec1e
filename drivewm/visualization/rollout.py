"""Closed-loop episodes: the map, the route, the agents, the ego and its path; as a picture and as an animation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drivewm.geometry import se2
from drivewm.structures import OCC3D, RoadMap, Rollout
from drivewm.visualization.canvas import EGO, INK, PLAN, ROUTE, BevCanvas
from drivewm.visualization.panels import arrange

_OFF_ROAD, _ROAD, _LANE = (233, 235, 230), (206, 208, 214), (243, 244, 246)
_RED_LIGHT = (222, 44, 44)

_MARGIN_M = 20.0


def draw_step(
    rollout: Rollout,
    step: int,
    *,
    view_m: float = 40.0,
    pixels_per_m: float = 6.0,
    title: str = "",
    marked: Sequence[int] = (),
) -> np.ndarray:
    """The surroundings of the ego at one step, with its heading up.

    Args:
        rollout: the episode.
        step: index of the step.
        view_m: half the width of the picture [m]; it reaches 1.5 times as far ahead as behind.
        title: before the time and the speed.
        marked: slots of agents drawn in red, e.g. those that were hit.

    Returns:
        `(H, W, 3)` uint8.
    """
    pose = rollout.poses[step]
    T_ego_global = se2.inverse(pose)
    window = (-0.8 * view_m, -view_m, 1.2 * view_m, view_m)
    canvas = BevCanvas(window, pixels_per_m, _OFF_ROAD)

    def local(points: np.ndarray) -> np.ndarray:
        return se2.transform_points(T_ego_global, np.asarray(points, np.float64)[:, :2])

    _draw_map(canvas, rollout, step, pose, window, pixels_per_m)
    canvas.polyline(local(rollout.route), (*ROUTE, 150), 5)
    canvas.polyline(local(rollout.poses[: step + 1]), EGO, 2)
    _draw_agents(canvas, rollout, step, T_ego_global, marked)
    made = np.flatnonzero(rollout.plan_step <= step)
    if len(made):
        path = local(rollout.plans[made[-1]])
        canvas.polyline(path, PLAN, 2.5)
        canvas.dots(path[1:], PLAN, 2.5, outline=(255, 255, 255))
    canvas.ego(np.zeros(3), rollout.length_m, rollout.width_m, rollout.rear_axle_to_center_m)
    status = f"{step * rollout.dt_s:.1f} s   {rollout.speed[step] * 3.6:.0f} km/h"
    canvas.text(f"{title}   {status}" if title else status, (9, 8))
    return canvas.image()


def draw_rollout(
    rollout: Rollout,
    *,
    times: int = 4,
    view_m: float = 32.0,
    pixels_per_m: float = 4.0,
    title: str = "",
    marked: Sequence[int] = (),
) -> np.ndarray:
    """An episode on one sheet: `times` moments, evenly spaced, in their own ego frames. `(H, W, 3)` uint8."""
    steps = np.linspace(0, len(rollout.poses) - 1, times).round().astype(int)
    pictures = [draw_step(rollout, s, view_m=view_m, pixels_per_m=pixels_per_m, marked=marked) for s in steps]
    return arrange([pictures], title=title)


def draw_overview(rollout: Rollout, *, size_px: int = 640, title: str = "", marked: Sequence[int] = ()) -> np.ndarray:
    """The whole driven path on the map, global y up, with the agents at the last step. `(H, W, 3)` uint8."""
    # Turned by a quarter, the canvas (x up, y left) shows global y up and global x to the right.
    T_view_global = se2.inverse(np.array([0.0, 0.0, np.pi / 2]))
    path = se2.transform_points(T_view_global, rollout.poses[:, :2])
    route = se2.transform_points(T_view_global, np.asarray(rollout.route, np.float64))
    low, high = path.min(0) - _MARGIN_M, path.max(0) + _MARGIN_M
    side = float((high - low).max())
    middle = (low + high) / 2
    window = (*(middle - side / 2), *(middle + side / 2))
    canvas = BevCanvas(window, size_px / side, _OFF_ROAD)
    if rollout.road_map is not None:
        canvas.raster(_road_colors(rollout.road_map, se2.inverse(T_view_global), window, size_px / side))
    canvas.polyline(route, (*ROUTE, 150), 5)
    _draw_agents(canvas, rollout, len(rollout.poses) - 1, T_view_global, marked)
    canvas.polyline(path, PLAN, 2.5)
    last = se2.compose(T_view_global, rollout.poses[-1])
    canvas.ego(last, rollout.length_m, rollout.width_m, rollout.rear_axle_to_center_m)
    if title:
        canvas.text(title, (9, 8))
    return canvas.image()


def animate_rollout(
    rollout: Rollout,
    *,
    every: int = 2,
    view_m: float = 32.0,
    pixels_per_m: float = 5.0,
    title: str = "",
    marked: Sequence[int] = (),
) -> list[np.ndarray]:
    """Frames of an episode, every `every`-th step; play them at `1 / (every * rollout.dt_s)` frames a second."""
    return [
        draw_step(
            rollout,
            s,
            view_m=view_m,
            pixels_per_m=pixels_per_m,
            title=title,
            marked=marked,
        )
        for s in range(0, len(rollout.poses), every)
    ]


def _draw_map(
    canvas: BevCanvas, rollout: Rollout, step: int, pose: np.ndarray, window: tuple[float, ...], pixels_per_m: float
) -> None:
    """Road, lanes and the beginnings of connectors whose light is red."""
    if rollout.road_map is None:
        return
    T_ego_global, lanes = se2.inverse(pose), rollout.road_map.lanes
    canvas.raster(_road_colors(rollout.road_map, pose, window, pixels_per_m))
    for lane in lanes.values():
        canvas.polyline(se2.transform_points(T_ego_global, lane.centerline), _LANE, 1)
    if rollout.lights is not None:
        for number in rollout.lights.lane[rollout.lights.red[step]]:
            if int(number) in lanes:
                canvas.polyline(se2.transform_points(T_ego_global, lanes[int(number)].centerline[:4]), _RED_LIGHT, 4)


def _draw_agents(
    canvas: BevCanvas, rollout: Rollout, step: int, T_view_global: np.ndarray, marked: Sequence[int]
) -> None:
    agents = rollout.agents
    for slot in np.flatnonzero(agents.valid[step]):
        box = agents.boxes[step, slot].copy()
        box[[0, 1, 6]] = se2.compose(T_view_global, box[[0, 1, 6]])
        fill = (214, 32, 38) if slot in marked else OCC3D.colors[agents.label[slot]]
        canvas.box(box, INK, fill=fill, width_px=1)


def _road_colors(road_map: RoadMap, pose: np.ndarray, window: tuple[float, ...], pixels_per_m: float) -> np.ndarray:
    """Road and off-road colours `(X, Y, 3)` uint8 of a window [m] in the frame of `pose`, one cell a pixel."""
    x0, y0, x1, y1 = window
    rows, columns = max(1, round((x1 - x0) * pixels_per_m)), max(1, round((y1 - y0) * pixels_per_m))
    x = x0 + (np.arange(rows) + 0.5) * (x1 - x0) / rows
    y = y0 + (np.arange(columns) + 0.5) * (y1 - y0) / columns
    cells = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)
    drivable = road_map.is_drivable(se2.transform_points(np.asarray(pose, np.float64), cells)).reshape(rows, columns)
    return np.where(drivable[..., None], _ROAD, _OFF_ROAD).astype(np.uint8)
