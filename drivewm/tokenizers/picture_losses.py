"""Losses over pictures: means over views, so that the mean over processes is that of the whole batch."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from drivewm.evaluation.functional.images import ssim
from drivewm.tokenizers.backbone import Backbone


def picture_losses(pictures: Tensor, truth: Tensor, valid: Tensor, ssim_weight: float = 1.0) -> dict[str, Tensor]:
    """Absolute error, and what SSIM lacks to 1 times its weight, of views `(J, 3, H, W)` with values 0..1.

    Views that are not `valid (J,)` add nothing; the mean is over all J all the same, since each process has as many.
    """
    l1 = (pictures.float() - truth).abs().mean((1, 2, 3))
    return {"loss_l1": _mean(l1, valid), "loss_ssim": ssim_weight * _mean(1 - ssim(pictures, truth), valid)}


class PerceptualLoss:
    """Distance of pictures in the feature maps of a frozen network, each place's features brought to length 1.

    LPIPS (Zhang et al., 2018, eq. 1) with all channels weighted alike. It is no module, so that its weights are not
    part of the checkpoint of what is trained with it.

    Args:
        backbone, weights: see `Backbone`; its features mean something only if it was trained.
        weight: of this loss.
        reductions: of the maps that are compared.
    """

    def __init__(self, backbone: str, weights: str, weight: float, reductions: Sequence[int] = (2, 4, 8)) -> None:
        self.network: nn.Module = Backbone(backbone, reductions, weights).eval().requires_grad_(False)
        self.weight = weight

    def __call__(self, pictures: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
        """Scalar, for views as in `picture_losses`."""
        ours, theirs = (self.network.to(truth.device)(p) for p in (pictures, truth))
        distance = sum(
            (F.normalize(a.float(), dim=1) - F.normalize(b.float(), dim=1)).square().sum(1).mean((1, 2))
            for a, b in zip(ours, theirs, strict=True)
        )
        return self.weight * _mean(distance, valid)


def _mean(values: Tensor, valid: Tensor) -> Tensor:
    return (values * valid).mean()
