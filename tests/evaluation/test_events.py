"""Scores of events: what they are by definition, and that scenes are what is redrawn."""

import numpy as np
import pytest

from drivewm.evaluation.functional.events import event_counts, event_score, f1, precision, recall


def drawn(seed: int, shape=(60,), share=0.3):
    rng = np.random.default_rng(seed)
    return rng.random(shape) < share, rng.random(shape) < share


def test_counts_add_up_to_what_was_foretold_and_what_happened():
    foretold, happened = drawn(0, (7, 9))
    counts = event_counts(foretold, happened)
    assert counts.shape == (7, 9, 3) and counts.dtype == np.int64
    assert (counts[..., 0] + counts[..., 1] == foretold).all() and (counts[..., 0] + counts[..., 2] == happened).all()
    assert counts.sum(-1).max() == 1


def test_f1_is_the_harmonic_mean():
    for counts in ((3, 1, 2), (5, 0, 1), (1, 9, 9)):
        p, r = precision(counts), recall(counts)
        assert f1(counts) == pytest.approx(2 * p * r / (p + r))
    assert f1((0, 3, 4)) == 0.0
    assert all(np.isnan(score((0, 0, 0))) for score in (precision, recall, f1))


def test_who_foretells_what_happens_is_right_and_who_foretells_nothing_recalls_nothing():
    _, happened = drawn(1)
    clusters = np.repeat(np.arange(12), 5).tolist()
    perfect = event_score(happened, happened, clusters, np.random.default_rng(0))
    assert perfect.precision == perfect.recall == perfect.f1 == (1.0, 1.0, 1.0)
    assert perfect.happened == perfect.foretold == happened.sum() and perfect.samples == 60
    silent = event_score(np.zeros(60, bool), happened, clusters, np.random.default_rng(0))
    assert np.isnan(silent.precision.value) and silent.recall.value == silent.f1.value == 0.0


def test_intervals_hold_the_value_and_grow_where_scenes_are_alike():
    """Copies of a sample within its scene say nothing new: the interval must not shrink."""
    foretold, happened = drawn(2, share=0.5)
    alone = event_score(foretold, happened, list(range(60)), np.random.default_rng(0))
    copies = np.repeat(np.arange(60), 8)
    copied = event_score(foretold[copies], happened[copies], copies.tolist(), np.random.default_rng(0))
    assert alone.f1.low <= alone.f1.value <= alone.f1.high
    assert copied.f1 == pytest.approx(alone.f1)
    fooled = event_score(foretold[copies], happened[copies], list(range(480)), np.random.default_rng(0))
    assert fooled.f1.high - fooled.f1.low < 0.6 * (alone.f1.high - alone.f1.low)


def test_what_is_no_event_is_refused():
    foretold, happened = drawn(3)
    with pytest.raises(ValueError, match="must be bool, got int64"):
        event_counts(foretold.astype(int), happened)
    with pytest.raises(ValueError, match=r"\(60,\).*\(59,\)"):
        event_counts(foretold, happened[1:])
    with pytest.raises(ValueError, match=r"\(6, 10\)"):
        event_score(foretold.reshape(6, 10), happened.reshape(6, 10), ["a"] * 6, np.random.default_rng(0))
