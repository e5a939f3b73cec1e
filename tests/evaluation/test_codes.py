"""The use of a codebook: perplexity of known shares, and what the reconstruction metric says of a whole set."""

import numpy as np
import pytest
import torch

from drivewm.evaluation.functional.codes import perplexity
from drivewm.evaluation.metrics import ReconstructionMetric


@pytest.mark.parametrize(
    ("counts", "expected"), [([4, 0, 0], 1.0), ([1, 1, 1, 1, 0], 4.0), ([2, 2], 2.0), ([0, 9], 1.0)]
)
def test_perplexity_is_the_number_of_codes_used_alike(counts, expected):
    assert perplexity(torch.tensor(counts)).item() == pytest.approx(expected)


def test_codes_are_counted_over_the_whole_set():
    metric, frame = ReconstructionMetric(), np.zeros((2, 2, 2), np.uint8)
    for used in ([3, 0, 0, 1], [0, 4, 0, 0]):
        metric.process(None, [dict(reconstruction=frame, truth=frame, scene="a", codes={"2x2": torch.tensor(used)})])
    scores = metric.evaluate(2)
    share = np.array([3, 4, 1]) / 8
    assert scores["perplexity/2x2"] == pytest.approx(np.exp(-(share * np.log(share)).sum()))
    assert scores["unused_codes/2x2"] == 1
