"""Scores of forecast LiDAR frames, in closed form and against plain computation."""

import numpy as np
import pytest

from drivewm.evaluation.functional.chamfer import chamfer_reference
from drivewm.evaluation.functional.lidar_forecast import (
    SCORES,
    clip_to_box,
    frame_scores,
    in_lidar_t0,
    near_field,
    ray_errors,
)
from drivewm.geometry import se3

ORIGIN = np.zeros(3)


def sweep(rng, count=400, farthest=60.0):
    """Points all around the sensor, so flat that no ray leaves the near field by its top or bottom."""
    azimuth, depth = rng.uniform(0, 2 * np.pi, count), rng.uniform(3, farthest, count)
    z = depth * rng.uniform(-0.05, 0.05, count)
    return np.stack([depth * np.cos(azimuth), depth * np.sin(azimuth), z], axis=-1).astype(np.float32)


def scored(*args, **options):
    return dict(zip(SCORES, frame_scores(*args, **options), strict=True))


def test_a_perfect_forecast():
    rng = np.random.default_rng(0)
    truth = np.concatenate([sweep(rng), rng.uniform(0, 255, (400, 1)).astype(np.float32)], axis=1)
    everywhere, cells = np.ones(len(truth), bool), rng.random((4, 6)) < 0.5
    silent = (cells, cells, ~cells)
    scores = scored(truth, truth[::-1].copy(), ORIGIN, moving=(everywhere, everywhere), silent=silent)
    assert scores.pop("returns") == 100 and scores.pop("silent") == 100
    assert all(value == pytest.approx(0, abs=1e-5) for value in scores.values())


def test_intensities_are_compared_ray_by_ray_and_silent_cells_where_they_are_known():
    truth = np.array([[10, 0, 0, 100], [0, 20, 0, 50], [0, -100, 0, 9]], np.float32)  # the last is far away
    forecast = np.array([[0, 25, 0, 80], [12, 0, 0, 90], [0, -90, 0, 200]], np.float32)
    said = np.array([1, 1, 0, 0, 1], bool)
    silent, returned = np.array([1, 0, 1, 0, 0], bool), np.array([0, 1, 0, 1, 0], bool)  # the last is not known
    scores = scored(forecast, truth, ORIGIN, silent=(said, silent, returned))
    assert scores["intensity"] == pytest.approx((10 + 30) / 2)
    assert scores["silent"] == pytest.approx(100 / 3)
    scores = scored(forecast[:, :3], truth, ORIGIN)
    assert np.isnan(scores["intensity"]) and np.isnan(scores["silent"])


def test_depths_that_are_longer_by_a_tenth():
    """Each ray is answered by itself, so errors are known."""
    truth = sweep(np.random.default_rng(1))
    depth = np.linalg.norm(truth, axis=-1)
    errors = ray_errors((1.1 * truth).astype(np.float32), truth, ORIGIN)
    assert errors["l1_mean"] == pytest.approx(0.1 * depth.mean(), rel=1e-4)
    assert errors["l1_median"] == pytest.approx(np.median(0.1 * depth), rel=1e-4)
    assert (errors["absrel_mean"], errors["absrel_median"]) == pytest.approx((10.0, 10.0), rel=1e-4)


def test_end_points_are_clamped_along_the_ray_and_the_median_is_of_returns_inside():
    truth = np.array([[60, 0, 0], [0, 100, 0], [0, -140, 0], [0, 20, 0.2]], np.float32)
    forecast = np.array([[90, 0, 0], [0, 80, 0], [0, -10, 0], [0, 20, 0.2]], np.float32)
    errors = ray_errors(forecast, truth, ORIGIN)
    assert errors["l1_mean"] == pytest.approx((10 + 0 + 60 + 0) / 4, rel=1e-5)
    assert errors["absrel_mean"] == pytest.approx(100 * (10 / 60 + 0 + 60 / 70 + 0) / 4, rel=1e-5)
    assert errors["l1_median"] == pytest.approx(5, rel=1e-4)  # of 10 and 0
    assert errors["absrel_median"] == pytest.approx(100 * 10 / 60 / 2, rel=1e-4)


def test_from_outside_rays_count_from_where_they_enter():
    origin = np.array([100.0, 0, 0])
    truth = np.array([[50, 0, 0], [150, 0, 0], [100, 50, 0]], np.float32)  # two never meet the near field
    forecast = np.array([[40, 0, 0], [160, 0, 0], [100, 60, 0]], np.float32)
    errors = ray_errors(forecast, truth, origin)
    assert errors["l1_mean"] == errors["l1_median"] == pytest.approx(10)
    assert errors["absrel_mean"] == pytest.approx(50)  # of the 20 m inside


@pytest.mark.parametrize("seed", range(3))
def test_the_angularly_nearest_ray_answers(seed):
    rng = np.random.default_rng(seed)
    origin = rng.normal(0, 0.1, 3)
    truth, forecast = sweep(rng, 200), sweep(rng, 150)
    offset, other = truth - origin, forecast - origin
    depth, other_depth = np.linalg.norm(offset, axis=-1), np.linalg.norm(other, axis=-1)
    cosine = (offset / depth[:, None]) @ (other / other_depth[:, None]).T
    error = np.abs(other_depth[cosine.argmax(1)] - depth)  # nothing reaches the border
    errors = ray_errors(forecast, truth, origin)
    assert errors["l1_mean"] == pytest.approx(error.mean(), rel=1e-4)
    assert errors["l1_median"] == pytest.approx(np.median(error), rel=1e-4)
    assert errors["absrel_mean"] == pytest.approx(100 * (error / depth).mean(), rel=1e-4)


def test_near_the_turn_of_the_azimuth_the_neighbour_is_still_the_neighbour():
    """Just left and right of backwards: differences of the azimuth would pick the ray to the front."""
    truth, forecast = np.array([[-10, 0.01, 0]]), np.array([[-12, -0.01, 0], [5, 5, 0]])
    for turn in np.arange(0, 2 * np.pi, np.pi / 4):
        T = se3.from_xyzyaw(0, 0, 0, turn)
        errors = ray_errors(*(se3.transform_points(T, p).astype(np.float32) for p in (forecast, truth)), ORIGIN)
        assert errors["l1_mean"] == pytest.approx(2, abs=1e-3)


def test_crops_and_empty_clouds():
    rng = np.random.default_rng(2)
    truth, far = sweep(rng, 100), np.array([[71, 0, 0], [0, 0, 4.6], [0, -80, 0]], np.float32)
    forecast = np.concatenate([sweep(rng, 100), far])
    scores = scored(forecast, truth, ORIGIN)
    assert scores["cd_in"] == pytest.approx(chamfer_reference(forecast[:100], truth).squared_m2)
    assert scores["cd_all_plain"] == pytest.approx(chamfer_reference(forecast, truth).plain_m)
    assert scores["returns"] == pytest.approx(103)
    assert np.isnan(scores["cd_moving"])
    alone = scored(far, truth, ORIGIN)
    assert np.isnan(alone["cd_in"]) and alone["cd_all"] > 0 and alone["l1_mean"] > 0
    nothing = scored(np.zeros((0, 3), np.float32), truth, ORIGIN)
    assert nothing.pop("returns") == 0 and np.isnan(list(nothing.values())).all()
    assert np.isnan(frame_scores(truth, np.zeros((0, 3), np.float32), ORIGIN)).all()
    assert near_field(np.array([[70, -70, 4.5], [70, 0, 4.51]])).tolist() == [True, False]


def test_what_moves_is_scored_apart():
    truth = np.array([[10, 0, 0], [20, 0, 0]], np.float32)
    forecast = np.array([[13, 0, 0], [20, 0, 0]], np.float32)
    moving = np.array([True, False])
    scores = scored(forecast, truth, ORIGIN, moving=(moving, moving))
    assert scores["cd_moving"] == pytest.approx(9) and scores["moving_missed"] == pytest.approx(9)
    gone = scored(forecast, truth, ORIGIN, moving=(np.zeros(2, bool), moving))
    assert np.isnan(gone["cd_moving"]) and gone["moving_missed"] == pytest.approx(9)
    still = scored(forecast, truth, ORIGIN, moving=(moving, np.zeros(2, bool)))
    assert np.isnan([still["cd_moving"], still["moving_missed"]]).all()
    far = scored(forecast, truth + [0, 0, 5], ORIGIN, moving=(moving, moving))  # above the near field
    assert np.isnan([far["cd_moving"], far["moving_missed"]]).all()


def test_rays_meet_the_box_where_its_planes_say():
    directions = np.array([[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0.6, 0.8, 0], [0, 0, 1]])
    box = (-1.0, -2.0, -3.0, 4.0, 2.0, 3.0)
    np.testing.assert_allclose(clip_to_box(ORIGIN, directions, box)[1], [4, 1, 2, 2.5, 3])
    assert (clip_to_box(ORIGIN, directions, box)[0] == 0).all()
    enter, leave = clip_to_box(np.array([-3.0, 0, 0]), directions, box)
    assert (enter[0], leave[0]) == (2, 7) and (enter >= leave)[[1, 2, 4]].all()


def test_frames():
    T_t0_lidar = se3.from_xyzyaw(0.9, 0.0, 1.8, -np.pi / 2)
    T_t0_ego = se3.from_xyzyaw(5.0, 0.0, 0.0, 0.0)
    T_lidar0_ego = se3.inverse(T_t0_lidar) @ T_t0_ego
    ahead = in_lidar_t0(np.array([[10.0, 0, 1.8, 0.5]]), T_lidar0_ego)
    np.testing.assert_allclose(ahead, [[0, 14.1, 0, 0.5]], atol=1e-6)  # forward is y
    assert ahead.dtype == np.float32
