"""The LiDAR in motion: against frozen sweeps, closed forms of a moving wall, and rays cast one by one."""

import numpy as np
import pytest

from drivewm.geometry import VoxelGrid, se3
from drivewm.simulation import LidarConfig, Moment, TownSimulator, between, make_scenarios
from drivewm.simulation.bodies import Bodies
from drivewm.simulation.kinds import CAR
from drivewm.simulation.lidar import Lidar
from drivewm.simulation.motion import REVOLUTION_STEPS, sweep_in_motion
from drivewm.simulation.reference import cast_reference
from drivewm.structures.labels import OCC3D

REVOLUTION_S = 0.05


@pytest.fixture(scope="module")
def drive(small_town):
    """A simulator after a step, and the moments before, in the middle and after it."""
    sim = TownSimulator(small_town)
    sim.reset(make_scenarios(small_town, 2, 7, 20.0)[1])
    before = sim.moment()
    sim.step(sim.expert_control())
    return sim, before, between(before, sim.moment(), 0.5), sim.moment()


def moment(ego, boxes=(), kinds=()) -> Moment:
    boxes, count = np.array(boxes, float).reshape(-1, 7), len(kinds)
    return Moment(np.array(ego, float), boxes, np.zeros((count, 2)), np.array(kinds, int), np.arange(1, count + 1))


def test_where_nothing_moves_it_is_the_frozen_sweep(drive):
    sim, _, _, now = drive
    frozen, moving = sim.lidar(np.random.default_rng(0)), sim.lidar_in_motion(now, now, np.random.default_rng(0))
    for field in frozen.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(moving, field), getattr(frozen, field))
    assert not frozen.ray_origins.any()


def test_between_is_linear_and_turns_the_short_way():
    before = moment([1.0, 2.0, 3.1], [[0, 0, 1, 4, 2, 1.5, -3.1]], [CAR])
    after = moment([2.0, 4.0, -3.1], [[1, 1, 1, 4, 2, 1.5, 3.1]], [CAR])
    half = between(before, after, 0.5)
    np.testing.assert_allclose(half.ego[:2], [1.5, 3.0])
    np.testing.assert_allclose([np.cos(half.ego[2]), np.cos(half.boxes[0, 6])], -1.0)
    np.testing.assert_allclose(half.boxes[0, :6], [0.5, 0.5, 1, 4, 2, 1.5])
    for field in ("ego", "boxes", "kinds"):
        np.testing.assert_array_equal(getattr(between(before, after, 1.0), field), getattr(after, field))
        np.testing.assert_array_equal(getattr(between(after, after, 0.3), field), getattr(after, field))


def test_what_stands_is_sharp_although_the_ego_drives_and_turns(small_town):
    """Points on the ground and on the walls around, seen from an ego that drives and turns fast."""
    end = np.array([*small_town.nodes[0], 0.4])
    begin = end - [0.9, 0.5, 0.06]
    sweep = sweep_in_motion(Lidar(), small_town, moment(begin), moment(end), None)
    still = Lidar().sweep(small_town.static.near(end[:2], 80.0).seen_from(end), small_town.ground, end, None)
    points = sweep.points_ego()[:, :3]
    bodies = small_town.static.near(end[:2], 90.0).seen_from(end)
    origins = se3.transform_points(sweep.T_ego_lidar, sweep.ray_origins.astype(float))[sweep.point_ray]
    for origin in np.unique(origins, axis=0):
        offset = points[(origins == origin).all(1)][::40] - origin
        reach = np.linalg.norm(offset, axis=1)
        depth, _ = cast_reference(bodies, origin, offset / reach[:, None], 90.0)
        np.testing.assert_allclose(depth, reach, atol=1e-3)
    assert np.ptp(origins, axis=0).max() > 0.5
    np.testing.assert_allclose(points[np.isin(sweep.point_class, OCC3D.ground), 2], 0.0, atol=1e-5)
    assert np.abs(len(sweep.points) - len(still.points)) < 0.02 * len(still.points)
    # It starts behind the vehicle, where the sensor was at the begin, and ends where it is.
    T_end_begin = np.linalg.inv(se3.from_se2(end)) @ se3.from_se2(begin)
    first = se3.transform_points(T_end_begin, np.array([LidarConfig().mount_m]))[0]
    step = np.linalg.norm((end - begin)[:2]) / REVOLUTION_STEPS
    begun = se3.transform_points(sweep.T_ego_lidar, sweep.ray_origins.astype(float))
    assert np.linalg.norm(begun[0] - first) < step and np.linalg.norm(sweep.ray_origins[-1]) < step


@pytest.mark.parametrize("speed", [-10.0, 10.0])
def test_a_moving_wall_is_met_where_it_was(small_town, speed):
    """Walls ahead and behind, both moving along x: the ones behind are met at begin and end, the one ahead amid."""
    shift = speed * REVOLUTION_S
    where = [(20.0, 0.0), (-20.0, 0.0)]
    config = LidarConfig(beams=1, lowest=0.0, highest=0.0)
    lidar, steps = Lidar(config), REVOLUTION_STEPS
    bodies = []
    for step in range(steps):
        gone = shift * (1.0 - (step + 0.5) / steps)  # how far the walls are still to go
        bodies.append(Bodies.of([((x - gone, y, 2.0, 1.0, 30.0, 4.0, 0.0), 4) for x, y in where]))
    pose = np.array([*small_town.nodes[0], 0.0])
    sweep = lidar.revolve(bodies, np.zeros((steps, 3)), small_town.ground, pose, None)
    points = sweep.points_ego()
    time = REVOLUTION_S * (1.0 - (sweep.point_ray + 0.5) / config.azimuth_steps)  # before the stamp
    ahead = points[:, 0] > 0
    face = np.where(ahead, 19.5, -19.5) - speed * time
    tolerance = abs(shift) / steps / 2 + 1e-5
    on_wall = np.abs(points[:, 1]) < 14.9
    assert on_wall.sum() > 200
    np.testing.assert_allclose(points[on_wall, 0], face[on_wall], atol=tolerance)
    assert np.ptp(points[on_wall & ~ahead, 0]) > 0.6 * abs(shift)  # the seam behind the vehicle


def test_road_users_are_met_where_they_were(drive):
    """Every return of a road user lies on it, at the time at which its ray was fired."""
    sim, _, middle, now = drive
    sweep = sim.lidar_in_motion(middle, now, None)
    points = se3.transform_points(se3.from_se2(now.ego), sweep.points_ego()[:, :3])
    rays = len(sweep.ray_directions)
    step = (sweep.point_ray // 32 * REVOLUTION_STEPS) // (rays // 32)
    on_box = np.zeros(len(points), bool)
    for k in range(REVOLUTION_STEPS):
        own = step == k
        for box in between(middle, now, (k + 0.5) / REVOLUTION_STEPS).boxes:
            local = se3.transform_points(se3.inverse(se3.from_xyzyaw(*box[:3], box[6])), points[own])
            on_box[own] |= (np.abs(local) <= box[3:6] / 2 + 1e-3).all(1)
    parked = np.zeros(len(points), bool)
    for box in sim.town.scenery.parked_boxes:
        local = se3.transform_points(se3.inverse(se3.from_xyzyaw(*box[:3], box[6])), points)
        parked |= (np.abs(local) <= box[3:6] / 2 + 1e-3).all(1)
    movable = np.isin(sweep.point_class, OCC3D.movable) & ~parked
    assert movable.sum() > 20 and on_box[movable].all()


def test_no_road_user_is_left_out(drive):
    """Leaving out those that a step's rays cannot meet changes nothing."""
    sim, before, _, now = drive
    steps = [between(before, now, (k + 0.5) / REVOLUTION_STEPS) for k in range(REVOLUTION_STEPS)]
    bodies = [(sim.town.static + step.bodies()).seen_from(now.ego) for step in steps]
    offset = np.array([step.ego - now.ego for step in steps])
    c, s = np.cos(now.ego[2]), np.sin(now.ego[2])
    offset[:, :2] = offset[:, :2] @ np.array([[c, -s], [s, c]])
    every = Lidar().revolve(bodies, offset, sim.town.ground, now.ego, None)
    sweep = sim.lidar_in_motion(before, now, None)
    np.testing.assert_array_equal(sweep.point_ray, every.point_ray)
    np.testing.assert_array_equal(sweep.point_class, every.point_class)
    np.testing.assert_allclose(sweep.points[:, :3], every.points[:, :3], atol=1e-5)


def test_voxels_of_a_sweep_in_motion_are_seen(drive):
    sim, _, middle, now = drive
    grid = VoxelGrid((-25.6, -25.6, -1.0, 25.6, 25.6, 5.4), 0.4)
    sweep = sim.lidar_in_motion(middle, now, None)
    index, inside = grid.to_index(sweep.points_ego())
    seen = sim.mask_lidar(sweep, grid)
    assert inside.sum() > 5000 and seen[tuple(index[inside].T)].mean() > 0.999
    assert seen.mean() < 0.9 and not seen[:, :, : grid.to_index(np.zeros(3))[0][2]].any()


def test_an_episode_with_a_lead_comes_to_the_same_state(small_town):
    scenario = make_scenarios(small_town, 2, 7, 20.0)[0]
    one, other = TownSimulator(small_town), TownSimulator(small_town)
    one.reset(scenario)
    other.reset(scenario, lead_s=0.6)
    assert other.time_s == -0.6 and other.ego != one.ego
    for _ in range(6):
        other.step(other.expert_control())
    assert other.time_s == one.time_s == 0.0 and other.ego == one.ego
    np.testing.assert_array_equal(one.moment().boxes, other.moment().boxes)
    for lead_s in (-0.1, 4.0, np.nan):
        with pytest.raises(ValueError, match="lead_s"):
            one.reset(scenario, lead_s=lead_s)


def test_a_revolution_needs_a_pose_for_each_step(small_town):
    for bodies, poses in (([Bodies.of()], np.zeros((2, 3))), ([], np.zeros((0, 3)))):
        with pytest.raises(ValueError, match="a pose for each step"):
            Lidar().revolve(bodies, poses, small_town.ground, np.zeros(3), None)
