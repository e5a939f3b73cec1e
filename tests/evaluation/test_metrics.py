"""mmengine metrics: accumulation equals direct computation, times decide the horizon, tables print."""

import numpy as np
import pytest
import torch

from drivewm.evaluation.functional.occupancy import confusion_counts, iou_per_class
from drivewm.evaluation.metrics import OccupancyForecastMetric, ReconstructionMetric
from drivewm.evaluation.metrics.occupancy import flatten, forecast_intervals, horizon_key, score_counts
from drivewm.evaluation.tables import best_cells, forecast_rows, markdown_table
from drivewm.structures import OCC3D

TIMES = np.arange(1, 7) * 0.5


def _sample(rng, scene="a", frames=6, wrong=0.3):
    truth = rng.choice(np.array([4, 7, 11, 15, 17], np.uint8), (frames, 6, 5, 4))
    forecasts = {}
    for name, share in (("model", wrong), ("copy_last", 2 * wrong)):
        forecast = truth.copy()
        noise = rng.random(truth.shape) < share
        forecast[noise] = rng.choice(np.array([4, 11, 17], np.uint8), noise.sum())
        forecasts[name] = forecast
    return {
        "scene": scene,
        "forecasts": forecasts,
        "truth": truth,
        "times_s": TIMES[:frames],
        "visible": rng.random(truth.shape) < 0.6,
        "newly_seen": rng.random(truth.shape) < 0.2,
    }


def test_accumulation_equals_one_direct_computation():
    rng = np.random.default_rng(0)
    samples = [_sample(rng, scene) for scene in "aabbc"]
    metric = OccupancyForecastMetric(per_class=True)
    metric.process(None, samples[:2])
    metric.process(None, samples[2:])
    out = metric.evaluate(size=len(samples))
    for name in ("model", "copy_last"):
        for step, key in ((1, "1s"), (3, "2s"), (5, "3s")):
            truth = np.stack([s["truth"][step] for s in samples])
            forecast = np.stack([s["forecasts"][name][step] for s in samples])
            counts = confusion_counts(forecast, truth, OCC3D.num_classes)
            for score, value in score_counts(counts).items():
                assert out[f"{name}/{score}/{key}"] == pytest.approx(value)
            assert out[f"{name}/class_iou/car/{key}"] == pytest.approx(100 * iou_per_class(counts)[4])
            for subset in ("visible", "newly_seen"):
                mask = np.stack([s[subset][step] for s in samples])
                direct = score_counts(confusion_counts(forecast, truth, OCC3D.num_classes, mask))
                assert out[f"{name}/{subset}_miou/{key}"] == pytest.approx(direct["miou"])
        assert out[f"{name}/miou/avg"] == pytest.approx(np.mean([out[f"{name}/miou/{h}s"] for h in (1, 2, 3)]))
    assert out["model/miou/2s"] > out["copy_last/miou/2s"]


def test_a_perfect_forecast_is_100_and_tensors_are_taken():
    sample = _sample(np.random.default_rng(1))
    sample["forecasts"] = {"model": torch.from_numpy(sample["truth"])}
    sample |= {"truth": torch.from_numpy(sample["truth"]), "times_s": torch.from_numpy(TIMES), "newly_seen": None}
    metric = OccupancyForecastMetric()
    metric.process(None, [sample])
    out = metric.evaluate(size=1)
    assert all(v == 100 for k, v in out.items() if "newly" not in k) and not any("newly" in k for k in out)


def test_times_decide_the_horizon_not_the_index():
    sample = _sample(np.random.default_rng(2))
    metric = OccupancyForecastMetric()
    metric.process(None, [sample])
    expected = metric.evaluate(size=1)
    order = [3, 1, 5, 0, 2, 4]
    mixed = sample | {k: sample[k][order] for k in ("truth", "times_s", "visible", "newly_seen")}
    mixed["forecasts"] = {n: f[order] for n, f in sample["forecasts"].items()}
    mixed["times_s"] = mixed["times_s"] + 0.04  # stamps are never exact
    metric.process(None, [mixed])
    assert metric.evaluate(size=1) == expected


def test_padded_samples_are_dropped():
    rng = np.random.default_rng(3)
    samples = [_sample(rng) for _ in range(3)]
    metric = OccupancyForecastMetric()
    metric.process(None, samples)
    padded = metric.evaluate(size=2)
    metric.process(None, samples[:2])
    assert padded == metric.evaluate(size=2)


def test_what_does_not_fit_is_refused():
    rng = np.random.default_rng(4)
    metric = OccupancyForecastMetric()
    with pytest.raises(ValueError, match="5 entries for 6 frames"):
        metric.process(None, [_sample(rng) | {"times_s": TIMES[:5]}])
    with pytest.raises(ValueError, match="one step"):
        metric.process(None, [_sample(rng) | {"times_s": np.array([0.5, 0.5, 1.5, 2, 2.5, 3])}])
    with pytest.raises(ValueError, match="no step of 0.5 s"):
        metric.process(None, [_sample(rng) | {"times_s": TIMES + 0.25}])
    wrong = _sample(rng)
    wrong["forecasts"] = {"model": wrong["truth"][:, :3]}
    with pytest.raises(ValueError, match="'model' has shape"):
        metric.process(None, [wrong])
    metric.process(None, [_sample(rng, frames=4)])
    with pytest.raises(ValueError, match=r"asked for \['3s'\]"):
        metric.evaluate(size=1)
    assert horizon_key(1.04) == "1s" and horizon_key(2.48) == "2.5s"


def test_reconstruction():
    rng = np.random.default_rng(5)
    samples = [_sample(rng) for _ in range(3)]
    metric = ReconstructionMetric(per_class=True)
    metric.process(
        None, [{"scene": "a", "truth": s["truth"], "reconstruction": s["forecasts"]["model"]} for s in samples]
    )
    out = metric.evaluate(size=3)
    counts = confusion_counts(
        np.stack([s["forecasts"]["model"] for s in samples]), np.stack([s["truth"] for s in samples]), OCC3D.num_classes
    )
    assert out["miou"] == pytest.approx(score_counts(counts)["miou"]) and out["class_iou/car"] < 100


def test_intervals_by_scene():
    rng = np.random.default_rng(6)
    metric = OccupancyForecastMetric()
    metric.process(None, [_sample(rng, f"scene-{i % 8}") for i in range(16)])
    value = forecast_intervals(metric.results, "model", None, "2s", np.random.default_rng(0), resamples=100)
    lead = forecast_intervals(metric.results, "model", "copy_last", "2s", np.random.default_rng(0), resamples=100)
    nested = metric.nested(metric.results)
    assert value.value == pytest.approx(nested["model"]["miou"]["2s"]) and value.low < value.value < value.high
    assert (
        lead.value == pytest.approx(nested["model"]["miou"]["2s"] - nested["copy_last"]["miou"]["2s"]) and lead.low > 0
    )


def test_tables():
    rng = np.random.default_rng(7)
    metric = OccupancyForecastMetric()
    metric.process(None, [_sample(rng)])
    nested = metric.nested(metric.results)
    assert flatten(nested) == metric.evaluate(size=1)
    headers, rows, best = forecast_rows(nested)
    text = markdown_table(headers, rows, best)
    lines = text.splitlines()
    assert len(lines) == 4 and "mIoU 1s" in lines[0] and len({len(line) for line in lines[:1]}) == 1
    assert f"**{nested['model']['miou']['1s']:.2f}**" in text and "copy last" in text
    assert best_cells(["a"], [[1.0], [float("nan")], [1.0], [0.5]], ["max"]) == {(0, 0), (2, 0)}
    assert markdown_table(["a", "b"], [["x", None]]).endswith("| x   |   - |")
    with pytest.raises(ValueError, match="2 cells"):
        markdown_table(["a"], [[1, 2]])
