"""The report of occupancy forecasts: sums equal direct computation, and every row says what it is of."""

import numpy as np
import pytest
import torch

from drivewm.evaluation.forecast import forecast_report, forecast_text, record_forecast, score_forecasts
from drivewm.evaluation.forecast.record import step_keys
from drivewm.evaluation.forecast.report import scores_of_sums
from drivewm.evaluation.functional.bootstrap import clustered_interval
from drivewm.evaluation.functional.calibration import (
    calibration_scores,
    calibration_sums_reference,
)
from drivewm.evaluation.functional.moving import moved_voxels
from drivewm.evaluation.functional.occupancy import class_sums, confusion_counts, iou_per_class
from drivewm.structures import OCC3D
from tests.evaluation.forecasts import MODELS, make_sample, row_of

TIMES = np.arange(1, 7) * 0.5


def direct(samples, name, step, mask=None):
    """Counts of one step over all samples at once."""
    parts = [(s["forecasts"][name][step], s["truth"][step], None if mask is None else mask(s)[step]) for s in samples]
    forecast, truth, masks = zip(*parts, strict=True)
    return confusion_counts(
        np.stack(forecast), np.stack(truth), OCC3D.num_classes, None if mask is None else np.stack(masks)
    )


def test_scores_equal_one_direct_computation():
    rng = np.random.default_rng(0)
    samples = [make_sample(rng, scene) for scene in "aabbc"]
    report = score_forecasts(iter(samples))
    masks = {
        "": None,
        "visible_": lambda s: s["visible"],
        "newly_seen_": lambda s: s["newly_seen"],
        "moving_": lambda s: moved_voxels(s["truth"], s["forecasts"]["ego_warped_copy"]) & ~s["newly_seen"],
    }
    for name in MODELS:
        row = row_of(report, name)
        assert row["ego_pose"] == "given" and set(row["scores"]["miou"]) == {*report["steps"], "avg", "avg_steps"}
        for step, key in enumerate(report["steps"]):
            for prefix, mask in masks.items():
                expected = scores_of_sums(class_sums(direct(samples, name, step, mask)))
                for score, value in expected.items():
                    assert row["scores"][prefix + score][key] == pytest.approx(value, nan_ok=True)
            iou = 100 * iou_per_class(direct(samples, name, step))
            assert row["class_iou"]["car"][key] == pytest.approx(iou[4])
            assert np.isnan(row["class_iou"]["bus"][key])
        miou = row["scores"]["miou"]
        assert miou["avg"] == pytest.approx(np.mean([miou[f"{h}s"] for h in (1, 2, 3)]))
        assert miou["avg_steps"] == pytest.approx(np.mean([miou[key] for key in report["steps"]]))
    assert row_of(report, "ego_warped_copy")["scores"]["moving_dynamic_miou"]["2s"] == 0


def test_conventions_have_their_own_names():
    """A bus is never there; the model claims one once, and never finds the pedestrian."""
    rng = np.random.default_rng(1)
    sample = make_sample(rng, classes=np.array([4, 11, 17], np.uint8))
    sample["truth"][:, 0, 0, 0] = 7
    perfect = sample["truth"].copy()
    perfect[:, 0, 0] = 17, 3, 17, 17
    sample["forecasts"] = {"model": perfect}
    scores = row_of(score_forecasts([sample]), "model")["scores"]
    found = 100 * iou_per_class(direct([sample], "model", 1))
    assert found[3] == found[7] == 0
    assert scores["miou"]["1s"] == pytest.approx((found[4] + found[11]) / 4)
    assert scores["miou_occworld"]["1s"] == pytest.approx((found[4] + found[11] + 0 + 14 * 100) / 17)
    assert scores["miou_i2world"]["1s"] == pytest.approx((found[4] + found[11]) / 2)


def test_a_perfect_forecast_is_100_and_tensors_are_taken():
    sample = make_sample(np.random.default_rng(2))
    truth = torch.from_numpy(sample["truth"])
    sample |= {"truth": truth, "forecasts": {"model": truth}, "times_s": torch.from_numpy(TIMES), "newly_seen": None}
    row = row_of(score_forecasts([sample]), "model")
    assert all(v == 100 for n, s in row["scores"].items() if n != "miou_occworld" for v in s.values())
    assert not any("newly" in name or "moving" in name for name in row["scores"])


def test_times_decide_the_step_not_the_index():
    sample = make_sample(np.random.default_rng(3))
    order = [3, 1, 5, 0, 2, 4]
    mixed = sample | {k: sample[k][order] for k in ("truth", "times_s", "visible", "newly_seen")}
    mixed["forecasts"] = {n: f[order] for n, f in sample["forecasts"].items()}
    mixed["times_s"] = mixed["times_s"] + 0.04  # stamps are never exact
    np.testing.assert_equal(score_forecasts([mixed]), score_forecasts([sample]))


def test_stamps_that_drift_keep_their_steps():
    names = [f"{h / 2:g}s" for h in range(1, 21)]
    for interval in (0.46, 0.5, 0.54):
        assert step_keys(np.arange(1, 21) * interval) == names
    assert step_keys(np.array([0.7, 1.15, 1.65])) == names[:3]  # one keyframe late, the others in their rhythm
    assert step_keys(np.array([3.02, 0.98, 2.01])) == ["3s", "1s", "2s"]
    for wrong in ([0.1, 0.2, 0.3], [0.25, 0.5], [0.67, 1.33, 2.0, 2.67, 3.33, 4.0], [-0.5, 0.5], [0.0, 0.5]):
        with pytest.raises(ValueError, match="times_s is"):
            step_keys(np.array(wrong))
    with pytest.raises(ValueError, match="multiple of 0.5 s above 0, got 0.7"):
        score_forecasts([make_sample(np.random.default_rng(12))], horizons_s=(0.7,))


def test_window_sets_are_told_by_token():
    rng = np.random.default_rng(4)
    scenes = {name: [f"{name}{i}" for i in range(14)] for name in "abc"}
    # What a model that observes 4 keyframes is asked: t0 from keyframe 3 to 7. One window of scene c is lost.
    samples = [make_sample(rng, s, token=f"{s}{i}") for s in "abc" for i in range(3, 8) if (s, i) != ("c", 5)]
    report = score_forecasts(samples, scenes)
    by_name = {name: (w["windows"], w["expected"], w["scenes"]) for name, w in report["windows"].items()}
    assert by_name == {"all": (11, 12, 3), "occworld": (5, 6, 3), "first": (3, 3, 3), "evaluated": (14, None, 3)}
    for windows, chosen in (("all", range(4, 8)), ("occworld", range(4, 6)), ("first", [3])):
        few = [s for s in samples if int(s["sample_token"][1:]) in chosen]
        expected = row_of(score_forecasts(few), "model")
        np.testing.assert_equal(row_of(report, "model", windows)["scores"], expected["scores"])
    text = forecast_text(report)
    assert "INCOMPLETE" in text and text.count("| complete") == 1


def test_intervals_are_those_of_the_plain_bootstrap():
    rng = np.random.default_rng(5)
    samples = [make_sample(rng, f"scene-{i % 8}") for i in range(16)]
    records = [record_forecast(s) for s in samples]
    row = row_of(forecast_report(records, resamples=200, seed=3), "model")
    pair = np.stack([r.sums["all"][[r.names.index(n) for n in ("model", "ego_warped_copy")], 3] for r in records])
    args = ([r.scene for r in records], np.random.default_rng(3), 200)

    def check(found, statistic):
        clusters, generator, resamples = args[0], np.random.default_rng(3), args[2]
        expected = clustered_interval(pair, clusters, statistic, generator, resamples)
        assert (found["value"], found["low"], found["high"]) == pytest.approx(tuple(expected))
        assert found["low"] < found["value"] < found["high"]

    for score in ("miou", "iou", "dynamic_miou"):
        check(row["intervals"][score]["2s"], lambda s, score=score: scores_of_sums(s[0])[score])
        lead = row["lead_over_ego_warped_copy"][score]["2s"]
        check(lead, lambda s, score=score: scores_of_sums(s[0])[score] - scores_of_sums(s[1])[score])
        assert lead["low"] > 0


def test_one_scene_has_no_interval():
    report = score_forecasts([make_sample(np.random.default_rng(11)) for _ in range(3)])
    lead = row_of(report, "model")["lead_over_ego_warped_copy"]["miou"]["2s"]
    assert lead["value"] > 0 and np.isnan(lead["low"]) and np.isnan(lead["high"])
    assert f"| {lead['value']:+.2f} " in forecast_text(report)


def test_calibration_over_subsets_and_steps():
    rng = np.random.default_rng(6)
    samples = [make_sample(rng, scene) for scene in "ab"]
    for sample in samples:
        # sharp, so that some voxels are surely free
        p = rng.dirichlet(np.full(OCC3D.num_classes, 0.02), sample["truth"].shape)
        sample["probabilities"] = {"model": np.moveaxis(p, -1, 1).astype(np.float16)}
    report = score_forecasts(samples)
    found = row_of(report, "model")["calibration"]
    assert "calibration" not in row_of(report, "copy_last")
    masks = {
        "all": lambda s: np.ones(s["truth"].shape, bool),
        "visible": lambda s: s["visible"],
        "maybe_occupied": lambda s: s["probabilities"]["model"][:, OCC3D.free] < 0.99,
    }
    assert set(found) == set(masks)
    for subset, mask in masks.items():
        for steps, key in (([1], "1s"), (range(6), "all_steps")):
            sums = sum(
                calibration_sums_reference(
                    s["probabilities"]["model"][f].reshape(18, -1), s["truth"][f].ravel(), mask(s)[f].ravel()
                )
                for s in samples
                for f in steps
            )
            for score, value in calibration_scores(sums).items():
                assert found[subset][score][key] == pytest.approx(value, rel=1e-5)


def test_ten_seconds_need_no_change():
    rng = np.random.default_rng(7)
    samples = [make_sample(rng, scene, frames=20) for scene in "ab"]
    report = score_forecasts(samples, horizons_s=(1, 2, 3, 5, 10))
    assert report["steps"][-1] == "10s" and len(report["steps"]) == 20
    miou = row_of(report, "model")["scores"]["miou"]
    assert miou["avg_steps"] == pytest.approx(np.mean([miou[f"{h / 2:g}s"] for h in range(1, 7)]))
    text = forecast_text(report, (1, 2, 3, 5, 10))
    assert "mIoU 10s" in text and "mIoU 9.5s" in text


def test_a_report_may_end_before_three_seconds_and_then_has_no_average():
    report = score_forecasts([make_sample(np.random.default_rng(8), frames=4)], horizons_s=(1, 2))
    miou = row_of(report, "model")["scores"]["miou"]
    assert np.isfinite(miou["2s"]) and np.isnan(miou["avg"]) and np.isnan(miou["avg_steps"])
    assert "-" in forecast_text(report, (1, 2))


def test_what_does_not_fit_is_refused_and_the_window_named():
    rng = np.random.default_rng(9)
    sample = make_sample(rng, "scene-7", token="abc")

    def refused(match, **changes):
        with pytest.raises(ValueError, match=f"window abc of scene scene-7: {match}"):
            record_forecast(sample | changes, horizons_s=(1, 2, 3))

    refused("times_s has 5 entries for 6 frames", times_s=TIMES[:5])
    refused("times_s is .* several frames fall on one step", times_s=np.array([0.5, 0.5, 1.5, 2, 2.5, 3]))
    refused("times_s is .*0.75.* not on steps of 0.5 s", times_s=TIMES + 0.25)
    refused("times_s is .*nan.* not on steps", times_s=TIMES * np.nan)
    refused("forecast 'model' has shape", forecasts={"model": sample["truth"][:, :3]})
    refused("prediction must be uint8", forecasts={"model": sample["truth"].astype(int)})
    refused("prediction holds label 18", forecasts={"model": sample["truth"] * 0 + np.uint8(18)})
    refused("visible must be bool", visible=sample["truth"])
    refused("probabilities have shape", probabilities={"model": np.zeros((6, 18, 2, 2, 2), np.float16)})
    few = make_sample(rng, "scene-7", frames=4, token="abc")
    refused("times_s lacks 3s: it has 0.5s, 1s, 1.5s, 2s", **{k: few[k] for k in few if k != "scene"})

    records = [record_forecast(sample)]
    with pytest.raises(ValueError, match="steps is .*0.5s.*a table needs them alike"):
        forecast_report([*records, record_forecast(few)])
    with pytest.raises(ValueError, match="names is .*mine"):
        forecast_report([*records, record_forecast(sample | {"forecasts": {"mine": sample["truth"]}})])
    with pytest.raises(ValueError, match="ego_pose is planner, but window abc has given"):
        forecast_report([*records, record_forecast(sample | {"ego_pose": "planner"})])
    with pytest.raises(ValueError, match="other subsets"):
        forecast_report([*records, record_forecast(sample | {"visible": None})])
    with pytest.raises(ValueError, match="no window"):
        forecast_report([])


def test_under_a_planners_pose_nothing_is_called_moving():
    """The copy is then in other frames than the truth, so what stands would count."""
    sample = make_sample(np.random.default_rng(10)) | {"ego_pose": "planner"}
    report = score_forecasts([sample])
    assert report["ego_pose"] == "planner" and {row["ego_pose"] for row in report["rows"]} == {"planner"}
    assert not any("moving" in name for name in report["rows"][0]["scores"])
