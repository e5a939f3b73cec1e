"""Submanifold convolution: both ways against a dense convolution, gradients included."""

import pytest
import torch
from torch.nn import functional as F

from drivewm.layers.sparse import HAS_SPCONV, SparseBlock, SparseVoxels, SubmanifoldConv

SHAPE = (7, 5, 4)
BACKENDS = [
    "torch",
    pytest.param("spconv", marks=pytest.mark.skipif(not HAS_SPCONV, reason="spconv is not installed")),
]


def make_voxels(frames: int = 2, dim: int = 4, share: float = 0.3) -> SparseVoxels:
    generator = torch.Generator().manual_seed(0)
    index = (torch.rand(frames, *SHAPE, generator=generator) < share).nonzero()
    return SparseVoxels(torch.randn(len(index), dim, generator=generator), index, frames, SHAPE)


def dense(voxels: SparseVoxels, conv: SubmanifoldConv) -> torch.Tensor:
    """What a dense convolution gives at the voxels that hold anything."""
    volume = torch.zeros(voxels.frames, *SHAPE, voxels.features.shape[1])
    volume[voxels.index.unbind(1)] = voxels.features
    out = F.conv3d(volume.permute(0, 4, 1, 2, 3), conv.weight.permute(0, 4, 1, 2, 3), conv.bias, padding=1)
    return out.permute(0, 2, 3, 4, 1)[voxels.index.unbind(1)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_it_is_a_dense_convolution_at_occupied_voxels(backend):
    voxels = make_voxels()
    torch.manual_seed(1)
    conv = SubmanifoldConv(4, 6, backend)
    conv.bias.data.normal_()
    assert torch.allclose(conv(voxels).features, dense(voxels, conv), atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_its_gradients_are_those_of_a_dense_convolution(backend):
    torch.manual_seed(1)
    conv, weight = SubmanifoldConv(4, 6, backend), torch.randn(6)
    found = []
    for convolve in (lambda v: conv(v).features, lambda v: dense(v, conv)):
        voxels = make_voxels()
        voxels.features.requires_grad_(True)
        (convolve(voxels).square() @ weight).sum().backward()
        found.append([voxels.features.grad, conv.weight.grad.clone(), conv.bias.grad.clone()])
        conv.zero_grad()
    for a, b in zip(*found, strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-4)


def test_frames_do_not_see_each_other():
    voxels = make_voxels()
    conv = SubmanifoldConv(4, 4, "torch")
    first = voxels.index[:, 0] == 0
    alone = conv(SparseVoxels(voxels.features[first], voxels.index[first], 1, SHAPE)).features
    assert torch.allclose(conv(voxels).features[first], alone, atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_frame_without_voxels_is_no_trouble(backend):
    empty = SparseVoxels(torch.zeros(0, 4), torch.zeros(0, 4, dtype=torch.int64), 1, SHAPE)
    assert SubmanifoldConv(4, 6, backend)(empty).features.shape == (0, 6)


def test_a_block_starts_as_the_identity():
    voxels = make_voxels()
    assert torch.equal(SparseBlock(4)(voxels).features, voxels.features)


def test_an_unknown_backend_is_refused():
    with pytest.raises(ValueError, match="backend must be auto, spconv or torch, got 'cuda'"):
        SubmanifoldConv(4, 4, "cuda")
