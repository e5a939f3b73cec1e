"""Calibration sums against their voxel-by-voxel twin, and scores whose values are known."""

import numpy as np
import pytest
import torch

from drivewm.evaluation.functional.calibration import (
    BINS,
    FLOOR,
    calibration_scores,
    calibration_sums,
    calibration_sums_reference,
    voxel_calibration,
)


def _scores(probabilities, truth, mask=None):
    return calibration_scores(calibration_sums(voxel_calibration(probabilities, truth), mask))


@pytest.mark.parametrize("masked", [False, True])
def test_sums_equal_the_twin(masked):
    rng = np.random.default_rng(int(masked))
    probabilities = rng.dirichlet(np.full(5, 0.3), (6, 4, 5)).transpose(3, 0, 1, 2).astype(np.float16)
    truth = rng.integers(0, 5, (6, 4, 5)).astype(np.uint8)
    mask = rng.random(truth.size) < 0.5 if masked else None
    voxels = voxel_calibration(torch.from_numpy(probabilities), torch.from_numpy(truth))
    found = calibration_sums(voxels, None if mask is None else torch.from_numpy(mask))
    expected = calibration_sums_reference(probabilities.reshape(5, -1), truth.reshape(-1), mask)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert found[0, 0] == found[0, 1:].sum() == (mask.sum() if masked else truth.size)


def test_sums_add_up():
    rng = np.random.default_rng(2)
    p = torch.from_numpy(rng.dirichlet(np.ones(3), 40).T)
    truth = torch.from_numpy(rng.integers(0, 3, 40).astype(np.uint8))
    whole = calibration_sums(voxel_calibration(p, truth))
    parts = [calibration_sums(voxel_calibration(p[:, s], truth[s])) for s in (slice(0, 13), slice(13, 40))]
    np.testing.assert_allclose(parts[0] + parts[1], whole, rtol=1e-6)


def test_certain_and_right_or_wrong():
    p = torch.tensor([[1.0], [0.0]]).expand(2, 8)
    right = _scores(p, torch.zeros(8, dtype=torch.uint8))
    assert right == {"nll": 0, "brier": 0, "ece": 0}
    wrong = _scores(p, torch.ones(8, dtype=torch.uint8))
    assert wrong["nll"] == pytest.approx(-np.log(FLOOR)) and wrong["brier"] == 2 and wrong["ece"] == 1


def test_knowing_nothing_of_c_classes():
    classes = 4
    p = torch.full((classes, 400), 1 / classes)
    truth = torch.arange(400, dtype=torch.uint8) % classes
    scores = _scores(p, truth)
    assert scores["nll"] == pytest.approx(np.log(classes)) and scores["brier"] == pytest.approx(1 - 1 / classes)
    assert scores["ece"] == pytest.approx(0)  # the first class is named each time, and right as often as it says


def test_ece_is_the_distance_of_confidence_and_accuracy():
    """Says 0.8 and is right in 60 %, says 0.6 and is right in 60 %: 0.2 for one half of the voxels."""
    confidence = torch.tensor([0.8] * 10 + [0.6] * 10)
    truth = torch.tensor(([0] * 6 + [1] * 4) * 2, dtype=torch.uint8)
    scores = _scores(torch.stack([confidence, 1 - confidence]), truth)
    assert scores["ece"] == pytest.approx(0.1)
    nll = -(0.6 * np.log([0.8, 0.6]) + 0.4 * np.log([0.2, 0.4])).mean()
    brier = 2 * (0.6 * np.array([0.2, 0.4]) ** 2 + 0.4 * np.array([0.8, 0.6]) ** 2).mean()
    assert scores["nll"] == pytest.approx(nll) and scores["brier"] == pytest.approx(brier)


def test_drawn_from_its_own_probabilities_a_forecast_is_calibrated_also_where_it_doubts():
    """A subset chosen by the forecast keeps it calibrated; one chosen by truth does not, which is why there is none."""
    rng = np.random.default_rng(3)
    p = rng.dirichlet(np.full(3, 0.5), 40000)
    truth = (rng.random(len(p))[:, None] > p.cumsum(1)).sum(1).clip(0, 2).astype(np.uint8)
    voxels = voxel_calibration(torch.from_numpy(p.T.copy()), torch.from_numpy(truth))

    def ece(mask):
        return calibration_scores(calibration_sums(voxels, torch.from_numpy(mask)))["ece"]

    assert ece(np.ones(len(p), bool)) < 0.02 and ece(p[:, 2] < 0.5) < 0.02
    assert ece((p.argmax(1) != 2) | (truth != 2)) > 0.05


def test_bins_are_closed_on_the_right():
    p = torch.tensor([[7 / 15, 0.5], [8 / 15, 0.5]])
    sums = calibration_sums(voxel_calibration(p, torch.zeros(2, dtype=torch.uint8)))
    assert sums.shape == (3, 1 + BINS) and sums[0, 8] == 2 and sums[0, 1:].sum() == 2


def test_no_voxel_is_nan_and_bad_input_is_refused():
    p, truth = torch.full((2, 3), 0.5), torch.zeros(3, dtype=torch.uint8)
    assert all(np.isnan(v) for v in _scores(p, truth, torch.zeros(3, dtype=torch.bool)).values())
    with pytest.raises(ValueError, match=r"shape \(2, 3\) do not fit truth \(2,\)"):
        voxel_calibration(p, truth[:2])
    with pytest.raises(ValueError, match="label 2, but there are probabilities of 2"):
        voxel_calibration(p, truth + 2)
    for bad in (p * 3, p - 1, p * float("nan")):
        with pytest.raises(ValueError, match=r"in \[0, 1\]"):
            voxel_calibration(bad, truth)
    with pytest.raises(ValueError, match=r"add up to 1, but one's are off by 0\.8"):
        voxel_calibration(p * 1.8, truth)
