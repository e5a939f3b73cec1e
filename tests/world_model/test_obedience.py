"""Asking under several motions: only the history and what is told reach the model, and each answer is its own."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from drivewm.evaluation.functional.column_classes import column_classes
from drivewm.evaluation.functional.manoeuvres import MANOEUVRES, STEPS, command
from drivewm.evaluation.obedience import RECORDED, SHUFFLED, ZERO, obedience_report, record_obedience
from drivewm.geometry import se2
from drivewm.structures import OCC3D
from drivewm.world_model.baselines import ego_warped_copy
from drivewm.world_model.obedience import TOLD, ask, continued, recorded_world, told_motions
from tests.world_model.tiny import make_clip, make_model

PREDICTORS = {"model", "copy_last", "ego_warped_copy", "continued_copy"}


@pytest.fixture(scope="module")
def model():
    return make_model(horizon=6)


@pytest.fixture(scope="module")
def clip():
    return make_clip(future=7)


@pytest.fixture(scope="module")
def other():
    return make_clip(future=6, seed=3)


@pytest.fixture(scope="module")
def samples(model, clip, other):
    return ask(model, clip, other)


def at(name):
    return TOLD.index(name)


def test_a_sample_for_each_clip(samples, clip):
    assert [s.scene for s in samples] == list(clip.scene)
    assert all(set(s.predicted) == PREDICTORS for s in samples)
    assert all(s.told == TOLD and s.poses.shape == (len(TOLD), STEPS, 3) for s in samples)


def test_told_motions_are_the_driven_ones_and_the_commands(clip, other):
    told = told_motions(clip, other)
    torch.testing.assert_close(told[:, at(RECORDED)], clip.future_poses()[:, :STEPS])
    torch.testing.assert_close(told[:, at(SHUFFLED)], other.future_poses()[:, :STEPS])
    speed = float(clip.history().motion()[0][1])
    for name in MANOEUVRES:
        poses = se2.from_matrix(told[1, at(name)].double()).numpy()
        np.testing.assert_allclose(poses, command(name, speed), atol=1e-6)


def test_the_model_is_asked_as_anywhere_else(samples, model, clip):
    with torch.no_grad():
        labels = model.forecast(clip.history(), clip.future_poses()[:, :STEPS], clip.future_times_s()[:, :STEPS]).labels
    for b, sample in enumerate(samples):
        np.testing.assert_array_equal(sample.predicted["model"][at(RECORDED)], column_classes(labels[b].numpy()))


def test_the_copies_obey_or_do_not(samples, clip, other):
    told = told_motions(clip, other)
    for b, sample in enumerate(samples):
        last = column_classes(clip.occupancy[b, 2].numpy())
        assert (sample.predicted["copy_last"] == last).all() and (sample.observed == last).all()
        assert (sample.predicted["ego_warped_copy"][at(ZERO)] == last).all()
        left = at("curving_to_left")
        moved = ego_warped_copy(clip.history(), told[:, left])[b]
        np.testing.assert_array_equal(sample.predicted["ego_warped_copy"][left], column_classes(moved.numpy()))


def test_a_street_goes_on():
    """By hand: the nearest column that is not new, along both axes."""
    copied, fresh = np.array([[1, 2, 9], [3, 4, 9], [9, 9, 9]], np.uint8), np.zeros((3, 3), bool)
    fresh[2], fresh[:, 2] = True, True
    assert continued(copied, fresh).tolist() == [[1, 2, 2], [3, 4, 4], [3, 4, 4]]
    np.testing.assert_array_equal(continued(copied, ~fresh & False), copied)


def test_the_future_does_not_leak(samples, model, clip, other):
    """Another future, same motion: predictions stay, truth and world change."""
    occupancy = clip.occupancy.clone()
    occupancy[:, 3:] = (occupancy[:, 3:] + 5) % OCC3D.num_classes
    again = ask(model, replace(clip, occupancy=occupancy), other)
    for before, after in zip(samples, again, strict=True):
        for name in before.predicted:
            np.testing.assert_array_equal(before.predicted[name], after.predicted[name])
        assert (before.truth != after.truth).any() and (before.world != after.world).any()


def test_how_many_at_once_does_not_matter(samples, model, clip, other):
    for before, after in zip(samples, ask(model, clip, other, at_once=3), strict=True):
        assert (before.predicted["model"] == after.predicted["model"]).mean() > 0.999  # sums in another order


def test_the_world_from_the_driven_path_is_the_recording(samples, clip, other):
    for sample in samples:
        np.testing.assert_array_equal(sample.world[at(RECORDED)], sample.truth)
    world = recorded_world(clip, told_motions(clip, other))
    assert (world[:, at(RECORDED)] == clip.occupancy[:, 3 : 3 + STEPS]).all()


def test_nothing_is_new_where_the_ego_stands(samples):
    for sample in samples:
        assert not sample.newly_seen[at(ZERO)].any() and sample.newly_seen[at("straight_constant_high_speed")].any()


def test_samples_can_be_scored(samples):
    report = obedience_report([record_obedience(sample) for sample in samples])
    assert report["clips"] == 2 and set(report["predictors"]) == PREDICTORS
    assert report["predictors"]["copy_last"]["told_apart"]["everything"]["right"][0] == 0.5


def test_clips_that_do_not_fit_are_refused(model, clip, other):
    with pytest.raises(ValueError, match="6 future frames"):
        ask(model, make_clip(future=5), other)
    with pytest.raises(ValueError, match=r"steps of 0.5 s"):
        ask(model, replace(clip, timestamp_us=2 * clip.timestamp_us), other)
