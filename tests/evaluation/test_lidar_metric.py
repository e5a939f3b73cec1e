"""The report of LiDAR forecasts: records add up, averages are over frames, every frame in its own ego frame."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from drivewm.evaluation.functional.bootstrap import clustered_mean_interval
from drivewm.evaluation.functional.lidar_forecast import SCORES, frame_scores, in_lidar_t0
from drivewm.evaluation.lidar_forecast import lidar_report, lidar_text, record_lidar_forecast
from drivewm.evaluation.lidar_forecast.report import MAIN_SCORES
from drivewm.evaluation.metrics import LidarForecastMetric, OccupancyForecastMetric
from drivewm.geometry import se3
from tests.evaluation.forecasts import make_sample as make_occupancy_sample

ROOT = Path(__file__).resolve().parents[2]
T_EGO_LIDAR = se3.from_xyzyaw(0.9, 0.0, 1.8, -np.pi / 2)
NOISE = {"model": 0.05, "raycast_history": 0.2, "copy_last": 0.8}
STEPS = ["0.5s", "1s", "1.5s", "2s", "2.5s", "3s"]


def make_sample(rng, scene="a", token=None, step_s=0.5):
    """Noisy copies of a random cloud, each frame in the frame of an ego that drives a curve."""
    times = step_s * np.arange(1, 7)
    truth = [rng.normal(0, 12, (80, 3)).astype(np.float32) * [1, 1, 0.1] for _ in times]
    clouds = {n: [p + rng.normal(0, noise, p.shape) for p in truth] for n, noise in NOISE.items()}
    return {
        "clouds": clouds,
        "truth": truth,
        "times_s": times,
        "T_t0_ego": se3.from_xyzyaw(4 * times, 0.1 * times**2, 0.0, 0.1 * times),
        "T_ego_lidar": np.tile(T_EGO_LIDAR, (6, 1, 1)),
        "T_t0_lidar": T_EGO_LIDAR,
        "scene": scene,
        "sample_token": token,
        "boxes": np.tile([5.0, 0, 0, 20, 20, 4, 0.3], (6, 2, 1)),
        "boxes_moving": np.tile([True, False], (6, 1)),
    }


def row_of(report, predictor):
    (row,) = [row for row in report["rows"] if row["predictor"] == predictor]
    return row


def test_a_report_is_of_means_over_frames():
    rng = np.random.default_rng(0)
    samples = [make_sample(rng, scene) for scene in "aabbc"]
    metric = LidarForecastMetric(resamples=100)
    with pytest.raises(ValueError, match="no report"):
        metric.text()
    metric.process(None, [{"lidar": s} for s in samples[:2]])
    metric.process(None, [{"lidar": s} for s in samples[2:]])
    assert all(record.scores.shape == (3, 6, len(SCORES)) for record in metric.results)
    out = metric.evaluate(size=5)
    direct = []
    for sample in samples:
        for f in range(6):
            T = np.linalg.inv(sample["T_t0_lidar"]) @ sample["T_t0_ego"][f]
            forecast, truth = (in_lidar_t0(p, T) for p in (sample["clouds"]["model"][f], sample["truth"][f]))
            direct.append(frame_scores(forecast, truth, (T @ T_EGO_LIDAR)[:3, 3]))
    direct = np.reshape(direct, (5, 6, -1))
    row = row_of(metric.report, "model")
    assert metric.report["steps"] == STEPS and metric.report["averages"] == ["avg_1s", "avg_3s"]
    for s, score in enumerate(SCORES):
        if not ("moving" in score or score in ("intensity", "silent")):  # these are not in the samples
            assert row["scores"][score]["1.5s"] == pytest.approx(direct[:, 2, s].mean())
            assert row["scores"][score]["avg_1s"] == pytest.approx(direct[:, :2, s].mean())
            assert row["scores"][score]["avg_3s"] == pytest.approx(direct[..., s].mean())
            assert row["frames"][score]["avg_1s"] == 10
    assert row["scores"]["cd_moving"]["avg_3s"] > 0
    assert out["lidar/model/cd_in/3s"] == row["scores"]["cd_in"]["3s"]
    assert len(out) == 3 * len(MAIN_SCORES) * 4
    assert out["lidar/model/cd_in/avg_3s"] < out["lidar/copy_last/cd_in/avg_3s"]
    assert f"{out['lidar/model/l1_median/avg_3s']:.2f}" in metric.text()


def test_intervals_are_those_of_the_plain_bootstrap():
    rng = np.random.default_rng(1)
    samples = [make_sample(rng, f"scene-{i % 4}") for i in range(8)]
    records = [record_lidar_forecast(sample) for sample in samples]
    report = lidar_report(records, resamples=300, seed=3)
    s = SCORES.index("l1_mean")
    ours, other = (np.array([r.scores[r.names.index(n), 1, s] for r in records]) for n in ("model", "raycast_history"))
    row, clusters = row_of(report, "model"), [r.scene for r in records]
    for key, values in (("intervals", ours), ("lead", other - ours)):
        found = row[key]["l1_mean"]["1s"]
        expected = clustered_mean_interval(values, clusters, np.random.default_rng(3), 300)
        assert (found["value"], found["low"], found["high"]) == pytest.approx(tuple(expected))
    assert row["lead"]["l1_mean"]["avg_3s"]["low"] > 0 and "lead" not in row_of(report, "raycast_history")
    assert row_of(report, "copy_last")["lead"]["cd_in"]["avg_3s"]["high"] < 0
    other = lidar_report(records, reference="copy_last", resamples=10)
    assert row_of(other, "raycast_history")["lead"]["cd_in"]["avg_3s"]["value"] > 0
    assert "Lead over copy_last" in lidar_text(other)
    absent = lidar_report(records, reference="nobody", resamples=10)
    assert not any("lead" in row for row in absent["rows"]) and "Lead" not in lidar_text(absent)


def test_frames_that_cannot_be_scored_are_left_out_and_counted():
    sample = make_sample(np.random.default_rng(2))
    sample["clouds"]["model"][1] = np.zeros((0, 3), np.float32)
    report = lidar_report([record_lidar_forecast(sample)], resamples=10)
    row = row_of(report, "model")
    assert np.isnan(row["scores"]["cd_in"]["1s"]) and row["frames"]["cd_in"]["avg_1s"] == 1
    assert row["scores"]["cd_in"]["avg_1s"] == row["scores"]["cd_in"]["0.5s"]
    assert row["scores"]["returns"]["1s"] == 0 and row["frames"]["returns"]["avg_1s"] == 2
    lead = row["lead"]["cd_in"]
    still = row_of(report, "raycast_history")["scores"]["cd_in"]
    assert lead["avg_1s"]["value"] == pytest.approx(still["0.5s"] - row["scores"]["cd_in"]["0.5s"])
    assert np.isnan([lead["avg_1s"]["low"], lead["1s"]["value"]]).all()  # one scene, no frame
    assert "| -" in lidar_text(report)


def test_scores_do_not_depend_on_order_type_or_the_world():
    sample = make_sample(np.random.default_rng(3))
    expected = record_lidar_forecast(sample)
    order = [3, 1, 5, 0, 2, 4]
    mixed = sample | {k: sample[k][order] for k in ("times_s", "T_t0_ego", "T_ego_lidar", "boxes", "boxes_moving")}
    mixed["truth"] = [torch.from_numpy(sample["truth"][f]) for f in order]
    mixed["clouds"] = {n: [c[f] for f in order] for n, c in sample["clouds"].items()}
    mixed["times_s"] = torch.from_numpy(mixed["times_s"] + 0.04)  # stamps are never exact
    found = record_lidar_forecast(mixed)
    np.testing.assert_array_equal(found.scores, expected.scores)
    assert found.steps == expected.steps


def test_other_rhythms():
    """KITTI and Argoverse 2 run at 10 Hz: five frames of 0.2 s are the published second."""
    sample = make_sample(np.random.default_rng(5), step_s=0.2)
    with pytest.raises(ValueError, match="several frames fall on one step of 0.5 s"):
        record_lidar_forecast(sample)
    metric = LidarForecastMetric(horizons_s=(1.0,), step_s=0.2, resamples=10)
    metric.process(None, [{"lidar": sample}])
    assert "lidar/model/cd_in/avg_1s" in metric.evaluate(size=1)
    assert metric.report["steps"] == ["0.2s", "0.4s", "0.6s", "0.8s", "1s", "1.2s"]
    assert row_of(metric.report, "model")["frames"]["cd_in"]["avg_1s"] == 5
    assert record_lidar_forecast(make_sample(np.random.default_rng(5), step_s=0.6), (3.0,), 0.6).steps[-1] == "3.6s"


def test_latency_leaves_the_first_batch_out():
    metric = LidarForecastMetric(resamples=10)
    for seconds in (9.0, 1.0, 3.0):
        metric.process(None, [{"lidar": make_sample(np.random.default_rng(6)) | {"seconds": seconds}}])
    metric.evaluate(size=3)
    assert metric.report["latency"] == {"mean_s": 2.0, "median_s": 2.0, "windows": 2}
    assert "mean 2000.0 ms" in metric.text()


def test_what_does_not_fit_is_refused_and_the_window_named():
    sample = make_sample(np.random.default_rng(7), "scene-7", "abc")

    def refused(match, **changes):
        with pytest.raises(ValueError, match=f"window abc of scene scene-7: {match}"):
            record_lidar_forecast(sample | changes, horizons_s=(1, 3))

    refused("times_s has 5 entries for 6 frames", times_s=sample["times_s"][:5])
    refused("forecast 'model' has 2 frames, but the truth has 6", clouds={"model": sample["truth"][:2]})
    refused("times_s lacks 3s", times_s=0.5 * np.array([1, 2, 3, 4, 5, 7]))
    refused(r"T_ego_lidar must be finite of shape \(6, 4, 4\)", T_ego_lidar=T_EGO_LIDAR)
    refused(r"T_t0_lidar must be finite of shape \(4, 4\)", T_t0_lidar=T_EGO_LIDAR * np.nan)
    refused(r"truth of frame 0 must have shape \(N, 3\), got \(80, 2\)", truth=[p[:, :2] for p in sample["truth"]])
    refused("forecast 'model' of frame 0 must be finite", clouds={"model": [p * np.inf for p in sample["truth"]]})
    with pytest.raises(ValueError, match="horizons_s is empty"):
        LidarForecastMetric(horizons_s=())
    with pytest.raises(ValueError, match="names is .*mine.*a table needs them alike"):
        other = record_lidar_forecast(sample | {"clouds": {"mine": sample["truth"]}})
        lidar_report([record_lidar_forecast(sample), other])


def test_the_tool_prints_both_reports_once(capsys):
    spec = importlib.util.spec_from_file_location("test_tool", ROOT / "tools" / "test.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    lidar, occupancy = LidarForecastMetric(resamples=10), OccupancyForecastMetric(resamples=10)
    lidar.process(None, [{"lidar": make_sample(np.random.default_rng(8))}])
    occupancy.process(None, [make_occupancy_sample(np.random.default_rng(8))])
    figures = lidar.evaluate(size=1) | occupancy.evaluate(size=1) | {"perplexity": 7.0}
    runner = SimpleNamespace(test_evaluator=SimpleNamespace(metrics=[occupancy, lidar]))
    expected = {"forecasts": occupancy.report, "lidar_forecasts": lidar.report, "lidar_generation": None}
    assert tool.report(runner, figures) == expected
    printed = capsys.readouterr().out
    assert (
        printed.index("# Occupancy forecasts") < printed.index("# LiDAR forecasts") < printed.index("# Other figures")
    )
    others = printed[printed.index("# Other figures") :]
    assert "perplexity" in others and "cd_in" not in others and "miou" not in others
