"""Camera views as pictures: where each view stands, and what stands beside the true ones."""

import numpy as np
import pytest
import torch
from PIL import Image

from drivewm.tokenizers import CameraTokenizer
from drivewm.visualization.mosaic import mosaic
from drivewm.visualization.reconstructions import draw_views
from tests.tokenizers.views import TOKENIZER, make_clip

NUSCENES = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_FRONT_LEFT")


def plain_views(names) -> dict[str, np.ndarray]:
    """One colour each."""
    return {name: np.full((40, 100, 3), 20 + 30 * i, np.uint8) for i, name in enumerate(names)}


def test_six_views_stand_around_the_car():
    views = plain_views(NUSCENES)
    picture = mosaic(views)
    assert picture.shape == (84, 308, 3)
    places = {"CAM_FRONT_LEFT": (0, 0), "CAM_FRONT": (0, 1), "CAM_FRONT_RIGHT": (0, 2)}
    places |= {"CAM_BACK_LEFT": (1, 0), "CAM_BACK": (1, 1), "CAM_BACK_RIGHT": (1, 2)}
    for name, (row, column) in places.items():
        assert (picture[44 * row + 35, 104 * column + 95] == views[name][0, 0]).all(), name


def test_other_rigs_are_three_in_a_row():
    assert mosaic(plain_views("abcd")).shape == (84, 308, 3)
    assert mosaic(plain_views("ab")).shape == (40, 204, 3)
    with pytest.raises(ValueError, match="a mosaic needs views of one size"):
        mosaic(plain_views("a") | {"b": np.zeros((3, 4, 3), np.uint8)})
    with pytest.raises(ValueError, match="no view"):
        mosaic({})


def test_true_views_tokens_and_bicubic_on_one_sheet(tmp_path):
    torch.manual_seed(0)
    tokenizer, clip = CameraTokenizer(**TOKENIZER).eval(), make_clip()
    clip.images[1, 0, 0] = torch.randint(256, (3, 32, 64), dtype=torch.uint8)  # so that it is found in one place alone
    clip.images_valid[1, 0, 2], clip.images[1, 0, 2] = False, 0
    files = draw_views(tokenizer, clip, tmp_path, item=1)
    assert set(files) == {"views"}
    sheet = np.asarray(Image.open(files["views"]))
    assert sheet.shape[1] > 3 * 64 and sheet.shape[0] > 3 * 32
    # The true views stand on it as they are; below the plate with the name.
    truth = clip.images[1, 0, 0].permute(1, 2, 0).numpy()[28:]
    windows = np.lib.stride_tricks.sliding_window_view(sheet, truth.shape)
    assert (windows == truth).all((-3, -2, -1)).sum() == 1
