"""The yardstick tokenizer has the published size, keeps the protocol of tokenizers, and learns."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from drivewm.geometry import OCC3D_GRID
from drivewm.structures import TokenGrid
from drivewm.tokenizers import DecoderContext, OccWorldVAE
from tests.world_model.tiny import GRID, make_clip

SMALL = dict(
    grid=dict(range_m=GRID.range_m, voxel_m=GRID.voxel_m),
    label_dim=8,
    channels=(32, 32),
    blocks=1,
    code_dim=8,
    vocab_size=16,
)


def make_tokenizer(**options) -> OccWorldVAE:
    torch.manual_seed(0)
    tokenizer = OccWorldVAE(**(SMALL | options))
    tokenizer.quantizer.scales[0].codebook.normal_(generator=torch.Generator().manual_seed(0))
    return tokenizer


def test_size_is_the_published_one():
    """14.2 M parameters, 76.5 and 108.8 GFLOP. Tensors without contents: shapes alone are computed with."""
    with torch.device("meta"), torch.no_grad():
        tokenizer = OccWorldVAE(dict(range_m=OCC3D_GRID.range_m, voxel_m=OCC3D_GRID.voxel_m)).eval()
        parameters = sum(p.numel() for p in tokenizer.parameters()) + tokenizer.quantizer.scales[0].codebook.numel()
        assert parameters == pytest.approx(14.2e6, rel=0.02)
        with FlopCounterMode(display=False) as flops:
            latents = tokenizer.encoder(torch.empty(1, *OCC3D_GRID.shape, dtype=torch.uint8))
        assert latents.shape == (1, 128, *tokenizer.specs[0].shape) == (1, 128, 50, 50)
        assert flops.get_total_flops() == pytest.approx(76.5e9, rel=0.02)
        with FlopCounterMode(display=False) as flops:
            logits = tokenizer.decode_latents(latents[None], DecoderContext())
        assert logits.shape == (1, 1, 18, *OCC3D_GRID.shape)
        assert flops.get_total_flops() == pytest.approx(108.8e9, rel=0.02)


def test_the_widths_fit_smaller_grids():
    tokenizer, clip = make_tokenizer().eval(), make_clip()
    (tokens,) = tokenizer.encode(clip.occupancy)
    assert tokens.indices.shape == (2, 7, 8, 8) and tokens.spec == tokenizer.specs[0]
    assert tokenizer(clip).shape == (2, 7, 18, *GRID.shape)


def test_frames_are_encoded_each_for_itself_and_the_context_is_not_seen():
    tokenizer, clip = make_tokenizer().eval(), make_clip()
    (tokens,) = tokenizer.encode(clip.occupancy)
    assert torch.equal(tokens.indices[:, 3:4], tokenizer.encode(clip.occupancy[:, 3:4])[0].indices)
    alone = tokenizer.decode((tokens,), DecoderContext())
    assert torch.equal(alone, tokenizer.decode((tokens,), DecoderContext(clip.occupancy)))


def test_logits_stand_at_their_own_voxel():
    """One token that differs, without attention and so locally, changes logits around its cell only."""
    tokenizer = make_tokenizer(channels=(32,), blocks=0).eval()
    layers = [layer for layer in tokenizer.decoder.trunk if type(layer).__name__ != "CellAttention"]
    tokenizer.decoder.trunk = torch.nn.Sequential(*(torch.nn.Conv2d(8, 32, 1), layers[-1][-1]))
    indices = torch.zeros(1, 1, 16, 16, dtype=torch.int64)
    changed = indices.clone()
    changed[0, 0, 5, 9] = 3
    logits = [tokenizer.decode((TokenGrid(i, tokenizer.specs[0]),), DecoderContext()) for i in (indices, changed)]
    where = (logits[0] != logits[1])[0, 0].any(0).any(-1).nonzero()
    assert where.amin(0).tolist() == [4, 8] and where.amax(0).tolist() == [6, 10]


def test_it_learns_to_reconstruct():
    clip = make_clip(batch=2)
    clip.occupancy[:] = 17
    clip.occupancy[:, :, :, :, 0] = 11
    clip.occupancy[0, :, 4:8, 4:8, :2] = 4
    clip.occupancy[1, :, :, 12:] = 15
    tokenizer = make_tokenizer(lovasz_voxels=500).train()
    optimizer = torch.optim.Adam(tokenizer.parameters(), 3e-3)
    for _ in range(100):
        losses = tokenizer(clip, mode="loss")
        optimizer.zero_grad()
        sum(v for k, v in losses.items() if "loss" in k).backward()
        optimizer.step()
    for sample in tokenizer.eval()(clip, mode="predict"):
        assert (sample["reconstruction"] == sample["truth"]).float().mean() > 0.97
    assert losses["perplexity_8x8"] > 1.5


def test_bad_sizes_are_refused():
    with pytest.raises(ValueError, match="3 stages shrink the grid 4 times, but it has 18 x 16"):
        make_tokenizer(grid=dict(range_m=(-7.2, -6.4, -1, 7.2, 6.4, 5.4), voxel_m=0.8), channels=(32, 32, 32))
    other = make_tokenizer(grid=dict(range_m=(-8, -8, -1, 8, 8, 5.4), voxel_m=0.8))
    with pytest.raises(ValueError, match=r"(?s)VoxelGrid.*-8\.0.*VoxelGrid.*-6\.4"):
        other(make_clip(), mode="loss")
