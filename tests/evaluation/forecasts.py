"""Noisy forecasts of random scenes, for the tests of their scores."""

import numpy as np

CLASSES = np.array([4, 7, 11, 15, 17], np.uint8)
MODELS = {"model": 0.2, "copy_last": 0.6, "ego_warped_copy": 0.4}


def make_sample(rng, scene="a", frames=6, token=None, classes=CLASSES):
    """A window of noisy forecasts; `MODELS` says which share of each is noise."""
    truth = rng.choice(classes, (frames, 6, 5, 4))
    forecasts = {}
    for name, share in MODELS.items():
        noise = rng.random(truth.shape) < share
        forecasts[name] = np.where(noise, rng.choice(classes, truth.shape), truth).astype(np.uint8)
    return {
        "scene": scene,
        "sample_token": token,
        "forecasts": forecasts,
        "truth": truth,
        "times_s": 0.5 * np.arange(1, frames + 1),
        "visible": rng.random(truth.shape) < 0.6,
        "newly_seen": rng.random(truth.shape) < 0.2,
    }


def row_of(report, predictor, windows="evaluated"):
    (row,) = [r for r in report["rows"] if r["predictor"] == predictor and r["windows"] == windows]
    return row
