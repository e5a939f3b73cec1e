"""Predicted point clouds beside the measured one: from above, from the driver's place, as range images, as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from drivewm.evaluation.functional.lidar_forecast import in_lidar_t0
from drivewm.evaluation.functional.nearest import nearest
from drivewm.geometry import se3
from drivewm.structures import SceneClip
from drivewm.visualization.bev import height_colors
from drivewm.visualization.clips import clock, times_since_t0
from drivewm.visualization.compare import nearest_frames
from drivewm.visualization.files import write_gif, write_mp4, write_png
from drivewm.visualization.panels import arrange
from drivewm.visualization.points import draw_points, write_points

_SHOWN_S, _FPS = (1.0, 2.0, 3.0), 2.0
_FAR_OFF_M = 2.0
_DARK = (20, 24, 32)
_EYE_M, _DOWN_RAD = np.array([-7.0, 0.0, 4.0]), 0.2
"""Where the driver's view is taken from, in the ego frame, and how far it looks down."""


def draw_point_forecast(
    clip: SceneClip,
    clouds: Mapping[str, Sequence[np.ndarray]],
    out_dir: str | Path,
    item: int = 0,
    range_m: float = 50.0,
    points_as: str = "ply",
) -> dict[str, Path]:
    """Draw point clouds that were predicted for one clip of a batch beside what was measured.

    Writes sheets with a row for the truth and each predictor and a column for 1, 2, 3 s: `points_bev.png` (from above,
    by height), `points_error.png` (by distance to the nearest true point), `points_driver.png` (from behind the ego)
    and `points_range.png` (range images); `points.gif` and `points.mp4` over time; `NAME_TIMEs.ply` of these clouds.

    Args:
        clip: with points, `T_ego_lidar` and future frames.
        clouds: name -> F clouds `(N, 3)` [m], each in the ego frame of its own future frame.
        out_dir: created if missing.
        item: which clip of the batch.
        range_m: how far the pictures reach.
        points_as: one of `POINT_FORMATS`, of the files of points.

    Returns:
        the files by name: "bev", "error", "driver", "range", "gif", "mp4" and "NAME_TIMEs".

    Raises:
        ValueError: if the clip has no points or no future, or a forecast another number of frames.
    """
    if clip.points is None or not clip.num_future:
        raise ValueError(f"the clip of {clip.scene[item]} has no points or no future frames to compare with")
    future = range(clip.num_history, clip.num_frames)
    truth = [clip.points[item, t][clip.points_valid[item, t], :3].cpu().numpy() for t in future]
    for name, frames in clouds.items():
        if len(frames) != len(truth):
            raise ValueError(f"forecast {name!r} has {len(frames)} frames, but the clip has {len(truth)}")
    named = {"truth": truth, **{name: [np.asarray(cloud)[:, :3] for cloud in f] for name, f in clouds.items()}}
    times = times_since_t0(clip, item)[clip.num_history :]
    shown_s = [h for h in _SHOWN_S if h <= times[-1] + 0.26] or [round(float(times[-1]), 2)]
    shown = nearest_frames(times, shown_s)
    sensors = clip.T_ego_lidar[item, clip.num_history :].double().cpu().numpy()
    out_dir, titles = Path(out_dir), [name.replace("_", " ") for name in named]

    def sheet(name: str, title: str, draw) -> Path:
        rows = [[draw(frames[f], f) for f in shown] for frames in named.values()]
        columns = [f"t0 + {h:g} s" for h in shown_s]
        picture = arrange(rows, title=f"{clip.scene[item]}: {title}", column_titles=columns, row_titles=titles)
        return write_png(out_dir / name, picture)

    def above(cloud: np.ndarray, f: int) -> np.ndarray:
        return draw_points(cloud, range_m=range_m, size_px=340)

    def error(cloud: np.ndarray, f: int) -> np.ndarray:
        return draw_points(cloud, colors=error_colors(cloud, truth[f]), range_m=range_m, size_px=340)

    frames = [
        arrange(
            [[above(c[f], f) for c in named.values()], [driver_view(c[f], (340, 200)) for c in named.values()]],
            title=clock(time_s),
            column_titles=titles,
        )
        for f, time_s in enumerate(times)
    ]
    files = {
        "bev": sheet("points_bev.png", "points by height", above),
        "error": sheet("points_error.png", f"distance to the nearest true point, red from {_FAR_OFF_M:g} m", error),
        "driver": sheet("points_driver.png", "from behind the ego", lambda cloud, f: driver_view(cloud, (400, 230))),
        "range": sheet("points_range.png", "range images", lambda cloud, f: range_image(cloud, sensors[f])),
        "gif": write_gif(out_dir / "points.gif", frames, _FPS),
        "mp4": write_mp4(out_dir / "points.mp4", frames, _FPS),
    }
    for name, frames_of in named.items():
        for f, time_s in zip(shown, shown_s, strict=True):
            files[f"{name}_{time_s:g}s"] = write_points(out_dir / f"{name}_{time_s:g}s.{points_as}", frames_of[f])
    return files


def error_colors(cloud: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Colours `(N, 3)` uint8 of points `(N, 3)` by the distance to the nearest of the true ones: pale to red."""
    if not len(cloud) or not len(truth):
        return np.full((len(cloud), 3), 190, np.uint8)
    squared, _ = nearest(cloud.astype(np.float32), truth.astype(np.float32))
    share = np.clip(np.sqrt(squared) / _FAR_OFF_M, 0, 1)[:, None]
    return np.round((1 - share) * np.array([150, 190, 200]) + share * np.array([235, 40, 40])).astype(np.uint8)


def driver_view(cloud: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Points `(N, 3)` [m, ego frame] as seen from behind the ego, by height, near ones larger: `(H, W, 3)` uint8."""
    width, height = size
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = _DARK
    offset = cloud.astype(np.float64) - _EYE_M
    ahead = np.cos(_DOWN_RAD) * offset[:, 0] - np.sin(_DOWN_RAD) * offset[:, 2]
    up = np.sin(_DOWN_RAD) * offset[:, 0] + np.cos(_DOWN_RAD) * offset[:, 2]
    focal = 0.55 * width
    seen = np.flatnonzero(ahead > 1.0)
    seen = seen[np.argsort(-ahead[seen], kind="stable")]  # near ones last
    column = width / 2 - focal * offset[seen, 1] / ahead[seen]
    row = height / 2 - focal * up[seen] / ahead[seen]
    colors = 80 + (height_colors(cloud[seen, 2]) * 0.68).astype(np.uint8)
    for dx, dy, farthest in ((0, 0, np.inf), (1, 0, 25.0), (0, 1, 25.0), (1, 1, 12.0)):
        x, y = np.floor(column + dx).astype(np.int64), np.floor(row + dy).astype(np.int64)
        drawn = (x >= 0) & (x < width) & (y >= 0) & (y < height) & (ahead[seen] < farthest)
        picture[y[drawn], x[drawn]] = colors[drawn]
    return picture


def range_image(
    cloud: np.ndarray, T_ego_lidar: np.ndarray, size: tuple[int, int] = (400, 32), farthest_m: float = 60.0
) -> np.ndarray:
    """Depth by azimuth (ahead in the middle) and elevation (-31 to 11 degrees), as the sensor sees: `(H, W, 3)` uint8.

    `size` is columns and beams; a beam is four pixels high. Near is bright; where nothing came back it is black.
    """
    width, height = size
    points = in_lidar_t0(cloud, se3.inverse(T_ego_lidar)).astype(np.float64)
    depth = np.linalg.norm(points, axis=-1)
    points, depth = points[depth > 0.1], depth[depth > 0.1]
    # Ahead is where the ego frame's x axis points in the LiDAR frame.
    forward = T_ego_lidar[0, :2]
    azimuth = np.arctan2(
        forward[0] * points[:, 1] - forward[1] * points[:, 0], forward[0] * points[:, 0] + forward[1] * points[:, 1]
    )
    elevation = np.arcsin(points[:, 2] / depth)
    x = np.floor((0.5 - azimuth / (2 * np.pi)) * width).astype(np.int64).clip(0, width - 1)
    y = np.floor((np.deg2rad(11) - elevation) / np.deg2rad(42) * height).astype(np.int64)
    seen = np.flatnonzero((y >= 0) & (y < height))
    seen = seen[np.argsort(-depth[seen], kind="stable")]
    picture = np.zeros((height, width, 3), np.uint8)
    near = 1 - np.clip(depth[seen] / farthest_m, 0, 1) ** 0.5
    picture[y[seen], x[seen]] = np.round(40 + near[:, None] * np.array([215, 190, 120])).astype(np.uint8)
    return picture.repeat(4, axis=0)
