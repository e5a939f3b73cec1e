"""Sheets, animations, clips and charts: sizes, contents, and what does not fit."""

import imageio.v2 as imageio
import numpy as np
import pytest
from PIL import Image

from drivewm.structures import OCC3D
from drivewm.visualization import charts
from drivewm.visualization.clips import draw_clip, draw_forecast
from drivewm.visualization.compare import compare_forecasts, nearest_frames, strip
from drivewm.visualization.files import write_gif, write_mp4, write_png
from drivewm.visualization.panels import arrange, classes_in, legend

TIMES = np.arange(1, 7) * 0.5


def _frames(count=4):
    frames = np.full((count, 40, 61, 3), 240, np.uint8)
    for t in range(count):
        frames[t, 10:14, 5 + 8 * t : 9 + 8 * t] = (230, 30, 30)
    return list(frames)


def test_png_and_gif_come_back(tmp_path):
    frames = _frames()
    path = write_png(tmp_path / "new" / "a.png", frames[0])
    np.testing.assert_array_equal(np.array(Image.open(path)), frames[0])
    gif = Image.open(write_gif(tmp_path / "a.gif", frames, fps=5))
    assert gif.n_frames == 4 and gif.info["duration"] == 200 and gif.info["loop"] == 0
    for t, frame in enumerate(frames):
        gif.seek(t)
        back = np.array(gif.convert("RGB")).astype(int)
        assert np.abs(back - frame).max() <= 8  # the small red thing keeps its colour
    assert gif.info["duration"] == 1000
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.gif", "new"]  # no temporary file is left


def test_mp4_comes_back(tmp_path):
    path = write_mp4(tmp_path / "a.mp4", _frames(), fps=4)
    with imageio.get_reader(path) as reader:
        assert reader.count_frames() == 4 and reader.get_meta_data()["size"] == (60, 40)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_same_input_same_bytes(tmp_path):
    for name, write in (
        ("a.png", lambda p: write_png(p, _frames()[0])),
        ("a.gif", lambda p: write_gif(p, _frames(), 5)),
    ):
        assert write(tmp_path / name).read_bytes() == write(tmp_path / f"b{name}").read_bytes()


def test_what_is_no_picture_is_refused(tmp_path):
    with pytest.raises(ValueError, match="uint8"):
        write_png(tmp_path / "a.png", np.zeros((4, 4, 3)))
    with pytest.raises(ValueError, match="one size"):
        write_gif(tmp_path / "a.gif", [], 2)
    with pytest.raises(ValueError, match="one size"):
        write_mp4(tmp_path / "a.mp4", [*_frames(), np.zeros((2, 2, 3), np.uint8)], 2)
    assert not list(tmp_path.iterdir())


def test_sheets():
    a, b = (np.full((30, 50, 3), v, np.uint8) for v in (10, 200))
    sheet = arrange(
        [[a, b], [b, a]], column_titles=["x", "y"], row_titles=["p", "q"], captions=[["1", "2"], ["3", "4"]]
    )
    dark = (sheet == 10).all(-1)
    assert dark.sum() >= 2 * 30 * 50 and (sheet[0] == 255).all()
    assert arrange([[a, b[:, :20]], [a[:9], b[:9, :20]]]).shape[1] == sheet.shape[1] - 30 - round(15 * 1.7)
    for uneven in ([[a, b[1:]]], [[a], [b[:, 1:]]], [[a, b], [a]], [[]], []):
        with pytest.raises(ValueError, match="one height in a row and one width in a column"):
            arrange(uneven)
    with pytest.raises(ValueError, match="row_titles has 1 entries for 2"):
        arrange([[a], [b]], row_titles=["p"])


def test_legend_names_what_is_there(street):
    assert classes_in(street) == [OCC3D.index(n) for n in ("car", "driveable_surface", "manmade")]
    narrow, wide = (legend(classes_in(street), width) for width in (140, 500))
    assert narrow.shape[1] == 140 and narrow.shape[0] > wide.shape[0]
    for picture in (narrow, wide):
        assert {OCC3D.colors[i] for i in classes_in(street)} <= {tuple(c) for c in picture.reshape(-1, 3)}


def test_comparison_picks_frames_by_time(grid, street):
    truth = np.stack([street] * 6)
    assert nearest_frames(TIMES + 0.02, (1.0, 2.0, 3.0)) == [1, 3, 5]
    assert nearest_frames(TIMES[::-1], (1.0, 3.0)) == [4, 0]
    with pytest.raises(ValueError, match=r"no frame near \[3.0\] s"):
        nearest_frames(TIMES[:5], (1.0, 3.0))
    flat = compare_forecasts(truth, {"model": truth}, grid, TIMES, panel_px=96)
    deep = compare_forecasts(truth, {"model": truth}, grid, TIMES, panel_px=96, perspective=True)
    more = compare_forecasts(truth, {"model": truth, "copy_last": truth}, grid, TIMES, panel_px=96)
    assert flat.shape[1] == more.shape[1] and flat.shape[0] < more.shape[0] and deep.ndim == 3
    with pytest.raises(ValueError, match="'model' has shape"):
        compare_forecasts(truth, {"model": truth[:3]}, grid, TIMES)
    assert strip(truth, grid, TIMES - 1.5, panel_px=48).ndim == 3


def test_a_clip_becomes_files(clip, tmp_path):
    files = draw_clip(clip, tmp_path, supersampling=1)
    assert set(files) == {"bev", "t0", "points", "gif", "mp4"}
    assert Image.open(files["gif"]).n_frames == 8
    clip.occupancy = None
    with pytest.raises(ValueError, match="scene-0007 has no occupancy"):
        draw_clip(clip, tmp_path)


def test_a_forecast_becomes_files(clip, tmp_path):
    truth = clip.occupancy[0, 2:].numpy()
    files = draw_forecast(clip, {"model": truth, "copy_last": np.repeat(truth[:1], 6, 0)}, tmp_path, supersampling=1)
    assert set(files) == {"bev", "3d", "history", "gif", "mp4"}
    assert all(path.stat().st_size > 1000 for path in files.values())
    assert Image.open(files["gif"]).n_frames == 6
    with pytest.raises(ValueError, match="'model' has shape"):
        draw_forecast(clip, {"model": truth[:, :3]}, tmp_path)


def test_charts():
    image = charts.bars(
        {"idm": (0.9, 0.85, 0.95), "stop": (0.2, float("nan"), float("nan"))}, highlight="idm", title="t"
    )
    assert image.ndim == 3 and ((np.abs(image.astype(int) - [219, 20, 110]).sum(-1) < 10).sum() > 500)
    curves = {"model": {"1s": 60.0, "2s": 50.0, "avg": 55.0}, "copy_last": {"1s": 40.0, "2s": 30.0}}
    assert charts.by_horizon(curves, ceiling=("reconstruction", 80.0)).shape[-1] == 3
