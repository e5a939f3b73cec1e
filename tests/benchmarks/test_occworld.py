"""The stand-in of OccWorld's transformer: of the published size, and its cache gives what recomputing gives."""

import pytest
import torch

from benchmarks.peers.occworld import OccWorldTransformer, Size, rollout, step_as_shipped
from benchmarks.rollouts import gflop

SMALL = Size(channels=(16, 32, 64), cells=10, vocab_size=32, heads=2, temporal_layers=2, pose_layers=1, frames=12)


def test_size_is_the_published_one():
    with torch.device("meta"):
        model = OccWorldTransformer()
        assert sum(p.numel() for p in model.parameters()) == pytest.approx(58.2e6, rel=0.02)
        past = torch.empty(1, 5, 128, 50, 50), torch.empty(1, 5, 128)
        assert gflop(lambda: rollout(model, torch.empty(512, 128), *past, 6, True)) == pytest.approx(620, rel=0.02)
        step = gflop(lambda: step_as_shipped(model, *past))  # of 5 frames; those of 6, 7, ... 10 follow
        assert step * (5 + 6 + 7 + 8 + 9 + 10) / 5 == pytest.approx(4180, rel=0.02)


def small() -> tuple[OccWorldTransformer, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return OccWorldTransformer(SMALL).eval(), torch.randn(2, 5, 16, 10, 10), torch.randn(2, 5, 16)


@torch.no_grad()
def test_the_cache_changes_nothing():
    model, codes, poses = small()
    mask = torch.ones(5, 5, dtype=torch.bool).tril()
    logits, vectors = model.predict(codes, poses, 0, model.remember(codes, poses, 0), mask)
    memory = model.remember(codes, poses, 0)
    last, vector = model.predict(codes[:, 4:], poses[:, 4:], 4, memory, None)
    torch.testing.assert_close(logits[:, 4:], last, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(vectors[:, 4:], vector, atol=1e-5, rtol=1e-4)
    tokens = [rollout(model, torch.randn(32, 16), codes, poses, 1, cached) for cached in (False, True)]
    assert torch.equal(*tokens) and tokens[0].shape == (2, 1, 10, 10)


@torch.no_grad()
def test_rollouts_with_and_without_the_cache_agree():
    model, codes, poses = small()
    codebook = torch.randn(32, 16)
    shipped, cached = (rollout(model, codebook, codes, poses, 4, cached) for cached in (False, True))
    assert (shipped == cached).float().mean() > 0.99 and len(shipped.unique()) > 4


@torch.no_grad()
def test_a_frame_does_not_see_those_after_it():
    model, codes, poses = small()
    mask = torch.ones(5, 5, dtype=torch.bool).tril()
    before, _ = model.predict(codes, poses, 0, model.remember(codes, poses, 0), mask)
    codes[:, 3:] += 1.0
    after, _ = model.predict(codes, poses, 0, model.remember(codes, poses, 0), mask)
    torch.testing.assert_close(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3], after[:, 3])
    assert step_as_shipped(model, codes, poses)[0].shape == (2, 1, 32, 10, 10)
