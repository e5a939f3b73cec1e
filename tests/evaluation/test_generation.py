"""Generated clouds as sets: closed forms, and scipy's Jensen-Shannon distance."""

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from drivewm.evaluation.functional.generation import (
    bev_histogram,
    cloud_statistics,
    jensen_shannon,
    maximum_mean_discrepancy,
)


def test_histograms_count_from_above():
    points = np.array([[-80, -80, 0], [-79, -79, 5], [80, 80, 0], [0.1, -0.1, 0], [80.1, 0, 0]])
    histogram = bev_histogram(points)
    assert histogram.shape == (100, 100) and histogram.sum() == 4
    assert histogram[0, 0] == 2 and histogram[99, 99] == 1 and histogram[50, 49] == 1


def test_equal_sets_and_disjoint_ones():
    rng = np.random.default_rng(0)
    ours = rng.integers(0, 9, (4, 10, 10)).astype(float)
    assert jensen_shannon(ours, ours[::-1]) == pytest.approx(0, abs=1e-7)
    assert maximum_mean_discrepancy(ours, ours[::-1]) == pytest.approx(0, abs=1e-12)
    a, b = np.zeros((3, 5)), np.zeros((2, 5))
    a[:, 0], b[:, 4] = 7, 2
    assert jensen_shannon(a, b) == pytest.approx(np.sqrt(np.log(2)))
    # |a - b|^2 is 2 between two different single bins, and 0 within the sets.
    assert maximum_mean_discrepancy(a, b) == pytest.approx(2 - 2 * np.exp(-2 / (2 * 0.25)))
    assert maximum_mean_discrepancy(a, b, sigma=1.0) == pytest.approx(2 - 2 * np.exp(-1))


def test_as_scipy_and_as_plain_loops():
    rng = np.random.default_rng(1)
    a, b = rng.random((5, 6, 6)), rng.random((3, 6, 6)) ** 3
    assert jensen_shannon(a, b) == pytest.approx(jensenshannon(a.sum(0).ravel(), b.sum(0).ravel()))
    p, q = a.reshape(5, -1) / a.sum((1, 2))[:, None], b.reshape(3, -1) / b.sum((1, 2))[:, None]

    def similar(x, y):
        return np.mean([[np.exp(-np.sum((i - j) ** 2) / 0.5) for j in y] for i in x])

    assert maximum_mean_discrepancy(a, b) == pytest.approx(similar(p, p) + similar(q, q) - 2 * similar(p, q))


def test_sets_without_points():
    full, empty = np.ones((2, 4)), np.zeros((2, 4))
    assert np.isnan(jensen_shannon(full, empty))
    with pytest.raises(ValueError, match="2 histograms, 2 of them empty"):
        maximum_mean_discrepancy(full, empty)
    with pytest.raises(ValueError, match="0 histograms"):
        maximum_mean_discrepancy(full[:0], full)


def test_counts_and_ranges():
    clouds = [np.array([[3.0, 4, 0], [0, 0, 10]]), np.zeros((0, 3)), np.array([[0.0, 5, 0, 7], [0, 5, 0, 7]])[:, :3]]
    found = cloud_statistics(clouds)
    assert found.points_mean == pytest.approx(4 / 3) and found.points_std == pytest.approx(np.std([2, 0, 2]))
    assert found.range_m == pytest.approx(np.percentile([5, 10, 5, 5], (5, 25, 50, 75, 95)))
    assert np.isnan(cloud_statistics([np.zeros((0, 3))]).range_m).all()
    with pytest.raises(ValueError, match="no cloud"):
        cloud_statistics([])
