"""Generated clouds as sets: closed forms, and scipy's Jensen-Shannon distance."""

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from drivewm.evaluation.functional.generation import (
    bev_histogram,
    jensen_shannon,
    maximum_mean_discrepancy,
    range_quantiles,
)
from drivewm.evaluation.metrics import LidarGenerationMetric
from drivewm.geometry import se3


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


def test_ranges():
    points = np.array([[3.0, 4, 0, 9], [0, 0, 10, 9], [0, 5, 0, 9], [0, 5, 0, 9]])
    assert range_quantiles(points) == pytest.approx(np.percentile([5, 10, 5, 5], (5, 25, 50, 75, 95)))
    assert np.isnan(range_quantiles(points[:0])).all()


T_EGO_LIDAR = se3.from_xyzyaw(0.9, 0.0, 1.8, -np.pi / 2)


def make_sample(scene: str, seed: int, generated, number: int = 400) -> dict:
    """Two future frames, 2.5 and 3 s after t0: recorded points within 40 m, and what `generated(points)` makes of them,
    all in the LiDAR frame; of copies, too, which here are the recorded points."""
    rng = np.random.default_rng(seed)
    truth = [rng.uniform(-40, 40, (number, 3)).astype(np.float32) for _ in range(2)]

    def in_ego(frames):
        return [se3.transform_points(T_EGO_LIDAR, frame) for frame in frames]

    return {
        "lidar": {
            "truth": in_ego(truth),
            "times_s": np.array([2.5, 3.05]),
            "T_ego_lidar": np.stack([T_EGO_LIDAR] * 2),
            "scene": scene,
            "clouds": dict.fromkeys(("model", "copy_last", "ego_warped_copy"), in_ego(truth)),
            "generated": {"imagined": in_ego([np.full((3, 3), 1e3), generated(truth[1])])},
        }
    }


def rows_of(samples):
    metric = LidarGenerationMetric()
    metric.process(None, samples)
    figures = metric.evaluate(len(samples))
    rows = {row["set"]: row for row in metric.report["rows"]}
    assert list(rows) == ["recorded", "imagined", "copy_last", "ego_warped_copy"]
    assert figures["lidar_generation/imagined/points_mean"] == rows["imagined"]["points_mean"]
    return rows, metric.text()


def test_a_set_that_is_the_recorded_one_has_no_distance_and_another_one_has():
    same, _ = rows_of([make_sample(f"s{i}", i, lambda points: points) for i in range(4)])
    for name in ("imagined", "copy_last", "ego_warped_copy"):
        assert same[name]["jsd"] == pytest.approx(0, abs=1e-7) and same[name]["mmd"] == pytest.approx(0, abs=1e-9)
    nearer, text = rows_of([make_sample(f"s{i}", i, lambda points: points[:100] / 2) for i in range(4)])
    assert nearer["imagined"]["jsd"] > nearer["recorded"]["jsd"] > 0
    assert nearer["imagined"]["points_mean"] == 100 and nearer["recorded"]["points_mean"] == 400
    assert nearer["imagined"]["range_50"] == pytest.approx(nearer["recorded"]["range_50"] / 2, rel=0.1)
    assert "| imagined" in text and "floor" in text


def test_the_recorded_set_is_compared_between_halves_of_its_scenes():
    samples = [make_sample(scene, i, lambda points: points) for i, scene in enumerate("aabb")]
    rows, _ = rows_of(samples)
    halves = [
        np.stack([bev_histogram(sample["lidar"]["truth"][1] @ T_EGO_LIDAR[:3, :3]) for sample in half])
        for half in (samples[:2], samples[2:])
    ]
    # The sensor's place moves a point across a border of 1.6 m cells now and then.
    assert rows["recorded"]["jsd"] == pytest.approx(jensen_shannon(*halves), rel=0.1)
    assert rows["recorded"]["mmd"] == pytest.approx(maximum_mean_discrepancy(*halves), rel=0.1)
    assert np.isnan(rows_of(samples[:2])[0]["recorded"]["jsd"])


def test_empty_clouds_are_counted_and_do_not_stop_it():
    samples = [make_sample(f"s{i}", i, lambda points, i=i: points[: 400 * i]) for i in range(2)]
    rows, _ = rows_of(samples)
    assert rows["imagined"]["empty"] == 1 and rows["imagined"]["points_mean"] == 200
    assert np.isfinite(rows["imagined"]["mmd"]) and np.isfinite(rows["imagined"]["range_50"])
    nothing, _ = rows_of([make_sample("s", 0, lambda points: points[:0])])
    assert np.isnan(nothing["imagined"]["jsd"]) and np.isnan(nothing["imagined"]["range_50"])


def test_what_cannot_be_compared_is_refused():
    sample = make_sample("s", 0, lambda points: points)
    with pytest.raises(ValueError, match="scene s: no frame is 1.0 s after t0, they are at"):
        LidarGenerationMetric(at_s=1.0).process(None, [sample])
    del sample["lidar"]["generated"]
    with pytest.raises(ValueError, match="no generated clouds: a world model gives them with score_imagined=True"):
        LidarGenerationMetric().process(None, [sample])
    with pytest.raises(ValueError, match="no report before evaluate"):
        LidarGenerationMetric().text()
