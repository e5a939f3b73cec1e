"""Vector quantization against brute force; start, updates and restarts of the codebook."""

import torch

from drivewm.tokenizers.quantizer import VectorQuantizer


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_nearest_is_the_brute_force_nearest():
    quantizer = VectorQuantizer(20, 5)
    quantizer.codebook.normal_(generator=rng())
    vectors = torch.randn(3, 4, 5, generator=rng(1))
    distance = (vectors[..., None, :] - quantizer.codebook).norm(dim=-1)
    assert torch.equal(quantizer.nearest(vectors), distance.argmin(-1))
    assert torch.equal(quantizer.nearest(quantizer.codebook), torch.arange(20))


def test_gradients_pass_straight_through():
    quantizer = VectorQuantizer(8, 3).eval()
    quantizer.codebook.normal_(generator=rng())
    vectors = torch.randn(6, 3, generator=rng(1), requires_grad=True)
    weight = torch.randn(6, 3, generator=rng(2))
    (quantizer(vectors).codes * weight).sum().backward()
    assert torch.allclose(vectors.grad, weight)


def test_kmeans_start_finds_separate_clusters():
    centers = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    vectors = (centers[:, None] + 0.1 * torch.randn(3, 200, 2, generator=rng())).flatten(0, 1)
    quantizer = VectorQuantizer(12, 2).train()
    quantizer(vectors, rng(3))
    assert quantizer(vectors, rng(4)).commitment < 0.02
    assert torch.cdist(centers, quantizer.codebook).min(1).values.max() < 0.3


def test_the_codebook_moves_by_the_exponential_average():
    quantizer = VectorQuantizer(2, 1, decay=0.9, restart_below=0.0).train()
    quantizer.started.fill_(True)
    quantizer.codebook.copy_(torch.tensor([[0.0], [10.0]]))
    quantizer.usage.fill_(4.0)
    quantizer.total.copy_(4 * quantizer.codebook)
    quantizer(torch.tensor([[1.0], [1.0], [11.0]]), rng())
    usage = torch.tensor([0.9 * 4 + 0.1 * 2, 0.9 * 4 + 0.1 * 1])
    total = torch.tensor([0.1 * 2.0, 0.9 * 40 + 0.1 * 11])
    assert torch.allclose(quantizer.codebook[:, 0], total / usage)


def test_dead_codes_are_restarted_at_data_and_live_ones_are_not():
    quantizer = VectorQuantizer(4, 1, decay=0.5, restart_below=0.2).train()
    quantizer.started.fill_(True)
    quantizer.codebook.copy_(torch.tensor([[0.0], [500.0], [600.0], [700.0]]))
    quantizer.usage.fill_(1.0)
    quantizer.total.copy_(quantizer.codebook)
    vectors = 0.01 * torch.randn(50, 1, generator=rng())
    for step in range(6):
        quantizer(vectors, rng(step))
    assert quantizer.codebook.abs().max() < 1.0


def test_evaluation_does_not_change_the_codebook():
    quantizer = VectorQuantizer(4, 2).train()
    quantizer(torch.randn(30, 2, generator=rng()), rng(1))
    before = quantizer.codebook.clone()
    quantizer.eval()(torch.randn(30, 2, generator=rng(2)))
    assert torch.equal(before, quantizer.codebook)
