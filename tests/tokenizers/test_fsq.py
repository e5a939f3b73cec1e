"""Finite scalar quantization against rounding by hand, and its lattice."""

import pytest
import torch

from drivewm.tokenizers.fsq import FiniteScalarQuantizer


def vectors(*shape):
    return 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_the_nearest_code_is_the_brute_force_nearest_after_squashing():
    quantizer = FiniteScalarQuantizer((8, 5, 3))
    x = vectors(7, 9, 3)
    distance = (torch.tanh(x)[..., None, :] - quantizer.codebook).abs().amax(-1)
    picked = quantizer.lookup(quantizer.nearest(x))
    # Rounding each dimension by itself is nearest in every dimension at once.
    for d, n in enumerate(quantizer.levels):
        levels = torch.linspace(-1, 1, n)
        best = (torch.tanh(x[..., d])[..., None] - levels).abs().amin(-1)
        assert torch.allclose((torch.tanh(x[..., d]) - picked[..., d]).abs(), best, atol=1e-6)
    assert distance.gather(-1, quantizer.nearest(x)[..., None]).max() <= 1.0


def test_every_code_is_its_own_nearest():
    quantizer = FiniteScalarQuantizer((4, 5))
    inside = quantizer.codebook.clamp(-0.999, 0.999)
    assert torch.equal(quantizer.nearest(torch.atanh(inside)), torch.arange(20))
    assert quantizer.vocab_size == 20 and quantizer.dim == 2


def test_gradients_pass_through_the_rounding():
    quantizer, x = FiniteScalarQuantizer((6, 6)), vectors(5, 2).requires_grad_()
    weight = torch.randn(5, 2, generator=torch.Generator().manual_seed(1))
    (quantizer(x).codes * weight).sum().backward()
    assert torch.allclose(x.grad, weight * (1 - torch.tanh(x.detach()) ** 2), atol=1e-6)


def test_levels_below_two_are_refused():
    with pytest.raises(ValueError, match=r"at least 2.*\(4, 1\)"):
        FiniteScalarQuantizer((4, 1))
