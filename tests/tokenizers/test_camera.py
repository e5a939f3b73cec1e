"""The camera tokenizer: shapes, absent views, what the rays are for, that it learns, what it refuses."""

from dataclasses import replace

import pytest
import torch

from drivewm.structures import SceneClip
from drivewm.tokenizers import CameraTokenizer
from drivewm.tokenizers.camera_views import CameraViews
from tests.tokenizers.views import SIZE, TOKENIZER, make_clip


def make_tokenizer(**options) -> CameraTokenizer:
    torch.manual_seed(0)
    tokenizer = CameraTokenizer(**(TOKENIZER | options))
    tokenizer.quantizer.scales[0].codebook.normal_(generator=torch.Generator().manual_seed(0))
    return tokenizer


@pytest.fixture(scope="module")
def clip() -> SceneClip:
    return make_clip()


@pytest.fixture(scope="module")
def tokenizer() -> CameraTokenizer:
    return make_tokenizer().eval()


def test_tokens_and_views_have_the_promised_shapes(tokenizer, clip):
    frames = CameraViews.of(clip)
    (tokens,) = tokenizer.encode(frames)
    assert tokens.spec == tokenizer.specs[0] and tokens.spec.shape == (3, 2, 4) and tokens.spec.modality == "camera"
    assert tokens.indices.shape == (2, 2, 3, 2, 4)
    pictures = tokenizer.decode((tokens,), frames)
    assert pictures.shape == clip.images.shape and 0 <= pictures.min() and pictures.max() <= 1
    # Frames to come have cameras, but no images yet.
    assert torch.equal(tokenizer.decode((tokens,), replace(frames, images=None)), pictures)
    assert torch.equal(tokenizer(clip), pictures)


@torch.no_grad()
def test_each_view_is_coded_for_itself(tokenizer, clip):
    """Other views and frames change nothing: neither do tokens move to a neighbour, nor pictures."""
    frames = CameraViews.of(clip)
    (whole,) = tokenizer.encode(frames)
    changed = replace(frames, images=frames.images.clone())
    changed.images[0, 1, 2] = 255 - changed.images[0, 1, 2]
    (other,) = tokenizer.encode(changed)
    differs = (whole.indices != other.indices).flatten(3).any(-1)
    assert differs.nonzero().tolist() == [[0, 1, 2]]
    moved = (tokenizer.decode((whole,), frames) != tokenizer.decode((other,), frames)).flatten(3).any(-1)
    assert moved.nonzero().tolist() == [[0, 1, 2]]


@torch.no_grad()
def test_an_absent_view_has_no_tokens_and_no_picture(tokenizer, clip):
    absent = replace(clip, images_valid=clip.images_valid.clone(), images=clip.images.clone())
    absent.images_valid[0, 1, 2] = False
    absent.images[0, 1, 2] = 0
    (tokens,), (whole,) = (tokenizer.encode(CameraViews.of(c)) for c in (absent, clip))
    assert (tokens.indices[0, 1, 2] == tokens.spec.mask_id).all()
    assert torch.equal(tokens.indices[absent.images_valid], whole.indices[absent.images_valid])
    pictures = tokenizer.decode((tokens,), CameraViews.of(absent))
    assert not pictures[0, 1, 2].any() and torch.equal(pictures[1], tokenizer(clip)[1])
    samples = tokenizer(absent, mode="predict")
    assert samples[0]["codes"]["3x2x4"].sum() == 5 * 8 and samples[1]["codes"]["3x2x4"].sum() == 6 * 8
    assert samples[0]["valid"].tolist() == [[True] * 3, [True, True, False]]


def test_what_an_absent_view_shows_is_not_learned(clip):
    """Its picture has no part in the losses of pictures."""
    absent = replace(clip, images_valid=clip.images_valid.clone())
    absent.images_valid[:, :, 1] = False
    changed = replace(absent, images=absent.images.clone())
    changed.images[:, :, 1] = 77
    losses = [make_tokenizer(quantize_after=10).train()(c, mode="loss") for c in (absent, changed)]
    for name in ("loss_l1", "loss_ssim"):
        torch.testing.assert_close(losses[0][name], losses[1][name])


@torch.no_grad()
def test_the_decoder_sees_the_rays(tokenizer, clip):
    """The same tokens under a camera that looks elsewhere are another picture; the ego's place in the world is none."""
    frames = CameraViews.of(clip)
    tokens = tokenizer.encode(frames)
    T = frames.T_ego_cam.clone()
    T[0, 0, 0] = frames.T_ego_cam[0, 0, 1]
    turned = tokenizer.decode(tokens, replace(frames, T_ego_cam=T))
    differs = (turned != tokenizer.decode(tokens, frames)).flatten(3).any(-1)
    assert differs.nonzero().tolist() == [[0, 0, 0]]


def test_other_rigs_and_sizes_share_weights(tokenizer):
    other = make_tokenizer(views=1, image_size=(32, 48)).eval()
    other.load_state_dict(tokenizer.state_dict())
    clip = make_clip(views=1, size=(32, 48))
    assert other(clip).shape == (2, 2, 1, 3, 48, 32)


@pytest.mark.parametrize("number", [1, 2])
def test_each_step_learns_from_so_many_different_views_of_a_frame(clip, number):
    tokenizer = make_tokenizer(views_per_step=number).train()
    seen = set()
    for seed in range(12):
        frames = tokenizer._training_frames(CameraViews.of(clip), torch.Generator().manual_seed(seed))
        assert frames.images.shape == (2, number, 3, *SIZE[::-1]) and frames.valid.all()
        for b in range(2):
            images = clip.images[b].flatten(0, 1)  # two frames of three views
            found = [(images == view).flatten(1).all(1).nonzero().item() for view in frames.images[b]]
            assert len({view // 3 for view in found}) == 1 and len(set(found)) == number
            assert torch.equal(frames.K[b], clip.K[b].flatten(0, 1)[found])
            seen |= {(b, view) for view in found}
    assert len(seen) == 12, "all views of all frames come up"
    losses = tokenizer(clip, "loss")
    assert all(torch.isfinite(value) for value in losses.values())
    assert tokenizer.eval()(clip).shape == clip.images.shape


def test_it_learns_to_reconstruct():
    clip, tokenizer = make_clip(batch=1, frames=1), make_tokenizer(quantize_after=10, vocab_size=16).train()
    tokenizer.quantizer.scales[0].codebook.zero_()
    optimizer, first = torch.optim.AdamW(tokenizer.parameters(), 5e-3), None
    for _ in range(60):
        losses = tokenizer(clip, mode="loss")
        optimizer.zero_grad()
        sum(v for k, v in losses.items() if "loss" in k).backward()
        optimizer.step()
        first = first or losses["loss_l1"].item()
    frames = CameraViews.of(clip)
    with torch.no_grad():
        (tokens,) = tokenizer.eval().encode(frames)
        right, wrong = (
            (255 * tokenizer.decode((t,), frames) - frames.images).abs().mean().item() / 255
            for t in (tokens, tokens.map(torch.zeros_like))
        )
    assert right < 0.1 and right < first / 2, (right, first)
    assert wrong > 1.2 * right  # the rays alone do not tell
    assert losses["perplexity"] > 3


def test_what_does_not_fit_is_refused(tokenizer, clip):
    with pytest.raises(ValueError, match="views_per_step must be 1 to 3 of 3 views, got 4"):
        make_tokenizer(views_per_step=4)
    with pytest.raises(ValueError, match="4 stages shrink views 16 times, but they are 60 x 32"):
        make_tokenizer(image_size=(60, 32))
    with pytest.raises(ValueError, match=r"\(V, 3, H, W\) = \(3, 3, 32, 64\), but the clip's are \(2, 3, 32, 64\)"):
        tokenizer(make_clip(views=2), mode="loss")
    with pytest.raises(ValueError, match=r"but the clip's are \(3, 3, 48, 64\)"):
        tokenizer(make_clip(size=(64, 48)))
    with pytest.raises(ValueError, match="needs images, but the clip of scene scene-0 has none"):
        bare = dict.fromkeys(("cameras", "images", "images_valid", "K", "T_ego_cam"))
        tokenizer(replace(clip, **bare), mode="loss")
    assert SIZE == tokenizer.image_size
