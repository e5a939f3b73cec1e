"""The preprocessor augments training clips, and only these, alike in one process and in several."""

import pytest
import torch

from drivewm.engine import ClipPreprocessor
from drivewm.layers import draws
from tests.world_model.tiny import make_clip


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(4)


def test_training_clips_are_mirrored_as_often_as_asked():
    clip = make_clip(batch=1).select(torch.zeros(400, dtype=torch.int64))
    new = ClipPreprocessor(mirrored=0.3).augment(clip, rng())
    mirrored = (new.occupancy == clip.occupancy.flip(3)).flatten(1).all(1)
    kept = (new.occupancy == clip.occupancy).flatten(1).all(1)
    assert (mirrored ^ kept).all() and mirrored.float().mean().item() == pytest.approx(0.3, abs=0.07)


def test_clips_to_be_tested_on_stay_as_they_are():
    clip = make_clip()
    preprocessor = ClipPreprocessor(mirrored=1.0, max_yaw_rad=1.0)
    assert torch.equal(preprocessor({"clip": clip})["clip"].occupancy, clip.occupancy)
    assert not torch.equal(preprocessor({"clip": clip}, training=True)["clip"].occupancy, clip.occupancy)


def test_angles_stay_within_the_limit():
    clip = make_clip(batch=1).select(torch.zeros(50, dtype=torch.int64))
    new = ClipPreprocessor(max_yaw_rad=0.2).augment(clip, rng())
    T = torch.linalg.inv(new.T_global_ego[:, 0]) @ clip.T_global_ego[:, 0]
    angle = torch.atan2(T[:, 1, 0], T[:, 0, 0])
    assert angle.abs().max() <= 0.2 and angle.max() > 0.15 and angle.min() < -0.15


def test_two_processes_augment_as_one(monkeypatch):
    preprocessor, clip = ClipPreprocessor(mirrored=0.5, max_yaw_rad=0.3), make_clip(batch=4)
    whole = preprocessor.augment(clip, rng())
    for rank in range(2):
        monkeypatch.setattr(draws, "get_dist_info", lambda rank=rank: (rank, 2))
        rows = torch.arange(rank, 4, 2)
        own = preprocessor.augment(clip.select(rows), rng())
        assert torch.equal(own.occupancy, whole.occupancy[rows])
        assert torch.equal(own.T_global_ego, whole.T_global_ego[rows])


def test_shares_that_are_none_are_refused():
    with pytest.raises(ValueError, match="mirrored in 0..1"):
        ClipPreprocessor(mirrored=1.5)
