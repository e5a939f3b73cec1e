"""A clip and its forecasts as a set of files: sheets, perspective pictures and animations."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from drivewm.evaluation.functional.occupancy import confusion_counts, miou
from drivewm.structures import OCC3D, SceneClip
from drivewm.visualization.bev import draw_bev
from drivewm.visualization.compare import compare_forecasts, nearest_frames, strip
from drivewm.visualization.files import write_gif, write_mp4, write_png
from drivewm.visualization.panels import arrange, classes_in, legend
from drivewm.visualization.points import draw_points
from drivewm.visualization.voxels import draw_voxels

_FPS = 2.0
_SHOWN_S = (1.0, 2.0, 3.0)


def draw_clip(clip: SceneClip, out_dir: str | Path, item: int = 0, supersampling: int = 2) -> dict[str, Path]:
    """Draw the true frames of one clip of a batch.

    Writes `clip_bev.png` (all frames from above, with boxes), `clip_t0.png` (t0 in perspective, with the path driven
    next), `clip_points.png` (the LiDAR at t0, if it was loaded), `clip.gif` and `clip.mp4` (perspective beside bird's
    eye).

    Args:
        item: which clip of the batch.
        supersampling: rays a pixel along each axis; 1 is four times as fast as 2, and less smooth.

    Returns:
        the files by name: "bev", "t0", "points", "gif", "mp4".

    Raises:
        ValueError: if the clip has no occupancy.
    """
    occupancy, times = _occupancy(clip, item), times_since_t0(clip, item)
    boxes = _boxes(clip, item)
    out_dir, title = Path(out_dir), f"{clip.scene[item]}: true frames"
    t0 = clip.num_history - 1
    path = {"truth": _future_path(clip, item)} if clip.num_future else {}
    frames = []
    for t, frame in enumerate(occupancy):
        above = draw_bev(frame, clip.grid, boxes=boxes[t] if boxes else None, pixels_per_voxel=_scale(clip.grid, 330))
        height = above.shape[0]
        scene = draw_voxels(frame, clip.grid, size=(round(1.5 * height), height), supersampling=supersampling)
        label = "observed" if t <= t0 else "future"
        frames.append(arrange([[np.concatenate([scene, above], axis=1)]], title=f"{clock(times[t])}   {label}"))
    files = {}
    if clip.points is not None:
        points = clip.points[item, t0][clip.points_valid[item, t0]].cpu().numpy()
        reach = float(clip.grid.range_m[3])
        files["points"] = write_png(
            out_dir / "clip_points.png", draw_points(points, range_m=reach, title="LiDAR at t0")
        )
    return files | {
        "bev": write_png(out_dir / "clip_bev.png", strip(occupancy, clip.grid, times, boxes=boxes, title=title)),
        "t0": write_png(
            out_dir / "clip_t0.png",
            draw_voxels(occupancy[t0], clip.grid, trajectories=path, size=(960, 600), supersampling=supersampling),
        ),
        "gif": write_gif(out_dir / "clip.gif", frames, _FPS),
        "mp4": write_mp4(out_dir / "clip.mp4", frames, _FPS),
    }


def draw_forecast(
    clip: SceneClip, forecasts: Mapping[str, np.ndarray], out_dir: str | Path, item: int = 0, supersampling: int = 2
) -> dict[str, Path]:
    """Draw forecasts of one clip of a batch beside the truth.

    Writes `forecast_bev.png` and `forecast_3d.png` (rows: truth and each predictor; columns: 1, 2, 3 s, or the last
    frame of a shorter clip; below each panel that frame's own mIoU), `history.png` (what was observed), `forecast.gif`
    and `forecast.mp4` (truth and predictors side by side over time).

    Args:
        clip: with occupancy and future frames.
        forecasts: name ("model", "ego_warped_copy") -> `(F, X, Y, Z)` uint8, each frame in its own ego frame.
        out_dir: created if missing.
        item: which clip of the batch.
        supersampling: rays a pixel along each axis; 1 is four times as fast as 2, and less smooth.

    Returns:
        the files by name: "bev", "3d", "history", "gif", "mp4".

    Raises:
        ValueError: if the clip has no occupancy or no future, or a forecast another shape.
    """
    occupancy, times = _occupancy(clip, item), times_since_t0(clip, item)
    if not clip.num_future:
        raise ValueError(f"the clip of {clip.scene[item]} has no future frames to compare a forecast with")
    truth, times_future = occupancy[clip.num_history :], times[clip.num_history :]
    forecasts = {name: np.asarray(forecast, np.uint8) for name, forecast in forecasts.items()}
    for name, forecast in forecasts.items():
        if forecast.shape != truth.shape:
            raise ValueError(f"forecast {name!r} has shape {forecast.shape}, but the truth has {truth.shape}")
    shown_s = [h for h in _SHOWN_S if h <= times_future[-1] + 0.26] or [round(float(times_future[-1]), 2)]
    shown = nearest_frames(times_future, shown_s)
    captions = {"truth": [""] * len(shown)} | {
        name: [f"mIoU {_frame_miou(forecast[f], truth[f]):.1f}" for f in shown] for name, forecast in forecasts.items()
    }
    out_dir, title = Path(out_dir), f"{clip.scene[item]}: forecast from t0"
    sheet = {"horizons_s": shown_s, "captions": captions, "title": title}
    pictures = {
        "bev": write_png(
            out_dir / "forecast_bev.png", compare_forecasts(truth, forecasts, clip.grid, times_future, **sheet)
        ),
        "3d": write_png(
            out_dir / "forecast_3d.png",
            compare_forecasts(
                truth,
                forecasts,
                clip.grid,
                times_future,
                perspective=True,
                panel_px=400,
                supersampling=supersampling,
                **sheet,
            ),
        ),
        "history": write_png(
            out_dir / "history.png",
            strip(
                occupancy[: clip.num_history],
                clip.grid,
                times[: clip.num_history],
                title=f"{clip.scene[item]}: observed",
            ),
        ),
    }
    frames = _animation(clip, truth, forecasts, times_future, 1)  # coarse: what moves is not looked at closely
    return pictures | {
        "gif": write_gif(out_dir / "forecast.gif", frames, _FPS),
        "mp4": write_mp4(out_dir / "forecast.mp4", frames, _FPS),
    }


def _animation(clip, truth, forecasts, times_s, supersampling) -> list[np.ndarray]:
    """Truth and predictors beside each other, perspective above bird's eye, one sheet a frame."""
    named = {"truth": truth, **forecasts}
    titles = [name.replace("_", " ") for name in named]
    frames = []
    for f, time_s in enumerate(times_s):
        above = [draw_bev(o[f], clip.grid, pixels_per_voxel=_scale(clip.grid, 320)) for o in named.values()]
        width = above[0].shape[1]
        size = (width, round(0.66 * width))
        scene = [draw_voxels(o[f], clip.grid, size=size, supersampling=supersampling) for o in named.values()]
        joined = [
            np.concatenate([s, np.full((6, width, 3), 255, np.uint8), a]) for s, a in zip(scene, above, strict=True)
        ]
        swatches = legend(classes_in(*named.values()), width * len(named))
        frames.append(arrange([joined], title=clock(time_s), column_titles=titles, legend=swatches))
    return frames


def _occupancy(clip: SceneClip, item: int) -> np.ndarray:
    if clip.occupancy is None:
        raise ValueError(f"the clip of {clip.scene[item]} has no occupancy to draw; load it with that modality")
    return clip.occupancy[item].cpu().numpy()


def times_since_t0(clip: SceneClip, item: int) -> np.ndarray:
    """Time of each frame relative to t0 [s]."""
    stamps = clip.timestamp_us[item].cpu().numpy()
    return (stamps - stamps[clip.num_history - 1]) / 1e6


def _boxes(clip: SceneClip, item: int) -> list[np.ndarray] | None:
    if clip.boxes is None:
        return None
    boxes, valid = clip.boxes.boxes()[item].cpu().numpy(), clip.boxes.valid[item].cpu().numpy()
    return [frame[mask] for frame, mask in zip(boxes, valid, strict=True)]


def _future_path(clip: SceneClip, item: int) -> np.ndarray:
    return clip.future_poses()[item, :, :2, 3].cpu().numpy()


def _frame_miou(prediction: np.ndarray, truth: np.ndarray) -> float:
    return 100 * float(miou(confusion_counts(prediction, truth, OCC3D.num_classes), OCC3D.occupied))


def clock(time_s: float) -> str:
    return "t0" if abs(time_s) < 0.05 else f"t0 {'+' if time_s > 0 else '-'} {abs(time_s):.1f} s"


def _scale(grid, wanted_px: int) -> int:
    return max(1, wanted_px // max(grid.shape[:2]))
