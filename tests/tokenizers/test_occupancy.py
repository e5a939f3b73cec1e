"""The occupancy tokenizer: shapes, the role of the decoder's context, that it learns, what it refuses."""

import pytest
import torch

from drivewm.tokenizers import DecoderContext, OccupancyTokenizer
from drivewm.tokenizers.context_decoder import VoxelEmbedding
from drivewm.tokenizers.occupancy import NOT_COVERED
from drivewm.tokenizers.quantizer import VectorQuantizer
from tests.world_model.tiny import GRID, TOKENIZER, make_clip


def make_tokenizer(**options) -> OccupancyTokenizer:
    torch.manual_seed(0)
    tokenizer = OccupancyTokenizer(**(TOKENIZER | options))
    for scale in tokenizer.quantizer.scales:
        if isinstance(scale, VectorQuantizer):
            scale.codebook.normal_(generator=torch.Generator().manual_seed(0))
    return tokenizer


def test_tokens_and_logits_have_the_promised_shapes():
    tokenizer, clip = make_tokenizer().eval(), make_clip()
    (tokens,) = tokenizer.encode(clip.occupancy)
    assert tokens.indices.shape == (2, 7, 4, 4) and tokens.spec == tokenizer.specs[0]
    logits = tokenizer.decode((tokens,), DecoderContext())
    assert logits.shape == (2, 7, 18, *GRID.shape)


def test_scales_come_from_coarse_to_fine():
    tokenizer, clip = make_tokenizer(coarse_scales=((1, 1), (3, 2))).eval(), make_clip()
    tokens = tokenizer.encode(clip.occupancy)
    assert [grid.spec.shape for grid in tokens] == [(1, 1), (3, 2), (4, 4)]
    assert tokenizer.decode(tokens, DecoderContext()).shape == (2, 7, 18, *GRID.shape)


def test_frames_are_encoded_each_for_itself():
    tokenizer, clip = make_tokenizer().eval(), make_clip()
    whole = tokenizer.encode(clip.occupancy)[0].indices
    assert torch.equal(whole[:, 3:4], tokenizer.encode(clip.occupancy[:, 3:4])[0].indices)


def test_logits_stand_at_their_own_voxel():
    """A context that differs in one column changes logits around that column only (one 2x2 stage, a 3x3 head)."""
    tokenizer, clip = make_tokenizer(channels=(16,), blocks=0).eval(), make_clip()
    (tokens,) = tokenizer.encode(clip.occupancy[:, :1])
    blank = torch.full((2, 1, *GRID.shape), NOT_COVERED, dtype=torch.uint8)
    changed = blank.clone()
    changed[:, :, 6, 10] = 4
    difference = tokenizer.decode((tokens,), DecoderContext(blank)) != tokenizer.decode(
        (tokens,), DecoderContext(changed)
    )
    where = difference[0, 0].any(0).any(-1).nonzero()
    assert where.amin(0).tolist() == [5, 9] and where.amax(0).tolist() == [8, 12]


def test_the_context_of_a_standing_ego_is_the_earlier_frame():
    tokenizer, clip = make_tokenizer(), make_clip()
    context = tokenizer.warp_context(clip.occupancy, torch.eye(4).expand(2, 7, 4, 4))
    assert torch.equal(context.previous, clip.occupancy)
    far = torch.eye(4).expand(2, 7, 4, 4).clone()
    far[..., 0, 3] = 100.0
    assert (tokenizer.warp_context(clip.occupancy, far).previous == NOT_COVERED).all()


@pytest.mark.parametrize(
    "quantizer", [{}, {"fsq_levels": (5, 4, 4)}, {"coarse_scales": ((2, 2),)}], ids=["vq", "fsq", "two scales"]
)
def test_it_learns_to_reconstruct(quantizer):
    clip = make_clip(batch=2)
    clip.occupancy[:] = 17
    clip.occupancy[:, :, :, :, 0] = 11
    clip.occupancy[0, :, 4:8, 4:8, :2] = 4
    clip.occupancy[1, :, :, 12:] = 15
    tokenizer = make_tokenizer(lovasz_voxels=500, **quantizer).train()
    optimizer = torch.optim.Adam(tokenizer.parameters(), 5e-3)
    for _ in range(120):
        losses = tokenizer(clip, mode="loss")
        optimizer.zero_grad()
        sum(v for k, v in losses.items() if "loss" in k).backward()
        optimizer.step()
    samples = tokenizer.eval()(clip, mode="predict")
    for sample in samples:
        assert (sample["reconstruction"] == sample["truth"]).float().mean() > 0.97
    assert losses["perplexity_4x4"] > 1.5


@pytest.mark.parametrize("patch", [1, 2])
def test_a_convolution_of_looked_up_features_needs_no_features(patch):
    torch.manual_seed(0)
    embedding, conv = VoxelEmbedding(19, 4), torch.nn.Conv2d(4 * 3 * patch**2, 5, 1)
    labels = torch.randint(19, (2, 8, 6, 3), dtype=torch.uint8)
    plain = conv(torch.nn.functional.pixel_unshuffle(embedding(labels), patch))
    direct = embedding.through(labels, conv.weight, conv.bias, patch)
    torch.testing.assert_close(direct, plain)
    seed = torch.randn_like(plain)
    weights = (embedding.table.weight, conv.weight, conv.bias)
    for a, b in zip(*(torch.autograd.grad((y * seed).sum(), weights) for y in (direct, plain)), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_bad_sizes_are_refused():
    with pytest.raises(ValueError, match="3 stages shrink the grid 8 times, but it has 20 x 16"):
        OccupancyTokenizer(dict(range_m=(-8, -6.4, -1, 8, 6.4, 5.4), voxel_m=0.8), channels=(8, 8, 8))
    other = OccupancyTokenizer(dict(range_m=(-8, -8, -1, 8, 8, 5.4), voxel_m=0.8), channels=(16, 16))
    with pytest.raises(ValueError, match=r"(?s)VoxelGrid.*-8\.0.*VoxelGrid.*-6\.4"):
        other(make_clip(), mode="loss")


def test_an_untrained_decoder_copies_what_it_is_shown():
    torch.manual_seed(0)
    tokenizer, clip = OccupancyTokenizer(**TOKENIZER).eval(), make_clip()
    tokens = tokenizer.encode(clip.occupancy)
    copied = tokenizer.decode(tokens, DecoderContext(clip.occupancy)).argmax(2)
    assert (copied == clip.occupancy).float().mean() > 0.99


def test_the_copy_is_a_mixture_whatever_its_class():
    """Written out for each voxel: the copy's share goes to the class it has, the rest is what the decoder draws."""
    torch.manual_seed(0)
    decoder = OccupancyTokenizer(**TOKENIZER).decoder
    logits, trust = torch.randn(2, 18, 4, 3, 3), torch.randn(2, 1, 4, 3, 3)
    previous = torch.randint(19, (2, 4, 3, 3), dtype=torch.uint8)
    mixed = decoder._copy(logits, trust, previous).softmax(1)
    share = torch.sigmoid(trust[:, 0] + 3.0) * (previous < 18)
    expected = logits.softmax(1) * (1 - share)[:, None]
    one_hot = torch.nn.functional.one_hot(previous.long(), 19)[..., :18].movedim(-1, 1)
    assert torch.allclose(mixed, expected + share[:, None] * one_hot, atol=1e-6)
    with torch.no_grad():
        assert torch.equal(decoder._copy(logits.clone(), trust, previous).softmax(1), mixed)
    never = logits.clone()
    never[:, 9] = -100.0  # a class that training has never shown
    shown = torch.full_like(previous, 9)
    assert (decoder._copy(never, trust.abs(), shown).argmax(1) == 9).all()
