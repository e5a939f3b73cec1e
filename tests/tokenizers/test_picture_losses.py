"""Losses over pictures, written out on small ones."""

import pytest
import timm
import torch

from drivewm.evaluation.functional.images import ssim
from drivewm.tokenizers import CameraTokenizer
from drivewm.tokenizers.picture_losses import PerceptualLoss, picture_losses
from tests.tokenizers.views import TOKENIZER, make_clip

NAME = "test_efficientnet"


@pytest.fixture(scope="module")
def pictures() -> torch.Tensor:
    return torch.rand(2, 4, 3, 32, 48, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "weights.pth"
    torch.save(timm.create_model(NAME).state_dict(), path)
    return path


def test_views_that_are_not_valid_add_nothing(pictures):
    ours, truth = pictures
    valid = torch.tensor([True, False, True, True])
    losses = picture_losses(ours, truth, valid)
    each = [(ours[j] - truth[j]).abs().mean() for j in (0, 2, 3)]
    torch.testing.assert_close(losses["loss_l1"], sum(each) / 4)
    torch.testing.assert_close(losses["loss_ssim"], (1 - ssim(ours, truth))[valid].sum() / 4)


def test_perceptual_distance_is_that_of_normalised_features(pictures, weights):
    loss = PerceptualLoss(NAME, weights, weight=0.5, reductions=(4, 8))
    ours, truth = pictures
    expected = 0
    for a, b in zip(loss.network(ours), loss.network(truth), strict=True):
        a, b = (f / f.square().sum(1, keepdim=True).sqrt() for f in (a, b))
        expected = expected + (2 - 2 * (a * b).sum(1)).mean((1, 2))  # |a - b|^2 of vectors of length 1
    valid = torch.tensor([True, True, False, True])
    torch.testing.assert_close(loss(ours, truth, valid), 0.5 * expected[valid].sum() / 4, atol=1e-5, rtol=1e-4)
    assert loss(truth, truth, valid) < 1e-6


def test_the_perceptual_network_is_neither_trained_nor_saved(weights):
    torch.manual_seed(0)
    perceptual = dict(backbone=NAME, weights=weights, weight=0.1)
    tokenizer = CameraTokenizer(**TOKENIZER, quantize_after=5, perceptual=perceptual).train()
    losses = tokenizer(make_clip(), mode="loss")
    losses["loss_perceptual"].backward()
    assert tokenizer.decoder.head[-1].weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in tokenizer.perceptual.network.parameters())
    plain = CameraTokenizer(**TOKENIZER)
    assert tokenizer.state_dict().keys() == plain.state_dict().keys()
