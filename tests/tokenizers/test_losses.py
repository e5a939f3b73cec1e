"""The Lovasz loss against its definition; voxel losses against plain cross-entropy, and split between processes."""

import pytest
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


def draw(seed: int, *lead: int, voxels: int, number: int) -> torch.Tensor:
    return torch.randint(voxels, (*lead, number), generator=rng(seed))


def test_cross_entropy_is_weighted_and_the_mean_over_voxels():
    logits = torch.randn(2, 6, 4, 3, 2, generator=rng())
    labels = torch.randint(6, (2, 4, 3, 2), generator=rng(1)).to(torch.uint8)
    weight = torch.rand(6, generator=rng(2)) + 0.5
    losses = voxel_losses(logits, labels, weight, draw(3, 2, voxels=24, number=16))
    flat, labels = logits.movedim(1, -1).reshape(-1, 6), labels.flatten().long()
    expected = (weight[labels] * -flat.log_softmax(-1)[torch.arange(len(flat)), labels]).mean()
    assert torch.allclose(losses["loss_cross_entropy"], expected)


def test_the_lovasz_term_is_the_mean_over_frames_on_the_drawn_voxels():
    logits = torch.randn(3, 4, 8, 7, 5, generator=rng())
    labels = torch.randint(4, (3, 8, 7, 5), generator=rng(1)).to(torch.uint8)
    drawn = draw(2, 3, voxels=280, number=50)
    expected = [
        lovasz_softmax(frame.movedim(0, -1).reshape(-1, 4)[rows].softmax(-1), label.flatten().long()[rows])
        for frame, label, rows in zip(logits, labels, drawn, strict=True)
    ]
    found = voxel_losses(logits, labels, torch.ones(4), drawn)["loss_lovasz"]
    assert torch.allclose(found, torch.stack(expected).mean())


def test_several_frames_of_a_clip_are_as_many_single_ones():
    logits = torch.randn(2, 3, 4, 5, 5, 2, generator=rng())
    labels = torch.randint(4, (2, 3, 5, 5, 2), generator=rng(1)).to(torch.uint8)
    drawn = draw(2, 2, 3, voxels=50, number=64)
    together = voxel_losses(logits, labels, torch.ones(4), drawn)
    apart = voxel_losses(logits.flatten(0, 1), labels.flatten(0, 1), torch.ones(4), drawn.flatten(0, 1))
    assert all(torch.allclose(together[name], apart[name]) for name in apart)


@pytest.mark.parametrize("processes", [2, 4])
def test_the_mean_over_processes_is_that_of_the_whole_batch(processes):
    logits = torch.randn(4, 2, 5, 6, 4, 2, generator=rng())
    labels = torch.randint(5, (4, 2, 6, 4, 2), generator=rng(1)).to(torch.uint8)
    weight, drawn = torch.tensor([1.0, 9.0, 0.1, 1.0, 3.0]), draw(2, 4, 2, voxels=48, number=10)
    whole = voxel_losses(logits, labels, weight, drawn)
    parts = [slice(rank, None, processes) for rank in range(processes)]
    shares = [voxel_losses(logits[own], labels[own], weight, drawn[own]) for own in parts]
    for name, value in whole.items():
        assert torch.allclose(torch.stack([share[name] for share in shares]).mean(), value)
