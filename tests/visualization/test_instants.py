"""Several streams of one instant on one sheet: what was recorded beside what is predicted."""

from dataclasses import replace

import imageio.v2 as imageio
import numpy as np
import pytest
import torch
from PIL import Image

from drivewm.visualization.forecasts import draw_model_forecast
from drivewm.visualization.instants import predicted_instants, true_instants
from drivewm.world_model import WorldModel
from tests.world_model.test_camera_stream import ALL, make_clip
from tests.world_model.tiny_joint import SIZE, randomized


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return randomized(WorldModel(streams=ALL, **SIZE))


@pytest.fixture(scope="module")
def clip():
    return make_clip().select(torch.tensor([1]))


def test_instants_hold_what_was_recorded_and_what_is_predicted(model, clip):
    with torch.inference_mode():
        (sample,) = model.predictions(clip)
    truth, predicted = true_instants(clip, sample), predicted_instants(clip, sample)
    assert len(truth) == len(predicted) == clip.num_future
    for f, (true, said) in enumerate(zip(truth, predicted, strict=True)):
        t = clip.num_history + f
        assert list(true.views) == list(said.views) == ["ahead", "left"]
        assert np.array_equal(true.views["left"], clip.images[0, t, 1].permute(1, 2, 0).numpy())
        assert np.array_equal(true.occupancy, clip.occupancy[0, t].numpy())
        assert np.array_equal(true.points, clip.points[0, t][clip.points_valid[0, t]].numpy())
        expected = sample["camera"]["forecasts"]["model"][f, 1].permute(1, 2, 0).numpy()
        assert np.array_equal(said.views["left"], expected)
        assert np.array_equal(said.occupancy, sample["forecasts"]["model"][f].numpy())
        assert said.points is sample["lidar"]["clouds"]["model_drawn"][f]


def test_a_sheet_and_a_video_are_drawn_of_any_streams(model, clip, tmp_path):
    sizes = {}
    for outputs in (("camera",), ("occupancy", "camera"), ("occupancy", "lidar", "camera")):
        model.outputs = outputs
        files = draw_model_forecast(model, clip, tmp_path / "-".join(outputs))
        assert set(files) == {"instants", "mp4"}
        sizes[outputs] = Image.open(files["instants"]).size
        assert len(imageio.mimread(files["mp4"], memtest=False)) == clip.num_future
    assert sizes["camera",][1] < sizes["occupancy", "camera"][1]
    assert sizes["occupancy", "camera"][0] < sizes["occupancy", "lidar", "camera"][0]
    model.outputs = tuple(model.streams)


def test_what_is_predicted_stands_on_the_right(model, clip, tmp_path):
    """Another truth changes the left half alone."""
    model.inputs = ("lidar",)
    sheets = []
    for images in (clip.images, 255 - clip.images):
        shown = replace(clip, images=images)
        sheets.append(np.asarray(Image.open(draw_model_forecast(model, shown, tmp_path)["instants"])).astype(int))
    changed = (sheets[0] != sheets[1]).any((0, 2))
    assert changed[: len(changed) // 2].any() and not changed[len(changed) // 2 + 20 :].any()
    model.inputs = tuple(model.streams)
