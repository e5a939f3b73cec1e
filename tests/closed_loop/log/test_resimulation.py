"""Re-simulated LiDAR: kernels against their twins, closed forms, and the gate that calibration has to pass."""

from dataclasses import replace

import numpy as np
import pytest

from drivewm.closed_loop.log import _kernels as kernels
from drivewm.closed_loop.log import resimulation
from drivewm.closed_loop.log.gate import Agreement, CheckedLidar, agreement
from drivewm.closed_loop.log.ground_map import GroundMap
from drivewm.closed_loop.log.lidar import LogLidar
from drivewm.closed_loop.log.points import Sweep, into_boxes, out_of_boxes, split_by_boxes, voxel_means
from drivewm.closed_loop.log.rays import recorded_rays
from drivewm.closed_loop.log.resimulation import Objects, Scenery, cast
from drivewm.closed_loop.log.scene import LogScene
from drivewm.data.town_plan import LIDAR_KEYFRAMES, TownOptions, plan_scenes
from drivewm.data.town_scene import scenario_of, town_at
from drivewm.geometry import se2, se3
from drivewm.simulation import TownSimulator
from tests.conftest import TOWN_SEED

ORIGIN = np.array([0.3, -0.2, 1.8])


def rays(count, rng, lowest=-0.5, highest=0.3):
    azimuth, elevation = rng.uniform(-np.pi, np.pi, count), rng.uniform(lowest, highest, count)
    flat = np.cos(elevation)
    return np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)], axis=-1)


def sweep_of(static, objects=None, tracks=None):
    objects = np.zeros((0, 3)) if objects is None else objects
    tracks = np.zeros(0, np.int64) if tracks is None else tracks
    return Sweep(np.eye(4), static, static, objects, tracks)


def flat_ground(half_m=30.0, height=0.0):
    xy = np.stack(np.meshgrid(*[np.arange(-half_m, half_m, 0.4)] * 2), axis=-1).reshape(-1, 2)
    return np.column_stack([xy, np.full(len(xy), height)])


@pytest.fixture(scope="module")
def scene(town_index):
    return LogScene(town_index, 0)


def test_obstacles_are_met_where_the_readable_twin_meets_them():
    rng = np.random.default_rng(0)
    points = rng.uniform([-12, -12, 0.3], [12, 12, 4.0], (6000, 3))
    points = voxel_means(points[np.linalg.norm(points - ORIGIN, axis=-1) > 1.0], resimulation.CELL_M)
    directions = rays(400, rng)
    slot, low = resimulation._grid(points, ORIGIN)
    depth = np.empty(len(directions))
    kernels.cast_obstacles(
        slot,
        low,
        resimulation.CELL_M,
        points,
        ORIGIN,
        directions,
        resimulation.RANGE_M,
        resimulation.REACH_M,
        depth,
    )
    expected = resimulation.cast_obstacles_reference(points, ORIGIN, directions)
    assert 0.3 < np.isfinite(expected).mean() < 1.0
    assert np.allclose(depth, expected, atol=1e-9)


def test_the_ground_is_met_where_the_readable_twin_meets_it():
    rng = np.random.default_rng(1)
    height = 0.3 * rng.standard_normal((120, 100))
    height[rng.random(height.shape) < 0.02] = np.nan
    ground = GroundMap(height, np.array([-30.0, -25.0]))
    directions = rays(500, rng, -0.8, 0.1)
    depth = np.empty(len(directions))
    kernels.cast_ground(height, ground.origin_m, ground.cell_m, ORIGIN, directions, resimulation.RANGE_M, depth)
    expected = resimulation.cast_ground_reference(ground, ORIGIN, directions)
    assert 0.3 < np.isfinite(expected).mean() < 1.0
    assert np.allclose(depth, expected, atol=1e-9)


def test_a_wall_and_the_ground_before_it_are_hit_at_their_depth():
    """Closed forms: a plane x = 10, whose points are rows that lie 0.18 m above each other, and the plane z = 0."""
    y, z = np.meshgrid(np.arange(-8, 8, 0.05), np.arange(0.3, 5.0, 0.18))
    wall = np.column_stack([np.full(y.size, 10.0), y.ravel(), z.ravel()])
    scenery = Scenery.accumulate([sweep_of(np.concatenate([wall, flat_ground()]))], np.zeros((1, 3)))
    azimuth, elevation = np.meshgrid(np.linspace(-0.4, 0.4, 21), np.linspace(-0.5, 0.2, 31))
    flat = np.cos(elevation)
    directions = np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)], -1).reshape(-1, 3)
    depth = cast(scenery, np.zeros((0, 3)), ORIGIN, directions)
    to_wall = (10.0 - ORIGIN[0]) / directions[:, 0]
    with np.errstate(divide="ignore"):
        to_ground = np.where(directions[:, 2] < 0, -ORIGIN[2] / directions[:, 2], np.inf)
    on_wall = (ORIGIN[2] + to_wall * directions[:, 2] > 0.35) & (to_wall < to_ground)
    assert np.abs(depth - to_wall)[on_wall].max() < 0.06
    on_ground = to_ground < to_wall - 1.0
    assert on_wall.sum() > 200 and on_ground.sum() > 100
    assert np.abs(depth - to_ground)[on_ground].max() < 0.01


def test_ground_between_rings_is_filled_and_unseen_ground_is_not():
    azimuth = np.linspace(-np.pi, np.pi, 720, endpoint=False)
    rings = [
        np.column_stack([r * np.cos(azimuth), r * np.sin(azimuth), 0.02 * r * np.cos(azimuth)]) for r in (4, 8, 13)
    ]
    ground = GroundMap.fit(np.concatenate(rings), np.zeros((1, 3)))
    xy = np.array([[6.0, 0.0], [0.0, 10.5], [-6.0, -6.0]])
    assert np.allclose(ground.at(xy), 0.02 * xy[:, 0], atol=0.05)
    assert np.isnan(ground.at(np.array([[40.0, 0.0], [-500.0, 0.0]]))).all()


def test_walls_and_roofs_are_not_ground():
    rng = np.random.default_rng(2)
    roof = np.column_stack([rng.uniform([5, 5], [9, 9], (2000, 2)), np.full(2000, 1.5)])
    seen = flat_ground()
    seen = seen[~((seen[:, :2] > 4.8) & (seen[:, :2] < 9.2)).all(1)]  # hidden by what bears the roof
    ground = GroundMap.fit(np.concatenate([seen, roof]), np.zeros((1, 3)))
    assert not ground.holds(roof).any()
    assert ground.holds(seen).all()


def test_objects_move_with_their_boxes():
    rng = np.random.default_rng(3)
    box = np.array([20.0, 3.0, 0.8, 4.0, 1.8, 1.6, 0.4])
    local = rng.uniform(-0.5, 0.5, (3000, 3)) * box[3:6]
    local[:, 0] = -box[3] / 2  # its rear
    local = local[local[:, 2] > -0.5]
    assert np.allclose(
        into_boxes(out_of_boxes(local, np.tile(box, (len(local), 1))), np.tile(box, (len(local), 1))), local
    )
    objects = Objects.accumulate([sweep_of(np.zeros((0, 3)), local, np.full(len(local), 7))])
    scenery = Scenery.accumulate([sweep_of(flat_ground())], np.zeros((1, 3)))
    ahead = np.array([[1.0, 0.0, -0.04]]) / np.hypot(1.0, 0.04)
    for x in (8.0, 15.0):
        now = np.array([[x, 0.0, 0.8, 4.0, 1.8, 1.6, 0.0], [-9.0, 0.0, 0.8, 4.0, 1.8, 1.6, 0.0]])
        depth = cast(scenery, objects.at(now, np.array([7, 5])), np.array([0.0, 0.0, 1.5]), ahead)
        assert depth[0] * ahead[0, 0] == pytest.approx(x - 2.0, abs=0.05)
    assert len(objects.at(now, np.array([6, 5]))) == 0
    assert len(objects.at(np.zeros((0, 7)), np.zeros(0, np.int64))) == 0


def test_points_are_split_by_boxes_and_those_beneath_are_dropped():
    boxes = np.array([[5.0, 0.0, 1.0, 4.0, 2.0, 2.0, np.pi / 2]])
    points = np.array([[5.0, 1.5, 1.0], [5.0, 0.0, 0.1], [7.0, 0.0, 1.0], [5.5, -1.0, 1.9]])
    static, own, track = split_by_boxes(points, boxes, np.array([3]), np.zeros(1))
    assert np.allclose(static, points[2:3])
    assert np.allclose(own, [[1.5, 0.0, 0.0], [-1.0, -0.5, 0.9]])
    assert track.tolist() == [3, 3]


def test_what_moves_leaves_no_smear_behind():
    boxes = np.array([[5.0, 0.0, 1.0, 4.0, 2.0, 2.0, 0.0]])
    points = np.array([[2.2, 0.0, 1.0], [3.0, 0.0, 1.0], [1.5, 0.0, 1.0]])  # 0.8 m behind it, its rear, 1.5 m behind it
    assert len(split_by_boxes(points, boxes, np.array([3]), np.zeros(1))[0]) == 2
    static, own, _ = split_by_boxes(points, boxes, np.array([3]), np.array([10.0]))
    assert np.allclose(static, points[2:]) and np.allclose(own, [[-2.0, 0.0, 0.0]])


def test_voxel_means_are_those_of_the_points_of_each_voxel():
    rng = np.random.default_rng(4)
    points = rng.uniform(-2, 2, (300, 3))
    cells = {}
    for point in points:
        cells.setdefault(tuple(np.floor(point / 0.7).astype(int)), []).append(point)
    expected = np.array(sorted(np.mean(own, axis=0).tolist() for own in cells.values()))
    assert np.allclose(np.array(sorted(voxel_means(points, 0.7).tolist())), expected)
    assert voxel_means(np.zeros((0, 3)), 0.7).shape == (0, 3)


def test_silent_rays_are_those_that_only_other_sweeps_have():
    azimuth = np.deg2rad(np.arange(-179.5, 180, 1.0))
    ring = np.column_stack([10 * np.cos(azimuth), 10 * np.sin(azimuth), np.full(len(azimuth), -1.0)])
    half = 2 * ring[azimuth > 0]
    directions, depth = recorded_rays([ring, half], 1)
    returned = np.isfinite(depth)
    assert np.allclose(directions[returned] * depth[returned, None], half)
    assert (directions[~returned, 1] < 0).all() and (~returned).sum() == 180
    assert np.isfinite(recorded_rays([ring, half], 0)[1]).all()


def test_agreement_counts_what_it_says():
    inf = np.inf
    found = Agreement.compare(
        np.array([10.0, 20.0, 30.0, 5.0, inf, inf, 90.0]), np.array([10.1, 21.0, inf, 5.2, inf, 8.0, inf])
    )
    assert found.median_error_m == pytest.approx(0.2)
    assert found.close_share == pytest.approx(0.5)  # the return beyond the range does not count
    assert found.hit_agreement == pytest.approx(4 / 6)


def test_the_town_passes_the_gate_and_using_the_sweep_itself_is_no_worse(scene):
    checked = CheckedLidar.of(scene, sweeps=2)
    assert checked.agreement.median_error_m < 0.1 and checked.agreement.close_share > 0.85
    assert agreement(scene, leave_out=False, sweeps=2).close_share >= checked.agreement.close_share - 0.01


def test_beside_the_recorded_path_it_is_what_the_simulator_measures(scene, town_grid):
    """The recording came from the simulator, which can put the ego elsewhere: 2 m to the left, without noise."""
    options = TownOptions(4, TOWN_SEED, town_grid, 6.0, LIDAR_KEYFRAMES)
    plan = next(plan for plan in plan_scenes(4) if plan.name == scene.name)
    simulator = TownSimulator(town_at(TOWN_SEED, plan.location))
    simulator.reset(scenario_of(options, plan))
    for _ in range(5 * 6):
        simulator.step(simulator.expert_control())
    assert np.allclose(simulator.ego.pose, scene.ego[30, :3])
    lidar = LogLidar(scene)
    boxes, track = scene.frame_boxes(6, in_global=True)
    for left_m, close_share in ((0.0, 0.9), (2.0, 0.85)):
        pose = se2.compose(scene.ego[30, :3], np.array([0.0, left_m, 0.0]))
        simulator.set_ego(pose, 1.0)
        truth = simulator.lidar(None)
        T = scene.lift(pose) @ truth.T_ego_lidar
        directions = truth.ray_directions.astype(np.float64) @ T[:3, :3].T
        depth = cast(lidar.scenery, lidar.objects.at(boxes, track), T[:3, 3], directions)
        found = Agreement.compare(truth.ray_depth_m, depth)
        assert found.median_error_m < 0.1 and found.close_share > close_share and found.hit_agreement > 0.9


@pytest.mark.parametrize("wrong", ["calibration", "poses"])
def test_wrong_calibration_or_poses_fail_the_gate(town_index, wrong):
    column = {"calibration": "frame_T_ego_lidar", "poses": "frame_T_global_ego"}[wrong]
    index = replace(town_index, columns=town_index.columns | {column: se3.inverse(np.array(town_index[column]))})
    with pytest.raises(ValueError, match=r"scene scene-\d+: .* median error .* required at most"):
        CheckedLidar.of(LogScene(index, 0), sweeps=1)
