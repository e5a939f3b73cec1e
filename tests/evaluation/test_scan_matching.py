"""Scan matching: exact on maps shifted by whole cells, close on scenes drawn twice, honest where it fails."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from drivewm.data import DriveClips
from drivewm.evaluation.functional import _scan_kernels, scan_refinement, scan_search
from drivewm.evaluation.functional.column_classes import UNKNOWN, column_classes
from drivewm.evaluation.functional.scan_matching import match_frames, match_maps, match_sequence
from drivewm.geometry import VoxelGrid, se2, se3
from drivewm.structures import OCC3D
from tests.evaluation.streets import GRID, LAWN, PAVEMENT, ROAD, TREE, WALL, draw

_REAL = os.environ.get("DRIVEWM_REAL_DATA")


def error(found, true):
    difference = np.asarray(found) - true
    return np.hypot(*difference[:2]), abs(se2.wrap_angle(difference[2]))


def shifted(frame, cells):
    """The frame as it looks from `cells` further ahead and left; free where nothing is known."""
    moved = np.full_like(frame, OCC3D.free)
    (i, j), (x, y) = cells, frame.shape[:2]
    into = tuple(slice(max(0, -k), n - max(0, k)) for k, n in ((i, x), (j, y)))
    out_of = tuple(slice(max(0, k), n - max(0, -k)) for k, n in ((i, x), (j, y)))
    moved[into] = frame[out_of]
    return moved


@pytest.mark.parametrize("cells", [(0, 0), (5, 0), (10, -3), (-4, 6)])
def test_whole_cells_are_found_exactly(cells):
    frame = draw((0, 0, 0.1))
    match = match_frames(frame, shifted(frame, cells), GRID)
    assert np.abs(match.T_a_b - [0.8 * cells[0], 0.8 * cells[1], 0]).max() < 0.02
    assert match.agreement == 1.0 and match.margin > 0.03


@pytest.mark.parametrize("yaw", [np.pi / 2, -np.pi / 2])
def test_far_turns_are_not_looked_for(yaw):
    square = VoxelGrid.centered((48, 48, 4), 0.8)
    frame = draw((0, 0, 0), square)
    match = match_frames(frame, np.ascontiguousarray(np.rot90(frame, 1 if yaw < 0 else -1)), square)
    assert np.isnan(match.T_a_b).all() or (abs(match.T_a_b[2]) <= 0.5 and match.agreement < 0.9)


@pytest.mark.parametrize("seed", range(6))
def test_any_motion_to_a_quarter_of_a_voxel(seed):
    """Two drawings of one scene, whose edges fall differently on the voxels."""
    rng = np.random.default_rng(seed)
    motion = np.array([rng.uniform(0, 8), rng.uniform(-1, 1), rng.uniform(-0.35, 0.35)])
    start = np.array([rng.uniform(-5, 5), rng.uniform(-1, 1), rng.uniform(-0.3, 0.3)])
    match = match_frames(draw(start), draw(se2.compose(start, motion)), GRID)
    away, turned = error(match.T_a_b, motion)
    assert away < 0.2 and turned < 0.01, (motion, match)


def test_a_street_without_buildings_is_enough():
    motion = np.array([6.1, 0.3, 0.1])
    match = match_frames(draw((0, 0, 0), buildings=False), draw(motion, buildings=False), GRID)
    away, turned = error(match.T_a_b, motion)
    assert away < 0.25 and turned < 0.01


def test_it_is_antisymmetric():
    motion = np.array([4.3, -0.2, 0.21])
    a, b = draw((1, 0.4, 0)), draw(se2.compose(np.array([1, 0.4, 0]), motion))
    there, back = match_frames(a, b, GRID).T_a_b, match_frames(b, a, GRID).T_a_b
    away, turned = error(se2.compose(there, back), np.zeros(3))
    assert away < 0.25 and turned < 0.01


def test_what_can_move_says_nothing():
    """A lorry that drives along with the ego does not hold the estimate back."""
    motion = np.array([5.0, 0.0, 0.0])
    a, b = draw((0, 0, 0)), draw(motion)
    clean = match_frames(a, b, GRID).T_a_b
    for frame in (a, b):
        frame[24:36, 28:36, 1:] = OCC3D.index("truck")
    away, _ = error(match_frames(a, b, GRID).T_a_b, motion)
    assert away < 0.2 and error(clean, motion)[0] < 0.2


def test_wrong_columns_are_outvoted():
    """A fifth of all columns redrawn at random, in patches."""
    rng = np.random.default_rng(0)
    motion = np.array([5.2, 0.1, 0.05])
    a, b = draw((0, 0, 0)), draw(motion)
    for i, j in rng.integers(0, 60, (51, 2)):
        b[i : i + 4, j : j + 4] = OCC3D.free
        b[i : i + 4, j : j + 4, 1] = rng.choice([ROAD, PAVEMENT, LAWN, WALL])
    match = match_frames(a, b, GRID)
    away, turned = error(match.T_a_b, motion)
    assert away < 0.3 and turned < 0.02 and match.agreement < 0.9


def test_a_street_that_does_not_change_tells_by_its_margin():
    """Along endless kerbs the way ahead cannot be seen; the side and the yaw can."""
    x, y = GRID.centers()[:, :, 0, 0], GRID.centers()[:, :, 0, 1]
    frame = np.full(GRID.shape, OCC3D.free, np.uint8)
    frame[..., 1] = np.where(np.abs(y + 0 * x) < 5, ROAD, LAWN)
    match = match_frames(frame, frame, GRID)
    assert match.margin == 0.0
    assert abs(match.T_a_b[1]) < 0.05 and abs(match.T_a_b[2]) < 0.01


def test_nothing_in_common_is_nan():
    empty = np.full(GRID.shape, OCC3D.free, np.uint8)
    for a, b in ((empty, empty), (draw((0, 0, 0)), empty)):
        match = match_frames(a, b, GRID)
        assert np.isnan(match.T_a_b).all() and np.isnan(match.margin)


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="columns"):
        match_maps(np.zeros((64, 32), np.uint8), np.zeros((64, 64), np.uint8), GRID)


def test_column_classes_by_hand():
    car, free = OCC3D.index("car"), OCC3D.free
    frame = np.array(
        [[[ROAD, free, free], [ROAD, free, TREE], [LAWN, car, free], [free, free, free], [WALL, TREE, free]]], np.uint8
    )
    assert column_classes(frame).tolist() == [[ROAD, TREE, UNKNOWN, UNKNOWN, TREE]]


def test_the_search_counts_columns():
    """Entries of the correlation, column by column: each of frame b looks at the one of frame a where it lies."""
    rng = np.random.default_rng(3)
    a, b = (rng.choice([ROAD, LAWN, UNKNOWN], size=GRID.shape[:2]).astype(np.uint8) for _ in range(2))
    found = scan_search.search(a, b, np.array([ROAD, LAWN], np.uint8), GRID)
    for k, u, v in ((8, 12, 12), (8, 15, 3), (10, 14, 11), (3, 2, 20)):
        centers = np.stack(np.meshgrid(*(GRID.centers()[i, j, 0, k] for i, j, k in _AXES), indexing="ij"), -1)
        at = se2.transform_points(found.pose(k, u, v), centers.reshape(-1, 2))
        cells = np.floor((at - GRID.origin_m[:2]) / GRID.voxel_m + 1e-6).astype(int)
        pairs = [(a[tuple(c)], d) for c, d in zip(cells, b.ravel(), strict=True) if (c >= 0).all() and (c < 64).all()]
        known = [p for p in pairs if UNKNOWN not in p]
        share = np.mean([p != q for p, q in known])
        assert found.differ[k, u, v] == pytest.approx(share, abs=1e-5)


_AXES = ((slice(None), 0, 0), (0, slice(None), 1))


def test_kernel_equals_its_twin():
    rng = np.random.default_rng(1)
    source, target = rng.random((2, 3, 12, 9))
    seen, weight = (rng.random((2, 12, 9)) > 0.2).astype(float)
    ahead, left = np.arange(12) - 3.5, np.arange(9) - 4.0
    pose = np.array([1.3, -0.4, 0.2])
    arguments = (source, target, seen, ahead, left, weight, pose, 7.0, 0.5)
    for ours, twin in zip(
        _scan_kernels.normal_equations(*arguments), scan_refinement.normal_equations_reference(*arguments), strict=True
    ):
        np.testing.assert_allclose(ours, twin, rtol=1e-10, atol=1e-10)


def test_the_normal_equations_are_the_slope_of_the_cost():
    """By finite differences of the twin's cost, in the limit of a wide scale, where it is a sum of squares."""
    rng = np.random.default_rng(2)
    source, target = rng.random((2, 2, 14, 14))
    ahead = left = np.arange(14) - 6.5
    ones, pose, turn, scale = np.ones((14, 14)), np.array([0.31, -0.22, 0.0]), 5.0, 1e9
    reference = scan_refinement.normal_equations_reference
    _, vector, _, _ = reference(source, target, ones, ahead, left, ones, pose, turn, scale)
    for k, unit in enumerate((1.0, 1.0, 1.0 / turn)):
        step = 1e-5 * np.eye(3)[k] * unit
        up, down = (
            reference(source, target, ones, ahead, left, ones, p, turn, scale)[2] * scale
            for p in (pose + step, pose - step)
        )
        assert (up - down) / 2e-5 / 2 == pytest.approx(vector[k], rel=1e-3, abs=1e-3)


def test_town_frames(town_index, town_grid):
    """True frames of the generated town, on a small grid: a quarter of a voxel in the mean, half a one in most."""
    clips = DriveClips(town_index, "train", 1, 6, stride=6, load_boxes=False, load_visible=False)
    errors = []
    for number in range(len(clips)):
        clip = clips[number]["clip"]
        poses, _ = match_sequence(column_classes(clip.occupancy[0].numpy()), town_grid)
        true = se2.from_matrix(clip.future_poses().double())[0]
        steps = [se2.relative(p, q) for p, q in zip(np.vstack([np.zeros(3), poses]), poses, strict=False)]
        T_before = torch.cat([torch.zeros(1, 3).double(), true[:-1]])
        errors += [error(s, t) for s, t in zip(steps, se2.relative(T_before, true).numpy(), strict=True)]
    away, turned = np.array(errors).T
    assert away.mean() < 0.2 and np.quantile(away, 0.95) < 0.4 and turned.mean() < 0.01, (away.max(), turned.max())


@pytest.mark.skipif(_REAL is None, reason="DRIVEWM_REAL_DATA is not set")
def test_real_frames():
    """Labelled points of single sweeps of nuScenes, in voxels: sparse, holes everywhere. Poses are from ICP (1 %)."""
    recording = np.load(Path(_REAL) / "nuscenes_scene-0001_kf00-15.npz", allow_pickle=False)
    road, pavement, building, vegetation = 0, 1, 2, 4
    T_ego_lidar = se3.from_xyzyaw(0.0, 0.0, 0.0, -np.pi / 2)  # x right, y forward; the origin stays at the sensor
    poses, maps = se2.from_matrix(recording["T_world_lidar"] @ se3.inverse(T_ego_lidar)), []
    for first, last in zip(recording["frame_ptr"], recording["frame_ptr"][1:], strict=False):
        points = se3.transform_points(T_ego_lidar, recording["points"][first:last].astype(float))
        label, classes = recording["label"][first:last], np.full(GRID.shape[:2], UNKNOWN, np.uint8)
        cell, inside = GRID.to_index(points * [1, 1, 0])
        for kind in (road, pavement, building, vegetation):  # what stands covers the ground
            classes[tuple(cell[inside & (label == kind), :2].T)] = kind
        maps.append(classes)
    _, matches = match_sequence(np.stack(maps), GRID)
    true = se2.relative(poses[:-1], poses[1:])
    away, turned = np.array([error(m.T_a_b, t) for m, t in zip(matches, true, strict=True)]).T
    assert np.hypot(*true.T[:2]).min() > 1.5  # it drives all the time, with a turn of 10 degrees in a step
    assert np.median(away) < 0.3 and away.max() < 0.8 and turned.max() < 0.05, (away, turned)
