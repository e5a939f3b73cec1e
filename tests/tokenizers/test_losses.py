"""The Lovasz loss against its definition; voxel losses against plain cross-entropy, and split between processes."""

import pytest
import torch
from torch.nn import functional as F

from drivewm.layers import draws
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


def test_cross_entropy_is_weighted_and_the_mean_over_voxels():
    logits = torch.randn(2, 6, 4, 3, 2, generator=rng())
    labels = torch.randint(6, (2, 4, 3, 2), generator=rng(1)).to(torch.uint8)
    weight = torch.rand(6, generator=rng(2)) + 0.5
    losses = voxel_losses(logits, labels, weight, 16, rng(3))
    flat, labels = logits.movedim(1, -1).reshape(-1, 6), labels.flatten().long()
    expected = (weight[labels] * -flat.log_softmax(-1)[torch.arange(len(flat)), labels]).mean()
    assert torch.allclose(losses["loss_cross_entropy"], expected)


def test_the_subset_of_the_lovasz_term_is_unbiased_towards_the_whole_frames():
    logits = torch.randn(3, 3, 8, 8, 4, generator=rng())
    labels = torch.randint(3, (3, 8, 8, 4), generator=rng(1)).to(torch.uint8)
    whole = [
        lovasz_softmax(frame.movedim(0, -1).reshape(-1, 3).softmax(-1), label.flatten().long())
        for frame, label in zip(logits, labels, strict=True)
    ]
    part = voxel_losses(logits, labels, torch.ones(3), 20_000, rng(2))["loss_lovasz"]
    assert torch.allclose(part, torch.stack(whole).mean(), atol=0.02)


def test_several_frames_of_a_clip_are_as_many_single_ones():
    logits = torch.randn(2, 3, 4, 5, 5, 2, generator=rng())
    labels = torch.randint(4, (2, 3, 5, 5, 2), generator=rng(1)).to(torch.uint8)
    together = voxel_losses(logits, labels, torch.ones(4), 64, rng(2))
    apart = voxel_losses(logits.flatten(0, 1), labels.flatten(0, 1), torch.ones(4), 64, rng(2))
    assert all(torch.allclose(together[name], apart[name]) for name in apart)


@pytest.mark.parametrize("processes", [2, 4])
def test_the_mean_over_processes_is_that_of_the_whole_batch(monkeypatch, processes):
    logits = torch.randn(4, 2, 5, 6, 4, 2, generator=rng())
    labels = torch.randint(5, (4, 2, 6, 4, 2), generator=rng(1)).to(torch.uint8)
    weight = torch.tensor([1.0, 9.0, 0.1, 1.0, 3.0])
    whole = voxel_losses(logits, labels, weight, 10, rng(2))
    shares = []
    for rank in range(processes):
        monkeypatch.setattr(draws, "get_dist_info", lambda rank=rank: (rank, processes))
        own = slice(rank, None, processes)
        shares.append(voxel_losses(logits[own], labels[own], weight, 10, rng(2)))
    for name, value in whole.items():
        assert torch.allclose(torch.stack([share[name] for share in shares]).mean(), value)
