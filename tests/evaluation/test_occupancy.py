"""Confusion counts against two independent references, and the conventions of IoU and mIoU."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, jaccard_score

from drivewm.evaluation.functional.occupancy import (
    CONVENTIONS,
    class_sums,
    confusion_counts,
    confusion_counts_reference,
    iou_of_sums,
    iou_per_class,
    mean_iou,
    miou,
    occupied_iou,
)
from drivewm.structures import OCC3D

C = OCC3D.num_classes


def _street(rng, shape=(3, 20, 20, 9)):
    """Labels with long equal runs, as real scenes have (odd sizes, so that no run ends on a word)."""
    truth = np.full(shape, OCC3D.free, np.uint8)
    truth[..., 2] = OCC3D.index("driveable_surface")
    truth[:, :6, :, :7] = OCC3D.index("manmade")
    truth[:, 9:12, 3:5, 3:5] = OCC3D.index("car")
    prediction = np.roll(truth, 2, axis=1)
    noise = rng.random(shape) < 0.05
    prediction[noise] = rng.integers(0, C, noise.sum())
    return prediction, truth


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 1000])
def test_counts_match_sklearn_and_the_loop(size):
    rng = np.random.default_rng(size)
    truth, prediction = rng.integers(0, C, (2, size)).astype(np.uint8)
    counts = confusion_counts(prediction, truth, C)
    assert counts.dtype == np.int64 and counts.shape == (C, C)
    if size:
        np.testing.assert_array_equal(counts, confusion_matrix(truth, prediction, labels=range(C)))
    np.testing.assert_array_equal(counts, confusion_counts_reference(prediction, truth, C))


def test_counts_of_a_scene_with_and_without_mask():
    rng = np.random.default_rng(1)
    prediction, truth = _street(rng)
    for mask in (None, rng.random(truth.shape) < 0.5, np.zeros(truth.shape, bool), np.ones(truth.shape, bool)):
        counts = confusion_counts(prediction, truth, C, mask)
        np.testing.assert_array_equal(counts, confusion_counts_reference(prediction, truth, C, mask))
        assert counts.sum() == (truth.size if mask is None else mask.sum())


@pytest.mark.parametrize("height", [8, 16, 24])
def test_counts_of_columns_that_are_whole_words(height):
    """Equal columns are counted as runs."""
    prediction, truth = _street(np.random.default_rng(height), (3, 20, 20, height))
    for labels in (prediction, np.roll(truth, 1, axis=2)):
        expected = confusion_counts_reference(labels, truth, C)
        np.testing.assert_array_equal(confusion_counts(labels, truth, C), expected)


def test_counts_take_views_and_leave_inputs_alone():
    prediction, truth = _street(np.random.default_rng(2))
    before = prediction.copy(), truth.copy()
    turned = confusion_counts(prediction.transpose(3, 1, 0, 2), truth.transpose(3, 1, 0, 2), C)
    np.testing.assert_array_equal(turned, confusion_counts(prediction, truth, C))
    np.testing.assert_array_equal(prediction, before[0])
    np.testing.assert_array_equal(truth, before[1])


def test_iou_matches_sklearn():
    rng = np.random.default_rng(3)
    prediction, truth = _street(rng)
    counts = confusion_counts(prediction, truth, C)
    present = np.union1d(prediction, truth)
    expected = jaccard_score(truth.ravel(), prediction.ravel(), labels=present, average=None)
    np.testing.assert_allclose(iou_per_class(counts)[present], expected)
    occupied = jaccard_score(truth.ravel() != OCC3D.free, prediction.ravel() != OCC3D.free)
    assert occupied_iou(counts, OCC3D.free) == pytest.approx(occupied)


def test_perfect_and_permuted_predictions():
    _, truth = _street(np.random.default_rng(4))
    perfect = confusion_counts(truth, truth, C)
    assert miou(perfect, OCC3D.occupied) == 1 and occupied_iou(perfect, OCC3D.free) == 1
    # Every class renamed to the next: nothing is right, whatever is occupied stays occupied if free maps to free.
    renamed = np.where(truth == OCC3D.free, OCC3D.free, (truth + 1) % OCC3D.free).astype(np.uint8)
    counts = confusion_counts(renamed, truth, C)
    assert miou(counts, OCC3D.occupied) == 0 and occupied_iou(counts, OCC3D.free) == 1


def test_a_class_without_truth_and_prediction_is_left_out():
    truth = np.array([4, 4, 11, 17], np.uint8)
    prediction = np.array([4, 11, 11, 17], np.uint8)
    counts = confusion_counts(prediction, truth, C)
    iou = iou_per_class(counts)
    assert np.isnan(iou[7]) and iou[4] == 0.5 and iou[11] == 0.5
    assert miou(counts, OCC3D.occupied) == 0.5
    assert np.isnan(miou(counts, [7])) and np.isnan(occupied_iou(np.zeros((C, C), int), OCC3D.free))
    # A false alarm alone is a class with IoU 0, not a class left out.
    prediction[3] = 7
    assert miou(confusion_counts(prediction, truth, C), OCC3D.occupied) == pytest.approx(1 / 3)


def test_counts_add_up():
    prediction, truth = _street(np.random.default_rng(5))
    parts = [confusion_counts(p, t, C) for p, t in zip(prediction, truth, strict=True)]
    np.testing.assert_array_equal(np.sum(parts, 0), confusion_counts(prediction, truth, C))
    assert iou_per_class(np.stack(parts)).shape == (len(parts), C)


@pytest.mark.parametrize(
    "prediction, truth, message",
    [
        (np.zeros(3, np.uint8), np.zeros(4, np.uint8), "shape"),
        (np.zeros(3, np.int64), np.zeros(3, np.uint8), "uint8"),
        (np.zeros(3, np.uint8), np.array([0, 255, 0], np.uint8), "truth holds label 255"),
        (np.array([18], np.uint8), np.zeros(1, np.uint8), "prediction holds label 18"),
    ],
)
def test_bad_labels_are_refused(prediction, truth, message):
    with pytest.raises(ValueError, match=message):
        confusion_counts(prediction, truth, C)
    with pytest.raises(ValueError, match="mask"):
        confusion_counts(np.zeros(3, np.uint8), np.zeros(3, np.uint8), C, np.zeros(4, bool))


def test_sums_hold_all_that_the_scores_need():
    prediction, truth = _street(np.random.default_rng(6))
    counts = np.stack([confusion_counts(p, t, C) for p, t in zip(prediction, truth, strict=True)])
    sums = class_sums(counts)
    assert sums.shape == (len(counts), 3, C)
    for label in range(C):
        asked, claimed = truth == label, prediction == label
        np.testing.assert_array_equal(sums[:, 0, label], asked.sum((1, 2, 3)))
        np.testing.assert_array_equal(sums[:, 1, label], claimed.sum((1, 2, 3)))
        np.testing.assert_array_equal(sums[:, 2, label], (asked & claimed).sum((1, 2, 3)))
    np.testing.assert_array_equal(class_sums(counts.sum(0)), sums.sum(0))


def test_conventions_on_a_set_that_lacks_classes():
    """Classes 0 to 3: right by half, missed, never there but claimed once, never there and never claimed."""
    truth = np.array([0, 0, 1, 4, 4, 4], np.uint8)
    prediction = np.array([0, 4, 4, 2, 4, 4], np.uint8)
    sums = class_sums(confusion_counts(prediction, truth, 5))
    np.testing.assert_allclose(iou_of_sums(sums)[:4], [0.5, 0.0, 0.0, np.nan])
    classes = range(4)
    assert mean_iou(sums, classes) == mean_iou(sums, classes, "clean") == pytest.approx(0.5 / 3)
    assert mean_iou(sums, classes, "occworld") == pytest.approx((0.5 + 0 + 1 + 1) / 4)
    assert mean_iou(sums, classes, "i2world") == pytest.approx(0.5)
    assert np.isnan(mean_iou(sums, [1, 3], "i2world")) and mean_iou(sums, [3], "occworld") == 1
    with pytest.raises(ValueError, match="clean, occworld, i2world, got 'ours'"):
        mean_iou(sums, classes, "ours")


def test_conventions_agree_where_every_class_is_there_and_hit():
    rng = np.random.default_rng(7)
    truth = np.repeat(np.arange(C), 30).astype(np.uint8)
    prediction = np.where(rng.random(truth.shape) < 0.3, rng.integers(0, C, truth.size), truth).astype(np.uint8)
    sums = class_sums(confusion_counts(prediction, truth, C))
    assert len({float(mean_iou(sums, OCC3D.occupied, convention)) for convention in CONVENTIONS}) == 1
