"""mmengine metrics: batches and padding make no difference, the log stays short, tables print."""

import numpy as np
import pytest

from drivewm.evaluation.forecast import score_forecasts
from drivewm.evaluation.functional.occupancy import confusion_counts
from drivewm.evaluation.metrics import OccupancyForecastMetric, ReconstructionMetric
from drivewm.evaluation.tables import best_cells, figure_table, interval_cell, markdown_table
from drivewm.structures import OCC3D
from tests.evaluation.forecasts import MODELS, make_sample, row_of


def test_the_metric_gives_the_report_and_its_main_figures():
    rng = np.random.default_rng(0)
    samples = [make_sample(rng, scene) for scene in "aabbc"]
    metric = OccupancyForecastMetric()
    with pytest.raises(ValueError, match="no report"):
        metric.text()
    metric.process(None, samples[:2])
    metric.process(None, samples[2:])
    out = metric.evaluate(size=len(samples))
    np.testing.assert_equal(metric.report, score_forecasts(samples))
    assert set(out) == {f"{n}/{s}/{h}" for n in MODELS for s in ("miou", "iou", "dynamic_miou")
                        for h in ("1s", "2s", "3s", "avg")}  # fmt: skip
    assert out["model/iou/2s"] == row_of(metric.report, "model")["scores"]["iou"]["2s"]
    assert out["model/miou/2s"] > out["copy_last/miou/2s"]
    assert f"{out['model/miou/avg']:.2f}" in metric.text()


def test_padded_samples_are_dropped():
    rng = np.random.default_rng(1)
    samples = [make_sample(rng) for _ in range(3)]
    metric = OccupancyForecastMetric()
    metric.process(None, samples)
    padded = metric.evaluate(size=2)
    metric.process(None, samples[:2])
    assert padded == metric.evaluate(size=2)


def test_the_dataset_tells_the_window_sets():
    rng = np.random.default_rng(2)
    metric = OccupancyForecastMetric()
    metric.dataset_meta = {"scenes": {"a": [str(i) for i in range(12)]}}
    metric.process(None, [make_sample(rng, "a", token=str(i)) for i in range(3, 6)])
    metric.evaluate(size=3)
    found = {name: w["windows"] for name, w in metric.report["windows"].items()}
    assert found == {"all": 2, "occworld": 0, "first": 1, "evaluated": 3}
    assert {row["windows"] for row in metric.report["rows"]} == {"all", "first", "evaluated"}


def test_latency_leaves_the_first_batch_out():
    rng = np.random.default_rng(3)
    metric = OccupancyForecastMetric()
    for batch in ((9.0, 9.0), (1.0, 2.0), (6.0,)):
        metric.process(None, [make_sample(rng) | {"seconds": s} for s in batch])
    metric.evaluate(size=5)
    assert metric.report["latency"] == {"mean_s": 3.0, "median_s": 2.0, "windows": 3}
    assert "mean 3000.0 ms, median 2000.0 ms" in metric.text()
    metric.process(None, [make_sample(rng)])
    metric.evaluate(size=1)
    assert metric.report["latency"] is None and "not known" in metric.text()


def test_a_window_that_ends_too_early_stops_the_run_at_once():
    with pytest.raises(ValueError, match="lacks 3s"):
        OccupancyForecastMetric().process(None, [make_sample(np.random.default_rng(4), frames=4)])


def test_reconstruction():
    rng = np.random.default_rng(5)
    samples = [make_sample(rng) for _ in range(3)]
    metric = ReconstructionMetric(per_class=True)
    metric.process(
        None, [{"scene": "a", "truth": s["truth"], "reconstruction": s["forecasts"]["model"]} for s in samples]
    )
    out = metric.evaluate(size=3)
    pair = [np.stack([s[k] if k == "truth" else s["forecasts"]["model"] for s in samples]) for k in ("model", "truth")]
    counts = confusion_counts(*pair, OCC3D.num_classes)
    car = 100 * counts[4, 4] / (counts[4].sum() + counts[:, 4].sum() - counts[4, 4])
    assert out["class_iou/car"] == pytest.approx(car) and 0 < out["miou"] < 100


def test_tables():
    assert best_cells(["a"], [[1.0], [float("nan")], [1.0], [0.5]], ["max"]) == {(0, 0), (2, 0)}
    assert markdown_table(["a", "b"], [["x", None]]).endswith("| x   |   - |")
    with pytest.raises(ValueError, match="2 cells"):
        markdown_table(["a"], [[1, 2]])
    lines = figure_table({"plan/l2/1s": 0.5, "plan/l2/2s": 1.0, "plan/hit/2s": 3.0, "miou": 40.0}).splitlines()
    assert [cell.strip() for cell in lines[0].split("|")[1:-1]] == ["figure", "1s", "2s", "value"]
    assert [cell.strip() for cell in lines[3].split("|")[1:-1]] == ["plan/hit", "-", "3.00", "-"]
    assert [cell.strip() for cell in lines[4].split("|")[1:-1]] == ["miou", "-", "-", "40.00"]


def test_an_interval_is_printed_as_far_as_it_is_known():
    assert interval_cell((0.126, -1.0, 2.0)) == "0.13 [-1.00, 2.00]"
    named = {"value": 0.5, "low": 0.25, "high": 1.0}
    assert interval_cell(named, digits=1, signed=True) == "+0.5 [+0.2, +1.0]"
    assert interval_cell(named | {"low": float("nan"), "high": float("nan")}) == "0.50"
    assert interval_cell(None) == interval_cell((float("nan"), 0.0, 1.0)) == interval_cell(dict.fromkeys(named)) == "-"
