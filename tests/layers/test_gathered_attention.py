"""The kernel of gathered attention against its twin, and its gradients against finite differences."""

import pytest
import torch

from drivewm.layers.gathered_attention import GatheredAttention, gathered_attention, gathered_attention_torch


def case(dtype, batch=2, rows=7, heads=2, channels=4, table=5, looks=6, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=dtype).requires_grad_()

    q, place = draw(batch, rows, heads, channels), draw(looks, heads, channels)
    keys, values = draw(batch, table, heads, channels), draw(batch, table, heads, channels)
    index = torch.randint(table, (batch, rows, looks), generator=generator)
    there = torch.rand(batch, rows, looks, generator=generator) < 0.6
    there[..., 2] = True
    return (q, keys, values), (index, there), place


@pytest.mark.parametrize("dtype, error", [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_the_kernel_equals_its_twin_forward_and_backward(dtype, error):
    """Rows of the table that are looked at often, or never, included."""
    qkv, found, place = case(dtype, rows=40, table=30, channels=8)
    towards = torch.randn(2, 40, 2, 8, generator=torch.Generator().manual_seed(1)).to(dtype)
    results = []
    for attention in (gathered_attention, gathered_attention_torch):
        heard = attention(*qkv, *found, place)
        assert heard.dtype == dtype
        results.append((heard, *torch.autograd.grad((heard * towards).sum(), [*qkv, place])))
    for fast, slow in zip(*results, strict=True):
        assert torch.allclose(fast.float(), slow.float(), atol=error * slow.float().abs().max().item())


def test_its_gradients_are_those_of_finite_differences():
    (q, keys, values), (index, there), place = case(torch.float64)

    def heard(q, keys, values, place):
        return gathered_attention(q, keys, values, index, there, place)

    assert torch.autograd.gradcheck(heard, (q, keys, values, place))


def test_what_is_not_there_is_not_heard():
    (q, keys, values), (index, there), place = case(torch.float32)
    there = torch.zeros_like(there)
    there[..., 2] = True
    heard = gathered_attention(q, keys, values, index, there, place)
    alone = values[torch.arange(2)[:, None], index[..., 2]]
    assert torch.allclose(heard, alone)


def test_under_autocast_it_hears_nearly_the_same():
    torch.manual_seed(0)
    attention, x = GatheredAttention(8, 2), torch.randn(2, 7, 8)
    (_, keys, values), found, place = case(torch.float32)
    table = keys.flatten(2), values.flatten(2)
    whole = attention(x, *table, *found, place.flatten(1))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = attention(x, *(t.bfloat16() for t in table), *found, place.flatten(1))
    assert half.dtype == torch.bfloat16 and torch.allclose(half.float(), whole, atol=0.05)
