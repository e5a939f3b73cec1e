"""Scores of forecast views against closed forms: constant errors, equal pictures, absent views."""

import math

import pytest
import torch

from drivewm.evaluation.metrics import CameraForecastMetric

TIMES_S = torch.tensor([0.5, 1.0])


def sample(errors, valid):
    """Two frames of two views whose forecasts are off by `errors (2, 2)` grey levels everywhere."""
    truth = torch.randint(50, 150, (2, 2, 3, 16, 16), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    forecast = truth + torch.tensor(errors, dtype=torch.uint8)[..., None, None, None]
    camera = {"forecasts": {"model": forecast}, "truth": truth, "valid": torch.tensor(valid), "times_s": TIMES_S}
    return {"camera": camera | {"scene": "scene-0"}}


def figures(*samples, horizons_s=(1.0,)):
    metric = CameraForecastMetric(horizons_s=horizons_s)
    metric.process(None, samples)
    return metric.compute_metrics(metric.results)


def decibel(error):
    return 20 * math.log10(255 / error)


def test_views_count_alike_whatever_clip_they_are_of():
    """The second frame alone is 1 s after t0; an absent view counts nothing."""
    found = figures(
        sample([[9, 9], [1, 5]], [[True, True]] * 2), sample([[9, 9], [10, 99]], [[True, True], [True, False]])
    )
    assert found["model/psnr/1s"] == pytest.approx(sum(map(decibel, (1, 5, 10))) / 3, abs=1e-3)
    assert 0 < found["model/ssim/1s"] < 1


def test_equal_pictures_do_not_make_the_mean_infinite():
    found = figures(sample([[0, 0], [0, 5]], [[True, True]] * 2))
    assert found["model/psnr/1s"] == pytest.approx((60 + decibel(5)) / 2, abs=1e-3)


def test_without_any_view_there_is_no_figure():
    assert all(math.isnan(value) for value in figures(sample([[0, 0]] * 2, [[False, False]] * 2)).values())


def test_a_horizon_without_a_frame_is_an_error():
    with pytest.raises(ValueError, match=r"no frame is 2\.0 s after t0, they are at \[0\.5, 1\.0\]"):
        figures(sample([[0, 0]] * 2, [[True, True]] * 2), horizons_s=(2.0,))
