"""The Lovasz loss against its definition; voxel losses against plain cross-entropy."""

import torch
from torch.nn import functional as F

from drivewm.tokenizers.losses import lovasz_softmax, voxel_losses


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_hard_predictions_give_one_minus_the_mean_iou_of_present_classes():
    labels = torch.randint(3, (200,), generator=rng())
    guess = torch.where(torch.rand(200, generator=rng(1)) < 0.3, torch.randint(4, (200,), generator=rng(2)), labels)
    ious = []
    for c in labels.unique():
        ious.append(((guess == c) & (labels == c)).sum() / ((guess == c) | (labels == c)).sum())
    expected = 1 - torch.stack(ious).mean()
    assert torch.allclose(lovasz_softmax(F.one_hot(guess, 4).float(), labels), expected, atol=1e-6)


def test_perfect_probabilities_cost_nothing():
    labels = torch.randint(5, (50,), generator=rng())
    assert lovasz_softmax(F.one_hot(labels, 5).float(), labels) == 0


def test_cross_entropy_is_weighted_over_all_voxels():
    logits = torch.randn(2, 6, 4, 3, 2, generator=rng())
    labels = torch.randint(6, (2, 4, 3, 2), generator=rng(1)).to(torch.uint8)
    weight = torch.rand(6, generator=rng(2)) + 0.5
    losses = voxel_losses(logits, labels, weight, 16, rng(3))
    flat = logits.movedim(1, -1).reshape(-1, 6)
    assert torch.allclose(losses["loss_cross_entropy"], F.cross_entropy(flat, labels.flatten().long(), weight))


def test_the_subset_of_the_lovasz_term_is_unbiased_towards_the_whole():
    logits = torch.randn(1, 3, 8, 8, 4, generator=rng())
    labels = torch.randint(3, (1, 8, 8, 4), generator=rng(1)).to(torch.uint8)
    whole = lovasz_softmax(logits.movedim(1, -1).reshape(-1, 3).softmax(-1), labels.flatten().long())
    part = voxel_losses(logits, labels, torch.ones(3), 20_000, rng(2))["loss_lovasz"]
    assert torch.allclose(part, whole, atol=0.02)
