"""Attention, position codes and resampling against plain formulas."""

import torch
from torch.nn import functional as F

from drivewm.layers.attention import Block, TemporalAttention
from drivewm.layers.conv import ResBlock, downsample, upsample
from drivewm.layers.position import fourier_features


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_temporal_attention_equals_a_loop_over_cells():
    torch.manual_seed(0)
    layer = TemporalAttention(8, 2)
    x, memory = torch.randn(2, 3, 8, generator=rng()), torch.randn(2, 3, 4, 8, generator=rng(1))
    visible = torch.rand(2, 3, 4, generator=rng(2)) < 0.5
    out = layer(x, *layer.keys_values(memory), visible)
    for b in range(2):
        for n in range(3):
            k, v = layer.kv(memory[b, n][visible[b, n]]).chunk(2, -1)
            k, v = torch.cat([k, layer.null[:1]]), torch.cat([v, layer.null[1:]])
            q = layer.q(x[b, n])
            heads = [
                (k[:, h] @ q[h] / 2).softmax(0) @ v[:, h] for h in (slice(0, 4), slice(4, 8))
            ]
            assert torch.allclose(out[b, n], layer.out(torch.cat(heads)), atol=1e-5)


def test_without_anything_visible_the_memory_does_not_matter():
    torch.manual_seed(0)
    block = Block(8, 2, 8)
    x, condition = torch.randn(2, 5, 8, generator=rng()), torch.randn(2, 8, generator=rng(1))
    hidden = torch.zeros(2, 5, 3, dtype=torch.bool)
    outputs = [
        block(x, condition, *block.temporal.keys_values(torch.randn(2, 5, 3, 8, generator=rng(s))), hidden) for s in (2, 3)
    ]
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
