"""Open-loop planning: closed forms, averagings, and polygons against shapely."""

import numpy as np
import pytest
from shapely.geometry import Polygon

from drivewm.evaluation.functional.planning import (
    Mask,
    average_at,
    average_up_to,
    ego_boxes,
    l2_errors,
    polygon_collisions,
)
from drivewm.evaluation.metrics import OpenLoopPlanningMetric
from drivewm.geometry.boxes import bev_corners

SIZE, AHEAD = (4.0, 2.0, 1.5), 1.5


def _line(speed, steps=6, dt_s=0.5):
    times = np.arange(1, steps + 1) * dt_s
    return np.stack([speed * times, np.zeros(steps), np.zeros(steps)], axis=-1)


def test_l2_of_a_speed_error_grows_linearly():
    error = l2_errors(_line(10.0)[None], _line(8.0)[None])
    np.testing.assert_allclose(error, 2.0 * np.arange(1, 7)[None] * 0.5)
    everywhere = np.ones_like(error, bool)
    assert average_at(error, everywhere, step=3).value == pytest.approx(4.0)  # 2 m/s over 2 s
    assert average_up_to(error, everywhere, step=3).value == pytest.approx((1 + 2 + 3 + 4) / 4)


def test_masks_say_which_samples_count():
    values = np.array([[1.0, 1.0, 1.0], [3.0, 3.0, 3.0]])
    valid = np.array([[True, True, True], [True, True, False]])
    assert average_at(values, valid, 1, Mask.VALID) == (2.0, 2)
    assert average_at(values, valid, 2, Mask.VALID) == (1.0, 1)
    assert average_at(values, valid, 1, Mask.FULL) == (1.0, 1)
    assert average_at(values, valid, 2, Mask.ZERO) == (0.5, 2)
    assert average_up_to(values, valid, 2, Mask.FULL) == (1.0, 1)
    assert average_up_to(values, valid, 2, Mask.ZERO) == (1.5, 2)
    nothing = average_at(values, np.zeros_like(valid), 0)
    assert np.isnan(nothing.value) and nothing.count == 0


def test_polygons_agree_with_shapely():
    rng = np.random.default_rng(0)
    ego = ego_boxes(rng.uniform(-4, 4, (40, 6, 3)), SIZE, AHEAD)
    boxes = np.concatenate(
        [rng.uniform(-6, 6, (40, 6, 5, 3)), rng.uniform(0.5, 5, (40, 6, 5, 3)), rng.uniform(-4, 4, (40, 6, 5, 1))], -1
    )
    valid = rng.random((40, 6, 5)) < 0.7
    ours = polygon_collisions(ego, boxes, valid)
    corners, ego_corners = bev_corners(boxes), bev_corners(ego)
    for sample, step in np.ndindex(*ours.shape):
        mine = Polygon(ego_corners[sample, step])
        touching = [Polygon(c).intersection(mine).area > 1e-9 for c in corners[sample, step]]
        assert ours[sample, step] == (np.array(touching) & valid[sample, step]).any()
    assert 0.2 < ours.mean() < 0.95


def test_the_ego_box_lies_ahead_of_the_rear_axle():
    box = ego_boxes(np.array([10.0, 5.0, np.pi / 2]), SIZE, AHEAD)
    np.testing.assert_allclose(box, [10.0, 6.5, 0.75, *SIZE, np.pi / 2])


def _sample(scene, speed, box_x, valid=None):
    boxes = np.tile([box_x, 0.0, 0.7, 4.0, 2.0, 1.5, 0.0], (6, 1, 1))
    planning = {
        "scene": scene,
        "plans": {"fast": _line(speed)},
        "truth": _line(4.0),
        "valid": np.ones(6, bool) if valid is None else valid,
        "dt_s": 0.5,
        "boxes": boxes,
        "boxes_valid": np.ones((6, 1), bool),
    }
    return {"planning": planning}


def test_metric_of_a_constructed_case():
    metric = OpenLoopPlanningMetric()
    # At 8 m/s the ego's front (3.5 m ahead) enters the box that starts at 18 m after 14.5 m, so within 2 s.
    metric.process(None, [_sample("a", 8.0, 20.0), _sample("b", 8.0, 200.0)])
    out = metric.evaluate(size=2)
    assert out["fast/l2_instant/1s"] == pytest.approx(4.0) and out["fast/l2_instant/3s"] == pytest.approx(12.0)
    assert out["fast/l2_mean/1s"] == pytest.approx(3.0)
    assert out["fast/l2_instant/avg"] == pytest.approx(8.0)
    assert out["fast/collision_instant/1s"] == 0 and out["fast/collision_instant/2s"] == 50
    assert out["ground_truth/collision_instant/3s"] == 0
    assert out["fast/collision_mean/2s"] == pytest.approx(50 / 4)
    assert out["samples_instant/3s"] == 2 and out["samples_mean/3s"] == 2


def test_steps_in_which_the_driven_path_collides_are_dropped_by_the_clean_rate():
    metric = OpenLoopPlanningMetric()
    metric.process(None, [_sample("a", 4.0, 14.0)])  # the driven path itself runs into the box
    out = metric.evaluate(size=1)
    assert out["ground_truth/collision_instant/3s"] == 100 and out["fast/collision_instant/3s"] == 100
    assert out["fast/collision_clean_instant/3s"] == 0


def test_metric_counts_what_is_missing():
    short = np.array([True, True, True, True, False, False])
    metric = OpenLoopPlanningMetric()
    metric.process(None, [_sample("a", 6.0, 200.0), _sample("b", 6.0, 200.0, short)])
    out = metric.evaluate(size=2)
    assert out["samples_instant/2s"] == 2 and out["samples_instant/3s"] == 1 and out["samples_mean/2s"] == 1
    assert out["fast/l2_instant_zero/3s"] == pytest.approx(out["fast/l2_instant/3s"] / 2)
    # Truth that ends behind the last horizon is complete, and boxes need not reach farther either.
    longer = _sample("a", 6.0, 200.0)["planning"]
    for key in ("truth", "valid"):
        longer[key] = np.concatenate([longer[key], np.zeros_like(longer[key][:2])])
    longer["plans"] = {"fast": _line(6.0, steps=8)}
    metric.process(None, [{"planning": longer}])
    assert metric.evaluate(size=1)["samples_mean/3s"] == 1
    finer = _sample("a", 6.0, 9.0)["planning"] | {"dt_s": 0.25}
    metric.process(None, [{"planning": finer}])
    with pytest.raises(ValueError, match="too few"):
        metric.evaluate(size=1)
