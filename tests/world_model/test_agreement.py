"""Scenes of voxels and returns, and how tools/agreement.py sums them up."""

import numpy as np
import pytest
import torch

from drivewm.evaluation.agreement import agreement_report, agreement_text
from drivewm.world_model.agreement import APART, EXPECTED, RECORDED, TOGETHER, TWO_MODELS, scenes_of
from tests.world_model import tiny, tiny_joint


def test_futures_are_drawn_together_apart_and_by_two_models():
    model, clip = tiny_joint.make_model(), tiny_joint.make_clip()
    scenes = scenes_of(model, clip, 3, dict.fromkeys(("occupancy", "lidar"), model))
    assert list(scenes) == [RECORDED, TOGETHER, APART, EXPECTED, TWO_MODELS]
    for own in scenes.values():
        assert own.labels.shape == (2, 2, *tiny.GRID.shape) and own.points.shape[:3] == own.valid.shape
    assert torch.equal(scenes[RECORDED].labels, clip.occupancy[:, 3:])
    assert torch.equal(scenes[APART].labels, scenes[TOGETHER].labels)
    assert not torch.equal(scenes[APART].points, scenes[TOGETHER].points)
    again = scenes_of(model, clip, 3)
    assert torch.equal(again[TOGETHER].points, scenes[TOGETHER].points) and TWO_MODELS not in again


def test_a_model_of_one_stream_has_nothing_to_agree_with():
    with pytest.raises(ValueError, match="the model has no lidar"):
        scenes_of(tiny.make_model(), tiny_joint.make_clip(), 0)


def test_two_models_are_of_both_streams():
    with pytest.raises(ValueError, match="the other models are of occupancy, none is of lidar"):
        scenes_of(tiny_joint.make_model(), tiny_joint.make_clip(), 0, {"occupancy": tiny.make_model()})


def record(scene, **counts):
    return {"scene": scene, "times_s": [0.5, 1.0], "counts": {k: np.array(v) for k, v in counts.items()}}


def test_shares_are_of_all_returns_and_gains_of_the_same_clips():
    records = [
        record("a", ours=[[9, 10], [8, 10]], other=[[5, 10], [4, 10]]),
        record("b", ours=[[30, 30], [0, 0]], other=[[15, 30], [0, 0]]),
    ]
    report = agreement_report(records, "ours")
    ours, other = report["futures"]["ours"], report["futures"]["other"]
    assert ours["share"].value == pytest.approx(100 * 47 / 50) and other["steps"][0] == pytest.approx(50.0)
    assert other["gain"].value == pytest.approx((85.0 - 45.0 + 100.0 - 50.0) / 2) and "gain" not in ours
    text = agreement_text(report, "ours")
    assert "0.5s |" in text and "94.0 [" in text
    with pytest.raises(ValueError, match="no clip"):
        agreement_report([], "ours")
