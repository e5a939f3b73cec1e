"""Views, voxels and returns of one instant on one sheet, as predicted beside as recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from drivewm.geometry import VoxelGrid
from drivewm.structures import SceneClip
from drivewm.visualization.bev import draw_bev
from drivewm.visualization.clips import clock, times_since_t0
from drivewm.visualization.compare import HORIZONS_S, nearest_frames
from drivewm.visualization.files import write_mp4, write_png
from drivewm.visualization.mosaic import mosaic
from drivewm.visualization.panels import PAPER, arrange
from drivewm.visualization.points import draw_points

_VIEW_PX, _SIDE_PX, _GAP, _FPS = 220, 330, 8, 2.0


@dataclass(frozen=True)
class Instant:
    """One frame; parts are None where they are not shown.

    Attributes:
        views: camera -> `(H, W, 3)` uint8.
        occupancy: `(X, Y, Z)` uint8.
        points: `(N, 3 + C)` [m, ego frame].
    """

    views: Mapping[str, np.ndarray] | None = None
    occupancy: np.ndarray | None = None
    points: np.ndarray | None = None


def draw_sample(clip: SceneClip, sample: Mapping[str, dict], grid: VoxelGrid | None, out_dir: str | Path) -> dict:
    """Draw what a world model of several streams predicts of a clip (B = 1), beside the truth.

    Writes `instants.png`, with a row for each of 1, 2, 3 s, and `instants.mp4` of all future frames.

    Args:
        clip: with what the sample has predictions of.
        sample: of `WorldModel.predictions`.
        grid: of the voxels; None where there are none.
        out_dir: created if missing.

    Returns:
        the files by name: "instants" and "mp4".
    """
    times_s = times_since_t0(clip, 0)[clip.num_history :]
    truth, predicted = true_instants(clip, sample), predicted_instants(clip, sample)
    far_m = 50.0 if grid is None else float(np.abs(grid.range_m[:2]).max())
    pairs = [[_picture(own, grid, far_m) for own in pair] for pair in zip(truth, predicted, strict=True)]
    shown_s = [h for h in HORIZONS_S if h <= times_s[-1] + 0.26] or [round(float(times_s[-1]), 2)]
    rows = [pairs[f] for f in nearest_frames(times_s, shown_s)]
    titles = dict(column_titles=["recorded", "predicted"])
    sheet = arrange(rows, title=clip.scene[0], row_titles=[f"t0 + {h:g} s" for h in shown_s], **titles)
    video = [arrange([pair], title=clock(time_s), **titles) for pair, time_s in zip(pairs, times_s, strict=True)]
    out_dir = Path(out_dir)
    return {
        "instants": write_png(out_dir / "instants.png", sheet),
        "mp4": write_mp4(out_dir / "instants.mp4", video, _FPS),
    }


def true_instants(clip: SceneClip, sample: Mapping[str, dict]) -> list[Instant]:
    """What was recorded of that of which the sample has predictions."""
    instants = []
    for t in range(clip.num_history, clip.num_frames):
        views = _named(clip, clip.images[0, t].cpu().numpy()) if "camera" in sample else None
        occupancy = clip.occupancy[0, t].cpu().numpy() if "forecasts" in sample else None
        points = clip.points[0, t][clip.points_valid[0, t]].cpu().numpy() if "lidar" in sample else None
        instants.append(Instant(views, occupancy, points))
    return instants


def predicted_instants(clip: SceneClip, sample: Mapping[str, dict]) -> list[Instant]:
    """The model's forecasts in a sample; returns spread over where their rays may end."""
    instants = []
    for f in range(clip.num_future):
        views = _named(clip, sample["camera"]["forecasts"]["model"][f].cpu().numpy()) if "camera" in sample else None
        occupancy = sample["forecasts"]["model"][f].cpu().numpy() if "forecasts" in sample else None
        points = sample["lidar"]["clouds"]["model_drawn"][f] if "lidar" in sample else None
        instants.append(Instant(views, occupancy, points))
    return instants


def _named(clip: SceneClip, images: np.ndarray) -> dict[str, np.ndarray]:
    """Images `(V, 3, H, W)` by the names of their cameras."""
    return dict(zip(clip.cameras, images.transpose(0, 2, 3, 1), strict=True))


def _picture(instant: Instant, grid: VoxelGrid | None, far_m: float) -> np.ndarray:
    """The views above, voxels and returns from above side by side below."""
    below = []
    if instant.occupancy is not None:
        occupancy = draw_bev(instant.occupancy, grid, pixels_per_voxel=max(1, _SIDE_PX // grid.shape[1]))
        below.append(_resized(occupancy, (round(_SIDE_PX * occupancy.shape[1] / occupancy.shape[0]), _SIDE_PX)))
    if instant.points is not None:
        below.append(draw_points(instant.points, range_m=far_m, size_px=_SIDE_PX))
    parts = [_beside(below)] if below else []
    if instant.views is not None:
        height, width = next(iter(instant.views.values())).shape[:2]
        size = (_VIEW_PX, round(_VIEW_PX * height / width))
        parts.insert(0, mosaic({name: _resized(view, size) for name, view in instant.views.items()}))
    return _beside([part.swapaxes(0, 1) for part in parts]).swapaxes(0, 1)


def _resized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.array(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def _beside(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures from left to right, aligned at the top, with a gap."""
    height = max(picture.shape[0] for picture in pictures)
    width = sum(picture.shape[1] for picture in pictures) + _GAP * (len(pictures) - 1)
    sheet, left = np.empty((height, width, 3), np.uint8), 0
    sheet[:] = PAPER
    for picture in pictures:
        sheet[: picture.shape[0], left : left + picture.shape[1]] = picture
        left += picture.shape[1] + _GAP
    return sheet
