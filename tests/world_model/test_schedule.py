"""The cosine schedules of training and sampling."""

import math

import pytest
import torch

from drivewm.world_model.schedule import keep_count, mask_count


@pytest.mark.parametrize("number", [1, 7, 256])
def test_masks_follow_the_cosine(number):
    u = torch.linspace(0, 0.999, 50)
    expected = [math.ceil(math.cos(float(x) * math.pi / 2) * number) for x in u.double()]
    assert mask_count(u, number).tolist() == expected
    assert mask_count(torch.tensor([0.0]), number).item() == number


@pytest.mark.parametrize("steps", [1, 2, 8, 20])
def test_kept_tokens_rise_to_all(steps):
    kept = [keep_count(k, steps, 256) for k in reversed(range(steps))]
    assert kept == sorted(kept) and kept[-1] == 256
    assert kept == [math.ceil(math.cos(k * math.pi / (2 * steps)) * 256 - 1e-9) for k in reversed(range(steps))]
