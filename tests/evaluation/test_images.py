"""PSNR, SSIM and the bicubic baseline against values worked out by hand and by other code."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from drivewm.evaluation.functional.images import psnr, ssim, through_grid


def waves(height: int = 40, width: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """A picture and a disturbed one, `(1, 3, H, W)` each, made without a generator of random numbers."""
    y, x = torch.meshgrid(torch.arange(height).float(), torch.arange(width).float(), indexing="ij")
    truth = torch.stack([0.5 + 0.4 * torch.sin(0.21 * x + 0.13 * c * y + c) for c in range(3)])[None]
    noise = torch.stack([0.1 * torch.sin(2.7 * x * (c + 1) + 1.9 * y) for c in range(3)])[None]
    return (truth + noise).clamp(0, 1), truth


def ssim_by_scipy(a: np.ndarray, b: np.ndarray) -> float:
    """Of one channel, float64."""

    def mean(values):
        return gaussian_filter(values, 1.5, truncate=3.5, mode="mirror")

    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b, covariance = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2, mean(a * b) - mean_a * mean_b
    numerator = (2 * mean_a * mean_b + 1e-4) * (2 * covariance + 9e-4)
    return (numerator / ((mean_a**2 + mean_b**2 + 1e-4) * (var_a + var_b + 9e-4))).mean()


def test_ssim_is_that_of_gaussian_filters():
    images, truth = waves()
    channels = [ssim_by_scipy(a, b) for a, b in zip(images[0].double().numpy(), truth[0].double().numpy(), strict=True)]
    assert ssim(images, truth).item() == pytest.approx(np.mean(channels), abs=1e-5)


def test_ssim_is_that_of_torchmetrics():
    """The value of torchmetrics 1.9, `structural_similarity_index_measure(..., data_range=1.0)`."""
    assert ssim(*waves()).item() == pytest.approx(0.7492196, abs=1e-5)


def test_ssim_window_by_window():
    torch.manual_seed(0)
    images, truth = torch.rand(2, 1, 1, 12, 13, dtype=torch.float64)
    place = np.arange(11) - 5
    weight = np.exp(-(place[:, None] ** 2 + place[None] ** 2) / 4.5)
    weight /= weight.sum()
    padded = [np.pad(p[0, 0].numpy(), 5, mode="reflect") for p in (images, truth)]
    values = []
    for row in range(12):
        for column in range(13):
            a, b = (p[row : row + 11, column : column + 11] for p in padded)
            mean_a, mean_b = (weight * a).sum(), (weight * b).sum()
            var_a, var_b = (weight * (a - mean_a) ** 2).sum(), (weight * (b - mean_b) ** 2).sum()
            covariance = (weight * (a - mean_a) * (b - mean_b)).sum()
            numerator = (2 * mean_a * mean_b + 1e-4) * (2 * covariance + 9e-4)
            values.append(numerator / ((mean_a**2 + mean_b**2 + 1e-4) * (var_a + var_b + 9e-4)))
    assert ssim(images, truth).item() == pytest.approx(np.mean(values), abs=1e-5)


def test_equal_pictures_and_leading_axes():
    images, truth = waves()
    pair = torch.stack([images[0], truth[0]])[None]
    both = ssim(pair, truth.expand(1, 2, 3, 40, 64))
    assert both.shape == (1, 2) and both[0, 1].item() == pytest.approx(1.0) and both[0, 0] < 0.9
    figures = psnr(pair, truth.expand(1, 2, 3, 40, 64))
    assert figures.shape == (1, 2) and figures[0, 1].item() == float("inf")


def test_psnr_of_a_known_error():
    truth = torch.full((2, 3, 4, 4), 0.5)
    images = truth.clone()
    images[0] += 0.1
    images[1, 0] += 0.1
    expected = [20.0, 20.0 + 10 * np.log10(3)]
    torch.testing.assert_close(psnr(images, truth), torch.tensor(expected, dtype=torch.float32))


def test_ssim_is_learned_from():
    """Its gradient, through products with banded matrices, is that of finite differences."""
    torch.manual_seed(0)
    images, truth = torch.rand(2, 1, 1, 12, 13)
    images.requires_grad_()
    (gradient,) = torch.autograd.grad(ssim(images, truth).sum(), images)
    step = torch.zeros_like(images)
    step[0, 0, 5, 6] = 1e-2
    slope = (ssim(images + step, truth) - ssim(images - step, truth)).item() / 2e-2
    assert gradient[0, 0, 5, 6].item() == pytest.approx(slope, rel=1e-2)


@pytest.mark.parametrize(("a", "b"), [((3, 10, 30), (3, 10, 30)), ((3, 20, 20), (3, 20, 21))])
def test_what_ssim_cannot_compare_is_refused(a, b):
    with pytest.raises(ValueError, match="one shape, at least 11 x 11, got"):
        ssim(torch.zeros(a), torch.zeros(b))


def test_the_baseline_is_what_a_picture_library_gives():
    images, _ = waves(32, 48)
    picture = Image.fromarray((255 * images[0]).round().byte().permute(1, 2, 0).numpy())
    small = picture.resize((6, 4), Image.Resampling.BICUBIC)
    expected = np.asarray(small.resize((48, 32), Image.Resampling.BICUBIC)) / 255
    found = through_grid(images[None], (4, 6))[0, 0].permute(1, 2, 0).numpy()
    # The library enlarges with another constant of the cubic (-0.5 for -0.75) and rounds in between.
    assert np.abs(found - expected).mean() < 0.02 and found.shape == expected.shape
    flat = torch.full((1, 2, 3, 32, 48), 0.3)
    torch.testing.assert_close(through_grid(flat, (2, 3)), flat)
