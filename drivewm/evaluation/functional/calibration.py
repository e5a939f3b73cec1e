"""Are a forecast's probabilities to be believed? Negative log-likelihood, Brier score and calibration error.

Sums over voxels add up over frames, samples and processes, as confusion counts do; scores are taken once, from the sum.
torch, so that probabilities need not leave the device that they were made on.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

BINS = 15
"""Bins of the confidence, as many as Guo et al. (2017) have."""
FLOOR = 2.0**-24
"""Smaller probabilities count as this one, the smallest that float16 holds: no voxel's NLL is above 16.6."""
_SUM_TOLERANCE = 0.02  # float16 rounds each of them by up to 2^-12


class VoxelCalibration(NamedTuple):
    """What each of N voxels adds to the sums: all `(N,)`."""

    nll: Tensor
    brier: Tensor
    confidence: Tensor
    correct: Tensor


def voxel_calibration(probabilities: Tensor, truth: Tensor) -> VoxelCalibration:
    """Scores of each voxel.

    Args:
        probabilities: `(C, ...)` float (any), of each class.
        truth: `(...)` uint8 labels, on the same device.

    Returns:
        -log p(true class); Brier score, the squared distance to the one-hot truth, 0 to 2 (Brier, 1950); confidence,
        the largest probability; and whether its class is the true one.

    Raises:
        ValueError: if shapes disagree, a probability is not in [0, 1], those of a voxel do not add up to 1, or a label
            has none.
    """
    if probabilities.shape[1:] != truth.shape:
        raise ValueError(f"probabilities of shape {tuple(probabilities.shape)} do not fit truth {tuple(truth.shape)}")
    p, label = probabilities.float().flatten(1), truth.reshape(-1).long()
    if label.numel() and int(label.max()) >= len(p):
        raise ValueError(f"truth holds label {int(label.max())}, but there are probabilities of {len(p)} classes")
    confidence, top = p.max(0)
    if p.numel() and not (float(p.min()) >= 0 and float(confidence.max()) <= 1):  # NaN fails both
        raise ValueError(f"probabilities must lie in [0, 1], got {float(p.min())} to {float(confidence.max())}")
    off = (p.sum(0) - 1).abs()
    if p.numel() and float(off.max()) > _SUM_TOLERANCE:
        raise ValueError(f"probabilities of a voxel must add up to 1, but one's are off by {float(off.max()):.3g}")
    of_truth = p.gather(0, label[None])[0]
    brier = p.square().sum(0) - 2 * of_truth + 1
    return VoxelCalibration(-of_truth.clamp_min(FLOOR).log(), brier, confidence, top == label)


def calibration_sums(voxels: VoxelCalibration, mask: Tensor | None = None, bins: int = BINS) -> np.ndarray:
    """Sums over the voxels where `mask (N,)` is True (None: all): float64 `(3, 1 + bins)`.

    Column 0 holds the number of voxels and the sums of NLL and Brier score; column b, for the confidences in
    ((b - 1) / bins, b / bins], the number of voxels and the sums of confidence and of correct ones.
    """
    if mask is not None:
        voxels = VoxelCalibration(*(value[mask] for value in voxels))
    index = (voxels.confidence * bins).ceil().long().clamp(1, bins)
    weights = (None, voxels.confidence.double(), voxels.correct.double())
    sums = torch.stack([torch.bincount(index, w, bins + 1).double() for w in weights])
    sums[:, 0] = torch.stack(
        [
            torch.tensor(float(len(index)), dtype=torch.float64, device=index.device),
            voxels.nll.sum(dtype=torch.float64),
            voxels.brier.sum(dtype=torch.float64),
        ]
    )
    return sums.cpu().numpy()


def calibration_sums_reference(
    probabilities: np.ndarray, truth: np.ndarray, mask: np.ndarray | None = None, bins: int = BINS
) -> np.ndarray:
    """The readable twin of both: voxel by voxel, `probabilities (C, N)`, `truth (N,)`, `mask (N,)`."""
    sums = np.zeros((3, 1 + bins))
    for voxel, label in enumerate(truth):
        if mask is not None and not mask[voxel]:
            continue
        p = probabilities[:, voxel].astype(np.float64)
        wanted = np.arange(len(p)) == label
        sums[:, 0] += 1, -np.log(max(p[label], FLOOR)), ((p - wanted) ** 2).sum()
        confidence = p.max()
        for b in range(1, bins + 1):
            if (b - 1) / bins < confidence <= b / bins:
                sums[:, b] += 1, confidence, p.argmax() == label
    return sums


def calibration_scores(sums: np.ndarray) -> dict[str, np.ndarray]:
    """Scores from sums `(..., 3, 1 + bins)`, each `(...)`; NaN where there were no voxels.

    `nll` [nats] and `brier` per voxel; `ece`, expected calibration error in [0, 1]: the mean over voxels of the
    distance between their bin's mean confidence and its share of correct ones (Guo et al., 2017).
    """
    voxels, nll, brier = np.moveaxis(sums[..., 0], -1, 0)
    gap = np.abs(sums[..., 1, 1:] - sums[..., 2, 1:]).sum(-1)
    some = voxels > 0
    divide = {
        name: np.divide(v, voxels, out=np.full(voxels.shape, np.nan), where=some)
        for name, v in (("nll", nll), ("brier", brier), ("ece", gap))
    }
    return {name: value[()] for name, value in divide.items()}
