"""Intervals: coverage, seeds, clusters, pairing."""

import numpy as np
import pytest

from drivewm.evaluation.functional.bootstrap import (
    clustered_interval,
    clustered_mean_interval,
    paired_difference_interval,
)


def test_interval_covers_the_mean_about_as_often_as_it_says():
    covered = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        scene = np.repeat(np.arange(30), 4)
        values = rng.normal(0, 1, 30)[scene] + rng.normal(0, 0.2, len(scene))  # scenes differ, samples hardly
        interval = clustered_mean_interval(values, scene.tolist(), rng, resamples=300)
        covered += interval.low <= 0 <= interval.high
    assert 86 <= covered <= 100


def test_clusters_widen_the_interval():
    rng = np.random.default_rng(0)
    scene = np.repeat(np.arange(10), 20)
    values = rng.normal(size=10)[scene]
    by_scene = clustered_mean_interval(values, scene.tolist(), np.random.default_rng(1))
    by_sample = clustered_mean_interval(values, range(len(values)), np.random.default_rng(1))
    assert by_scene.value == pytest.approx(by_sample.value) == pytest.approx(values.mean())
    assert by_scene.high - by_scene.low > 2 * (by_sample.high - by_sample.low)


def test_same_seed_same_interval_and_sums_of_any_shape():
    rng = np.random.default_rng(2)
    counts = rng.integers(0, 9, (12, 3, 3))
    args = (counts, list("aabbccddeeff"), lambda c: c.trace() / c.sum())
    first = clustered_interval(*args, np.random.default_rng(5))
    assert first == clustered_interval(*args, np.random.default_rng(5))
    total = counts.sum(0)
    assert first.value == total.trace() / total.sum() and first.low <= first.value <= first.high


def test_pairing_finds_a_small_steady_lead():
    rng = np.random.default_rng(3)
    hard = rng.normal(0, 5, 40)
    lead = paired_difference_interval(hard + 0.5 + rng.normal(0, 0.1, 40), hard, range(40), rng)
    assert lead.low > 0.4 and lead.high < 0.6


def test_edge_cases():
    rng = np.random.default_rng(4)
    single = clustered_mean_interval([2.0, 4.0], ["a", "a"], rng)
    assert single == (3.0, 3.0, 3.0)
    assert clustered_mean_interval([1.0, np.nan], ["a", "b"], rng).value == 1.0
    with pytest.raises(ValueError, match="at least one sample"):
        clustered_mean_interval([], [], rng)
    with pytest.raises(ValueError, match="level"):
        clustered_mean_interval([1.0], ["a"], rng, level=95)
