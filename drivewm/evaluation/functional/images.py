"""How alike pictures are: PSNR and SSIM; and what is left of a picture at the resolution of a token grid."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2


def to_unit(images: Tensor) -> Tensor:
    """uint8 as float32 0..1."""
    return images.float() / 255


def to_uint8(pictures: Tensor) -> Tensor:
    """Values 0..1 as uint8, rounded."""
    return (255 * pictures).round().to(torch.uint8)


def psnr(images: Tensor, truth: Tensor) -> Tensor:
    """Peak signal-to-noise ratio `(...)` [dB] of pictures `(..., C, H, W)` with values 0..1; inf for equal ones."""
    return -10 * (images - truth).square().mean((-3, -2, -1)).log10()


def ssim(images: Tensor, truth: Tensor) -> Tensor:
    """Structural similarity `(...)`, at most 1, of pictures `(..., C, H, W)` with values 0..1 (Wang et al., 2004).

    Gaussian windows of 11 x 11 pixels with a deviation of 1.5 around all pixels, pictures reflected beyond their border
    as torchmetrics does; the mean over pixels and channels. In float32 whatever the autocast type, since variances are
    differences of large numbers.

    Raises:
        ValueError: the pictures are smaller than a window, or differ in shape.
    """
    if images.shape != truth.shape or min(images.shape[-2:]) < WINDOW:
        sizes = f"{tuple(images.shape)} and {tuple(truth.shape)}"
        raise ValueError(f"SSIM compares pictures of one shape, at least {WINDOW} x {WINDOW}, got {sizes}")
    with torch.autocast(images.device.type, enabled=False):
        x, y = (t.float().flatten(0, -3) for t in (images, truth))
        mean_x, mean_y, xx, yy, xy = _windows(torch.cat([x, y, x * x, y * y, x * y])).chunk(5)
        var_x, var_y, covariance = xx - mean_x**2, yy - mean_y**2, xy - mean_x * mean_y
        alike = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
        alike = alike / ((mean_x**2 + mean_y**2 + _C1) * (var_x + var_y + _C2))
        return alike.mean((1, 2)).view(images.shape[:-2]).mean(-1)


def _windows(maps: Tensor) -> Tensor:
    """Weighted means of maps `(N, H, W)` over the windows around all pixels.

    A Gaussian is one pass along each axis, and a pass a product with a banded matrix: on a CPU six times as fast, with
    its gradient, as a convolution of single channels.
    """
    return _band(maps.shape[-2], maps.device).T @ (maps @ _band(maps.shape[-1], maps.device))


def _band(size: int, device: torch.device) -> Tensor:
    """`(size, size)`: column k holds the weights of the window around k, what lies beyond the border reflected."""
    place = torch.arange(WINDOW, device=device) - WINDOW // 2
    weight = torch.exp(-place.square() / (2 * _SIGMA**2))
    column = torch.arange(size, device=device)
    row = (column + place[:, None]).abs()
    row = size - 1 - (size - 1 - row).abs()
    band = torch.zeros(size, size, device=device)
    return band.index_put((row, column.expand_as(row)), (weight / weight.sum())[:, None], accumulate=True)


def through_grid(images: Tensor, shape: tuple[int, int]) -> Tensor:
    """Pictures `(..., C, H, W)` with values 0..1, shrunk to `shape` and enlarged again, both bicubic.

    What a grid of so many colours keeps: the baseline of a tokenizer with such a grid, which stores fewer bits a cell.
    """
    flat = images.flatten(0, -4)
    small = F.interpolate(flat, shape, mode="bicubic", antialias=True)
    return F.interpolate(small, flat.shape[-2:], mode="bicubic").clamp(0, 1).view(images.shape)
