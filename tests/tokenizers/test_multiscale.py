"""Residual quantization over scales: one scale is plain quantization, more scales leave less, nothing is lost."""

import pytest
import torch
from torch.nn import functional as F

from drivewm.tokenizers.multiscale import MultiScaleQuantizer
from drivewm.tokenizers.quantizer import VectorQuantizer


def codebook(size, dim, seed):
    quantizer = VectorQuantizer(size, dim).eval()
    quantizer.codebook.normal_(generator=torch.Generator().manual_seed(seed))
    return quantizer


def latents():
    return torch.randn(3, 4, 6, 8, generator=torch.Generator().manual_seed(9))


def test_one_scale_is_plain_quantization():
    plain, x = codebook(12, 4, 0), latents()
    quantizer = MultiScaleQuantizer([plain], ((6, 8),))
    (indices,) = quantizer.encode(x)
    assert torch.equal(indices, plain.nearest(x.movedim(1, -1)))
    assert torch.equal(quantizer.decode(quantizer.lookup((indices,))), plain.lookup(indices).movedim(-1, 1))
    assert torch.equal(quantizer(x).indices[0], indices)


def test_each_scale_codes_what_the_ones_before_left():
    parts, x = [codebook(12, 4, seed) for seed in range(2)], latents()
    quantizer = MultiScaleQuantizer(parts, ((3, 4), (6, 8)))
    coarse = parts[0].nearest(F.avg_pool2d(x, 2).movedim(1, -1))
    left = x - F.interpolate(parts[0].lookup(coarse).movedim(-1, 1), (6, 8), mode="bilinear")
    fine = parts[1].nearest(left.movedim(1, -1))
    for a, b in zip(quantizer.encode(x), (coarse, fine), strict=True):
        assert torch.equal(a, b)
    for a, b in zip(quantizer(x).indices, (coarse, fine), strict=True):
        assert torch.equal(a, b)
    assert torch.allclose(quantizer.inputs(x)[1].movedim(-1, 1), left, atol=1e-6)
    whole = quantizer.decode(quantizer.lookup((coarse, fine)))
    assert torch.allclose(x - whole, left - parts[1].lookup(fine).movedim(-1, 1), atol=1e-6)
    assert torch.allclose(quantizer(x).latents, whole, atol=1e-6)


@pytest.mark.parametrize("shapes", [((6, 8),), ((3, 4), (6, 8))])
def test_the_encoder_gets_each_gradient_once(shapes):
    quantizer = MultiScaleQuantizer([codebook(12, 4, seed) for seed in range(len(shapes))], shapes)
    x, weight = latents().requires_grad_(), torch.randn(3, 4, 6, 8, generator=torch.Generator().manual_seed(1))
    (quantizer(x).latents * weight).sum().backward()
    assert torch.allclose(x.grad, weight, atol=1e-6)


def test_scales_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="one quantizer a scale"):
        MultiScaleQuantizer([codebook(12, 4, 0)], ((3, 4), (6, 8)))
    with pytest.raises(ValueError, match="agree in size"):
        MultiScaleQuantizer([codebook(12, 4, 0), codebook(13, 4, 0)], ((3, 4), (6, 8)))
    with pytest.raises(ValueError, match="coarse to fine"):
        MultiScaleQuantizer([codebook(12, 4, 0), codebook(12, 4, 0)], ((6, 8), (3, 4)))
