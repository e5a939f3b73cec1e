"""LiDAR and labels: against their twins, against each other, and against the geometry of single bodies."""

import numpy as np
import pytest

from drivewm.geometry import OCC3D_GRID, VoxelGrid, se3
from drivewm.geometry.boxes import bev_corners, points_in_boxes, polygons_overlap
from drivewm.simulation import LidarConfig, TownSimulator, make_scenarios
from drivewm.simulation.bodies import Bodies
from drivewm.simulation.kinds import BUS, PEDESTRIAN, road_user_bodies
from drivewm.simulation.lidar import GROUND, NOTHING, Lidar, cast
from drivewm.simulation.occupancy import label_voxels
from drivewm.simulation.reference import cast_reference, fill_reference
from drivewm.structures.labels import OCC3D

CAR, TREE = OCC3D.index("car"), OCC3D.index("vegetation")


def random_bodies(rng: np.random.Generator, count: int) -> Bodies:
    def xy():
        while True:
            point = rng.uniform(-30, 30, 2)
            if np.hypot(*point) > 8.0:
                return point

    boxes = [
        ((*xy(), rng.uniform(0.3, 3), *rng.uniform(0.3, 7, 3), rng.uniform(-4, 4)), int(rng.integers(17)))
        for _ in range(count)
    ]
    cylinders = [((*xy(), 0.0, rng.uniform(0.5, 5), rng.uniform(0.1, 1)), int(rng.integers(17))) for _ in range(count)]
    ellipsoids = [
        ((*xy(), rng.uniform(1, 5), rng.uniform(0.5, 3), rng.uniform(0.5, 3)), int(rng.integers(17)))
        for _ in range(count)
    ]
    return Bodies.of(boxes, cylinders, ellipsoids)


@pytest.mark.parametrize("seed", range(3))
def test_cast_equals_its_twin(seed):
    rng = np.random.default_rng(seed)
    bodies = random_bodies(rng, 12)
    origin = np.array([0.3, -0.2, 1.84])
    directions = rng.normal(size=(3000, 3)) * (1, 1, 0.3)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    depth, body, cosine = cast(bodies, origin, directions, 60.0)
    expected_depth, expected_body = cast_reference(bodies, origin, directions, 60.0)
    np.testing.assert_allclose(depth, expected_depth, rtol=1e-9)
    np.testing.assert_array_equal(body, expected_body)
    assert len(np.unique(body)) > 15 and ((cosine >= 0) & (cosine <= 1 + 1e-9)).all()


@pytest.mark.parametrize("seed", range(3))
def test_labels_equal_their_twin(seed, small_town):
    rng = np.random.default_rng(seed)
    bodies, nothing = random_bodies(rng, 10), Bodies.of()
    grid = VoxelGrid((-16.0, -12.0, -1.0, 16.0, 12.0, 5.4), 0.4)
    pose = np.array([1e6, 1e6, 0.3])  # far outside of the town: all terrain
    for static, agents in ((bodies, nothing), (nothing, bodies)):
        labels = label_voxels(static, agents, small_town.ground, pose, grid)
        expected = fill_reference(bodies, grid)
        ground = np.zeros(grid.shape, bool)
        ground[:, :, grid.to_index(np.zeros(3))[0][2]] = True
        expected[ground & (expected == OCC3D.free)] = OCC3D.index("terrain")
        np.testing.assert_array_equal(labels, expected)


def test_a_wall_is_hit_where_it_stands():
    wall = Bodies.of([((10.0, 0.0, 2.0, 1.0, 40.0, 4.0, 0.0), CAR)])
    directions = np.array([[1.0, 0.0, 0.0], [np.cos(0.5), np.sin(0.5), 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
    depth, body, cosine = cast(wall, np.array([0.0, 0.0, 1.5]), directions, 50.0)
    np.testing.assert_allclose(depth, [9.5, 9.5 / np.cos(0.5), np.inf, 1.5])
    np.testing.assert_array_equal(body, [0, 0, NOTHING, GROUND])
    np.testing.assert_allclose(cosine[[0, 1, 3]], [1.0, np.cos(0.5), 1.0])


def test_bodies_keep_the_track_of_their_road_user():
    boxes = np.array([[5.0, 0.0, 0.8, 4.0, 1.8, 1.6, 0.2], [30.0, 1.0, 0.9, 0.6, 0.6, 1.8, 1.0]])
    users = road_user_bodies(boxes, np.array([BUS, PEDESTRIAN]), np.array([3, 1000]))
    trees = Bodies.of([], [((-5.0, 0.0, 0.0, 2.0, 0.2), TREE)], [((-5.0, 0.0, 3.0, 1.0, 1.0), TREE)])
    bodies = (trees + users).seen_from(np.array([1.0, 2.0, 0.3]))
    for kept, expected in ((bodies, {-1, 3, 1000}), (bodies.near(bodies.boxes[0, :2], 3.0), {3})):
        assert len(kept.tracks) == len(kept.classes) and set(kept.tracks.tolist()) == expected
        for track, name in ((3, "bus"), (1000, "pedestrian"), (-1, "vegetation")):
            assert (kept.classes[kept.tracks == track] == OCC3D.index(name)).all()
    hits = np.array([[0, GROUND], [NOTHING, len(bodies.tracks) - 1]])
    np.testing.assert_array_equal(bodies.track_of(hits), [[bodies.tracks[0], -1], [-1, bodies.tracks[-1]]])


def test_agents_cover_static_bodies_and_those_cover_the_ground(small_town, grid):
    box = [((5.0, 0.0, 0.5, 4.0, 2.0, 1.0, 0.2), 0)]
    static = Bodies(*(getattr(Bodies.of(box), f) for f in Bodies.__dataclass_fields__))
    agents = Bodies.of([(box[0][0], CAR)])
    pose = np.array([*small_town.nodes[0], 0.0])
    labels = label_voxels(static, agents, small_town.ground, pose, grid)
    index, _ = grid.to_index(np.array([5.0, 0.0, 0.1]))
    assert labels[tuple(index)] == CAR
    beside, _ = grid.to_index(np.array([0.0, 0.0, 0.0]))
    assert labels[tuple(beside)] == OCC3D.index("driveable_surface")
    assert (labels[..., 0] == OCC3D.free).all()  # below the ground


@pytest.mark.parametrize("number", range(3))
def test_returns_lie_in_occupied_voxels(small_town, grid, number):
    sim = TownSimulator(small_town)
    sim.reset(make_scenarios(small_town, 3, 5, 20.0)[number])
    for voxels in (grid, OCC3D_GRID):
        labels, sweep = sim.occupancy(voxels), sim.lidar(None)
        occupied, things = labels != OCC3D.free, np.isin(sweep.point_class, OCC3D.things)
        # On the surface, which may be a border between voxels, and a hair further along the ray, inside of the body.
        rays = sweep.ray_directions[sweep.point_ray].astype(np.float64) @ sweep.T_ego_lidar[:3, :3].T
        for beyond_m in (0.0, 1e-6, 1e-4):
            depth = sweep.ray_depth_m[sweep.point_ray] + beyond_m
            index, inside = voxels.to_index(sweep.T_ego_lidar[:3, 3] + depth[:, None] * rays)
            assert inside.sum() > 5000
            assert occupied[tuple(index[inside].T)].all()
            assert np.isin(labels[tuple(index[inside & things].T)], OCC3D.things).mean() > 0.99
        noisy = sim.lidar(np.random.default_rng(0)).points_ego()[:, :3]
        near = np.zeros(len(noisy), bool)
        for step in np.stack(np.meshgrid(*[[-0.5, 0.0, 0.5]] * 3), -1).reshape(-1, 3) * voxels.voxel_m:
            index, inside = voxels.to_index(noisy + step)
            near |= ~inside | occupied[tuple(np.where(inside[:, None], index, 0).T)] & inside
        assert near.mean() >= 0.995


def test_seen_voxels_hold_the_returns_and_hide_what_is_behind(small_town, grid):
    sim = TownSimulator(small_town)
    sim.reset(make_scenarios(small_town, 1, 6, 20.0)[0])
    sweep = sim.lidar(None)
    seen = sim.mask_lidar(sweep, grid)
    index, inside = grid.to_index(sweep.points_ego())
    assert seen[tuple(index[inside].T)].mean() > 0.999
    labels = sim.occupancy(grid)
    below = grid.to_index(np.zeros(3))[0][2]
    assert not seen[:, :, :below].any()
    assert 0.05 < seen.mean() < 0.9 and seen[labels == OCC3D.free].any()


def test_points_of_agents_lie_in_their_boxes(small_town):
    sim = TownSimulator(small_town)
    for scenario in make_scenarios(small_town, 2, 7, 20.0):
        sim.reset(scenario)
        sweep, agents = sim.lidar(None), sim.boxes()
        T = sim.T_global_ego()
        points = se3.transform_points(T, sweep.points_ego()[:, :3])
        inside, deep = (points_in_boxes(points, agents.boxes, margin) for margin in (1e-3, -1e-3))
        own = sweep.point_track[:, None] == agents.track
        assert own.any(1).sum() > 20 and own.any(0).sum() > 3
        # All points of road users lie in the box of their own, and have its class ...
        np.testing.assert_array_equal(sweep.point_track >= 0, np.isin(sweep.point_class, OCC3D.things))
        np.testing.assert_array_equal((own & inside).any(1), sweep.point_track >= 0)
        assert (agents.label[own.argmax(1)] == sweep.point_class)[own.any(1)].all()
        # ... and those of others lie in it only where their boxes overlap, or a hedge reaches in.
        strange = deep & ~own
        assert (strange & (sweep.point_track < 0)[:, None]).sum() <= 0.01 * deep.sum()
        strange = strange[sweep.point_track >= 0]
        assert not strange.any() or overlapping(agents.boxes)[np.nonzero(own)[1]][strange].all()


def overlapping(boxes: np.ndarray) -> np.ndarray:
    """Which boxes `(M, 7)` share ground: bool `(M, M)`."""
    corners = bev_corners(boxes)
    return polygons_overlap(corners[:, None], corners[None])


def test_sweep_is_what_nuscenes_delivers(small_town):
    config = LidarConfig(azimuth_steps=360)
    pose = np.array([*small_town.nodes[0], 0.7])
    sweep = Lidar(config).sweep(Bodies.of(), small_town.ground, pose, np.random.default_rng(0))
    x, y, z, intensity, ring = sweep.points.T
    assert sweep.points.dtype == np.float32 and sweep.points.shape[1] == 5
    assert set(np.unique(ring)) <= set(range(config.beams)) and intensity.min() >= 0 and intensity.max() <= 255
    elevation = np.arctan2(z, np.hypot(x, y))
    for beam in np.unique(ring):
        expected = config.lowest + beam * (config.highest - config.lowest) / (config.beams - 1)
        np.testing.assert_allclose(elevation[ring == beam], expected, atol=1e-5)
    # In the LiDAR frame y looks ahead: a point ahead of the ego has x = 0.
    ahead = se3.transform_points(se3.inverse(config.T_ego_lidar), np.array([[10.0, 0.0, 0.0]]))[0]
    np.testing.assert_allclose(ahead, [0.0, 10.0 - config.mount_m[0], -config.mount_m[2]], atol=1e-12)
    assert sweep.ray_hit.sum() == len(sweep.points)
    assert sweep.point_track.dtype == np.int64 and (sweep.point_track == -1).all()  # there is nothing but ground


@pytest.mark.parametrize("options", [{"beams": 0}, {"azimuth_steps": 0}, {"max_range_m": 0.0}])
def test_an_impossible_sensor_is_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        LidarConfig(**options)
