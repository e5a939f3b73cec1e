"""Pictures of predicted point clouds: what is where on them."""

from dataclasses import replace

import numpy as np
import pytest

from drivewm.visualization.point_forecasts import draw_point_forecast, driver_view, error_colors, range_image
from tests.tokenizers.test_lidar import make_clip as make_frames


def make_clip():
    return replace(make_frames(5), num_history=3)


def test_all_pictures_are_written(tmp_path):
    clip = make_clip()
    truth = [clip.points[0, t, :, :3].numpy() for t in (3, 4)]
    files = draw_point_forecast(clip, {"model": truth, "shifted": [t + 1.0 for t in truth]}, tmp_path)
    names = {"bev", "error", "driver", "range", "gif", "mp4", "truth_1s", "model_1s", "shifted_1s"}
    assert set(files) == names and all(path.stat().st_size > 500 for path in files.values())


def test_errors_are_pale_where_there_is_none_and_red_where_they_are_large():
    truth = np.random.default_rng(0).uniform(-5, 5, (50, 3))
    near, far = error_colors(truth, truth), error_colors(truth + 100, truth)
    assert (near == near[0]).all() and (far == [235, 40, 40]).all() and (near[0] != far[0]).any()
    assert error_colors(truth, np.zeros((0, 3))).shape == (50, 3)


def lit(picture: np.ndarray) -> np.ndarray:
    return np.argwhere(picture.max(-1) > 60)


def test_the_driver_sees_left_on_the_left_and_near_below_far():
    left, right = (lit(driver_view(np.array([[20.0, y, 0.0]]), (200, 120))) for y in (4.0, -4.0))
    assert left[:, 1].max() < 100 < right[:, 1].min()
    near, far = (lit(driver_view(np.array([[x, 0.0, 0.0]]), (200, 120))) for x in (8.0, 40.0))
    assert near[:, 0].min() > far[:, 0].max()
    assert not len(lit(driver_view(np.array([[-20.0, 0.0, 0.0]]), (200, 120))))


def test_a_range_image_has_ahead_in_the_middle_whichever_way_the_sensor_is_turned():
    for yaw in (0.0, -np.pi / 2):
        T_ego_lidar = np.eye(4)
        T_ego_lidar[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
        T_ego_lidar[2, 3] = 1.8
        ahead = np.argwhere(range_image(np.array([[20.0, 0.0, 1.8]]), T_ego_lidar).max(-1) > 0)
        left = np.argwhere(range_image(np.array([[0.0, 20.0, 1.8]]), T_ego_lidar).max(-1) > 0)
        assert abs(ahead[0, 1] - 200) <= 1 and abs(left[0, 1] - 100) <= 1


def test_a_forecast_of_another_length_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'model' has 1 frames, but the clip has 2"):
        draw_point_forecast(make_clip(), {"model": [np.zeros((1, 3))]}, tmp_path)
