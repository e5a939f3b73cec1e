"""Statistics of sweeps against closed forms."""

import numpy as np
import pytest

from drivewm.evaluation.functional.sweeps import sweep_statistics
from drivewm.simulation import LidarConfig


def test_a_sensor_over_a_plane():
    config = LidarConfig()
    rays, ring = config.directions()
    down = rays[:, 2] < -0.05
    depth = -1.84 / rays[down, 2]
    points = np.column_stack([depth[:, None] * rays[down], np.full(down.sum(), 12.0), ring[down]])
    found = sweep_statistics([points, points], 1.84)
    assert found["points"] == down.sum() and found["height -0.3-0.3 m"] == 1.0
    assert found["cells with obstacles"] == 0.0 and found["intensity mean"] == 12.0
    assert found["lowest beam"] == pytest.approx(-30.67, abs=1e-6)
    assert found["beam spacing"] == pytest.approx((10.67 + 30.67) / 31, abs=1e-6)
    assert found["azimuth step"] == pytest.approx(360 / config.azimuth_steps, abs=1e-6)
    distance = np.hypot(points[:, 0], points[:, 1])
    assert found["range 5-10 m"] == pytest.approx(((distance >= 5) & (distance < 10)).mean())


def test_shares_sum_to_one_and_unknown_rings_are_left_out():
    rng = np.random.default_rng(0)
    points = np.column_stack([rng.uniform(-30, 30, (500, 3)), rng.uniform(0, 255, 500), np.full(500, -1.0)])
    found = sweep_statistics([points], 1.84)
    for name in ("range", "height"):
        assert sum(v for k, v in found.items() if k.startswith(name)) == pytest.approx(1.0)
    assert "lowest beam" not in found


def test_one_wall_fills_its_cells():
    y = np.arange(-7.9, 8.0, 0.1)
    foot = np.column_stack([np.full_like(y, 10.1), y, np.full_like(y, -1.0), np.zeros_like(y), np.full_like(y, -1)])
    wall = foot + np.array([0.0, 0.0, 0.6, 0.0, 0.0])
    hump = foot + np.array([0.0, 0.0, 0.2, 0.0, 0.0])
    assert sweep_statistics([np.concatenate([foot, wall])], 1.84)["cells with obstacles"] == pytest.approx(20 / 100**2)
    assert sweep_statistics([np.concatenate([foot, hump])], 1.84)["cells with obstacles"] == 0.0


def test_nothing_to_describe_is_an_error():
    with pytest.raises(ValueError, match="no sweep"):
        sweep_statistics([], 1.84)
    with pytest.raises(ValueError, match="beyond 2.5 m"):
        sweep_statistics([np.zeros((3, 5))], 1.84)
