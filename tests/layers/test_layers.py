"""Attention, position codes and resampling against plain formulas."""

import torch
from torch.nn import functional as F

from drivewm.layers.attention import Block, CrossAttention, LocalAttention, SpatialAttention
from drivewm.layers.codes import CodePredictor
from drivewm.layers.conv import ResBlock, downsample, upsample
from drivewm.layers.position import fourier_features


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_local_attention_equals_a_loop_over_cells():
    torch.manual_seed(0)
    layer = LocalAttention(8, 2)
    x = torch.randn(2, 3, 8, generator=rng())
    keys, values = torch.randn(2, 2, 3, 4, 8, generator=rng(1))
    visible = torch.rand(2, 3, 4, generator=rng(2)) < 0.5
    visible[..., -1] = True
    out = layer(x, keys, values, visible)
    for b in range(2):
        for n in range(3):
            k, v, q = keys[b, n][visible[b, n]], values[b, n][visible[b, n]], layer.q(x[b, n])
            heads = [(k[:, h] @ q[h] / 2).softmax(0) @ v[:, h] for h in (slice(0, 4), slice(4, 8))]
            assert torch.allclose(out[b, n], layer.out(torch.cat(heads)), atol=1e-5)


def test_cross_attention_equals_a_loop_over_tokens():
    torch.manual_seed(0)
    layer = CrossAttention(8, 2)
    x, keys, values = (torch.randn(2, n, 8, generator=rng(n)) for n in (3, 5, 5))
    for grad in (True, False):  # on a CPU the two are computed in different ways
        with torch.set_grad_enabled(grad):
            out = layer(x, keys, values)
        for b in range(2):
            for n in range(3):
                q = layer.q(x[b, n])
                heads = [(keys[b, :, h] @ q[h] / 2).softmax(0) @ values[b, :, h] for h in (slice(0, 4), slice(4, 8))]
                assert torch.allclose(out[b, n], layer.out(torch.cat(heads)), atol=1e-5)


def test_what_is_not_visible_does_not_matter():
    torch.manual_seed(0)
    block = Block(8, 2, 8)
    x, condition = torch.randn(2, 5, 8, generator=rng()), torch.randn(2, 8, generator=rng(1))
    visible = torch.zeros(2, 5, 3, dtype=torch.bool)
    visible[..., -1] = True
    outputs = []
    for seed in (2, 3):
        keys, values = torch.randn(2, 2, 5, 3, 8, generator=rng(seed))
        keys[:, :, -1], values[:, :, -1] = 0.5, 1.0
        outputs.append(block(x, condition, keys, values, visible))
    assert torch.equal(*outputs)


def test_downsample_is_a_strided_convolution():
    layer = downsample(3, 5)
    weight = layer[1].weight.view(5, 3, 2, 2)
    x = torch.randn(2, 3, 8, 6, generator=rng())
    assert torch.allclose(layer(x), F.conv2d(x, weight, layer[1].bias, stride=2), atol=1e-6)
    assert upsample(3, 5)(x).shape == (2, 5, 16, 12)


def test_a_residual_block_starts_as_the_identity():
    x = torch.randn(2, 16, 4, 4, generator=rng())
    assert torch.equal(ResBlock(16)(x), x)


def test_fourier_features_tell_values_apart_up_to_the_largest():
    values = torch.linspace(-8, 8, 200)[:, None]
    code = fourier_features(values, 6, 8.0)
    assert code.shape == (200, 12)
    distance = torch.cdist(code, code) + 10 * torch.eye(200)
    assert distance.min() > 0.05


def test_alike_codes_are_treated_alike():
    torch.manual_seed(0)
    table = CodePredictor(4, 3, 8)
    codebook = torch.tensor([[0.0, 1, 5], [0.0, 1, 5.01], [4.0, 0, 0], [-1.0, 7, 3]])
    table.adopt(codebook)
    vectors = table(torch.arange(5)).detach()
    assert (vectors[0] - vectors[1]).norm() < 0.2 * (vectors[0] - vectors[2]).norm()
    logits = table.logits(torch.zeros(4, 8), table.codes[:-1]).detach()
    assert (logits.argmax(-1) == torch.arange(4)).all()
    assert (logits[0, 0] - logits[0, 1]).abs() < 0.01 < logits[0, 0] - logits[0, 2]
    assert torch.allclose(table.codes[:-1].mean(0), torch.zeros(3), atol=1e-6) and table.codes[-1].eq(0).all()
    assert torch.allclose(table.look(table.standardize(codebook)), vectors[:-1] - table.own[:-1], atol=1e-6)


def test_logits_of_codes_are_those_of_students_t():
    """The readable way: distances first, then the t distribution's logarithm."""
    torch.manual_seed(0)
    table = CodePredictor(20, 5, 7)
    for parameter in table.parameters():
        torch.nn.init.normal_(parameter)
    table.adopt(torch.randn(20, 5))
    features, guess = torch.randn(3, 4, 7), torch.randn(3, 4, 5)
    exponent, width = torch.nn.functional.softplus(table.tail(features)).split(1, dim=-1)
    distance = (guess + table.correct(features))[..., None, :] - table.codes[:-1]
    own = features @ table.own[:-1].T + table.bias
    expected = own - exponent * torch.log(width + distance.square().sum(-1))
    assert torch.allclose(table.logits(features, guess), expected, atol=1e-4)


def test_spatial_attention_equals_the_fused_kernel():
    torch.manual_seed(0)
    layer, x = SpatialAttention(8, 2), torch.randn(3, 5, 8, generator=rng())
    q, k, v = layer.qkv(x).unflatten(-1, (3, 2, -1)).permute(2, 0, 3, 1, 4)
    expected = layer.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
    assert torch.allclose(layer(x), expected, atol=1e-6)
