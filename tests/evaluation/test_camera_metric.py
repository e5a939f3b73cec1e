"""The metric of camera reconstructions, against scores taken image by image."""

import numpy as np
import pytest
import torch

from drivewm.evaluation.functional.images import psnr, ssim, through_grid
from drivewm.evaluation.metrics import CameraReconstructionMetric

CAMERAS = ("CAM_FRONT", "CAM_BACK")


def make_sample(seed: int, valid=((True, True), (True, False))) -> dict:
    generator = torch.Generator().manual_seed(seed)
    truth = torch.rand(2, 2, 3, 4, 6, generator=generator).repeat_interleave(8, -1).repeat_interleave(8, -2)
    noise = 0.1 * torch.rand(truth.shape, generator=generator)
    truth, reconstruction = ((255 * x.clamp(0, 1)).byte() for x in (truth, truth + noise))
    return {
        "reconstruction": reconstruction,
        "truth": truth,
        "valid": torch.tensor(valid),
        "cameras": CAMERAS,
        "cells": (2, 3),
        "scene": f"scene-{seed}",
        "codes": {"2x2x3": torch.tensor([4, 0, 8])},
    }


def evaluate(samples: list[dict]) -> dict[str, float]:
    metric = CameraReconstructionMetric()
    for sample in samples:
        metric.process(None, [sample])
    return metric.evaluate(len(samples))


def test_figures_are_means_over_valid_images():
    samples = [make_sample(seed) for seed in range(3)]
    figures = evaluate(samples)
    scores: dict[str, list[float]] = {}
    for sample in samples:
        for t, v in ((0, 0), (0, 1), (1, 0)):
            truth = sample["truth"][t, v].float() / 255
            tokens = sample["reconstruction"][t, v].float() / 255
            small = through_grid(truth[None], (2, 3))[0]
            for pictures, image in (("tokens", tokens), ("bicubic", small)):
                for score, function in (("psnr", psnr), ("ssim", ssim)):
                    for view in ("mean", CAMERAS[v]):
                        scores.setdefault(f"{score}/{pictures}/{view}", []).append(function(image, truth).item())
    for name, values in scores.items():
        assert figures[name] == pytest.approx(np.mean(values), rel=1e-5), name
    for view in ("mean", *CAMERAS):
        gain = figures[f"psnr/tokens/{view}"] - figures[f"psnr/bicubic/{view}"]
        assert figures[f"psnr_gain/tokens/{view}"] == pytest.approx(gain)
    assert figures["psnr_gain/tokens/mean"] > 3
    assert figures["unused_codes/2x2x3"] == 1 and 1 < figures["perplexity/2x2x3"] < 2


def test_a_camera_that_is_never_there_has_no_figures():
    figures = evaluate([make_sample(0, ((True, False), (True, False)))])
    assert "psnr/tokens/CAM_FRONT" in figures and "psnr/tokens/CAM_BACK" not in figures
    with pytest.raises(ValueError, match="none of the 1 samples has a view that is valid"):
        evaluate([make_sample(0, ((False, False), (False, False)))])


def test_a_record_is_small():
    metric = CameraReconstructionMetric()
    metric.process(None, [make_sample(0)])
    (record,) = metric.results
    assert all(scores.size == 4 for scores in record["scores"].values())
