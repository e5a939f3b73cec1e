"""Cameras: against closed forms, their readable twin, the LiDAR and the boxes of road users."""

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from drivewm.geometry import se3
from drivewm.geometry.boxes import points_in_boxes
from drivewm.simulation import CameraConfig, Cameras, Town, TownSimulator, make_scenarios, nuscenes_rig
from drivewm.simulation.bodies import Bodies
from drivewm.simulation.cameras import GROUND, NOTHING
from drivewm.simulation.kinds import road_user_bodies
from drivewm.simulation.lidar import cast
from drivewm.simulation.reference import cast_reference
from drivewm.simulation.shading import Light, paint_bodies
from drivewm.structures.labels import OCC3D

CAR, WALL = OCC3D.index("car"), OCC3D.index("manmade")
LEVEL = np.array([[0.0, 0.0, 1.0, 0.0], [-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 1.5], [0.0, 0.0, 0.0, 1.0]])
K = np.array([[100.0, 0.0, 80.0], [0.0, 100.0, 45.0], [0.0, 0.0, 1.0]])


def camera(**changes) -> CameraConfig:
    return CameraConfig(**{"name": "CAM", "T_ego_camera": LEVEL, "intrinsics": K, "width": 160, "height": 90} | changes)


def take(bodies: Bodies, town: Town, config: CameraConfig, **options):
    pose = np.array([*town.nodes[0], 0.3])
    return Cameras([config], **options).render(bodies, town.ground, pose)[config.name]


def random_bodies(rng: np.random.Generator, count: int) -> Bodies:
    """In front of the camera, at 6 to 40 m."""

    def xy():
        return rng.uniform(6, 40), rng.uniform(-15, 15)

    def label():
        return int(rng.integers(17))

    return Bodies.of(
        [((*xy(), rng.uniform(0.3, 3), *rng.uniform(0.3, 5, 3), rng.uniform(-4, 4)), label()) for _ in range(count)],
        [((*xy(), 0.0, rng.uniform(0.5, 5), rng.uniform(0.1, 1)), label()) for _ in range(count)],
        [((*xy(), rng.uniform(1, 5), *rng.uniform(0.5, 3, 2)), label()) for _ in range(count)],
    )


@pytest.fixture(scope="module")
def scene(small_town):
    """A simulator in the middle of an episode, and its images."""
    sim = TownSimulator(small_town)
    sim.reset(make_scenarios(small_town, 2, 7, 20.0)[1])
    return sim, sim.images()


def test_the_ground_below_a_level_camera(small_town):
    image = take(Bodies.of(), small_town, camera(), max_range_m=60.0)
    v = np.arange(90) + 0.5
    with np.errstate(divide="ignore"):
        depth = np.where(v > 45.0, 1.5 * 100.0 / (v - 45.0), np.inf)
    np.testing.assert_allclose(image.depth[:, 80], np.where(depth < 60.0, depth, np.inf), rtol=1e-6)
    assert (image.body[image.depth < np.inf] == GROUND).all() and (image.body[:45] == NOTHING).all()
    assert (image.semantic[:45] == OCC3D.free).all()
    assert np.isin(image.semantic[np.isfinite(image.depth)], OCC3D.ground).all()


def test_a_wall_stands_where_it_stands(small_town):
    wall = Bodies.of([((10.5, 0.0, 2.0, 1.0, 6.0, 4.0, 0.0), WALL)])
    image = take(wall, small_town, camera())
    seen = image.body == 0
    np.testing.assert_allclose(image.depth[seen], 10.0, rtol=1e-6)
    assert (image.semantic[seen] == WALL).all()
    rows, columns = np.nonzero(seen)
    # 6 m wide and 4 m tall at 10 m, seen from a height of 1.5 m.
    np.testing.assert_array_equal([columns.min(), columns.max()], [50, 109])
    np.testing.assert_array_equal([rows.min(), rows.max()], [20, 59])


@pytest.mark.parametrize("seed", range(3))
def test_rays_equal_their_twin(seed, small_town):
    rng = np.random.default_rng(seed)
    bodies = random_bodies(rng, 10)
    turned = LEVEL @ se3.from_rt(
        se3.from_quaternion(np.array([1.0, *rng.normal(0.0, 0.1, 3)]), np.zeros(3))[:3, :3], np.zeros(3)
    )
    config = camera(T_ego_camera=turned)
    image = take(bodies, small_town, config, max_range_m=35.0)
    rays = config.rays().reshape(-1, 3)
    distance, body = cast_reference(bodies, turned[:3, 3], rays, 35.0)
    np.testing.assert_array_equal(image.body.ravel(), body)
    np.testing.assert_allclose(image.depth.ravel(), distance * (rays @ turned[:3, 2]), rtol=1e-6)
    met = body >= 0
    np.testing.assert_array_equal(image.semantic.ravel()[met], bodies.classes[body[met]])
    assert len(np.unique(body)) > 15


def test_the_ground_has_the_class_of_its_raster(scene):
    sim, images = scene
    for config in nuscenes_rig():
        image = images[config.name]
        ground = image.body == GROUND
        points = backproject(config, image)[ground.ravel()]
        points = se3.transform_points(sim.T_global_ego(), points)
        same = sim.town.ground.lookup(points[:, :2]) == image.semantic[ground]
        assert same.mean() > 0.999  # the images' depth is rounded to float32


def backproject(config: CameraConfig, image) -> np.ndarray:
    """What the pixels see, in the ego frame `(H * W, 3)`."""
    rays = config.rays().reshape(-1, 3)
    with np.errstate(invalid="ignore"):
        return config.T_ego_camera[:3, 3] + rays * (image.depth.ravel() / (rays @ config.T_ego_camera[:3, 2]))[:, None]


def test_points_of_the_lidar_have_the_depth_of_their_pixel(scene):
    sim, _ = scene
    sweep, rig = sim.lidar(None), nuscenes_rig(1600, 900)
    bodies = sum(sim._bodies(202.0), Bodies.of())
    images = Cameras(rig).render(bodies, sim.town.ground, sim.ego.pose)
    rays = sweep.ray_directions[sweep.point_ray].astype(np.float64) @ sweep.T_ego_lidar[:3, :3].T
    _, point_body, _ = cast(bodies, sweep.T_ego_lidar[:3, 3], rays, 100.0)
    points, compared = sweep.points_ego()[:, :3], 0
    for config in rig:
        image = images[config.name]
        pixel, depth = config.project(points)
        with np.errstate(invalid="ignore"):
            inside = (depth > 0.5) & (pixel >= 1).all(1) & (pixel < [config.width - 1, config.height - 1]).all(1)
        u, v = np.floor(pixel[inside]).astype(int).T
        patch = [(v + i, u + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
        body, around = (np.stack([a[p] for p in patch]) for a in (image.body, image.depth))
        clear = (body == point_body[inside]).all(0)  # seen by the camera too, and not at a border
        assert (image.semantic[v, u] == sweep.point_class[inside])[clear].mean() > 0.99
        error = np.abs(image.depth[v, u] - depth[inside])[clear]
        assert (error <= 0.03 + np.ptp(around, axis=0)[clear]).mean() >= 0.98
        compared += clear.sum()
    assert compared > 5000


def test_pixels_of_road_users_lie_in_their_boxes(scene):
    sim, images = scene
    agents, total = sim.boxes(), 0
    for config in nuscenes_rig():
        image = images[config.name]
        seen = np.flatnonzero(image.track.ravel() >= 0)
        own = image.track.ravel()[seen][:, None] == agents.track
        points = se3.transform_points(sim.T_global_ego(), backproject(config, image)[seen])
        assert (points_in_boxes(points, agents.boxes, 1e-2) & own).any(1).all()
        np.testing.assert_array_equal(agents.label[own.argmax(1)], image.semantic.ravel()[seen])
        np.testing.assert_array_equal(image.track >= 0, np.isin(image.semantic, OCC3D.things))
        total += len(seen)
    assert total > 500


def test_projected_boxes_cover_the_pixels_of_their_road_user(scene):
    sim, images = scene
    agents, covered = sim.boxes(), 0
    T_ego_global = se3.inverse(sim.T_global_ego())
    for config in nuscenes_rig():
        track = images[config.name].track
        for number in np.unique(track[track >= 0]):
            corners = se3.transform_points(T_ego_global, box_corners(agents.boxes[agents.track == number][0]))
            pixel, depth = config.project(corners)
            if (depth > 0.1).all():  # all of it is before the camera
                rows, columns = np.nonzero(track == number)
                hull = ConvexHull(pixel).equations
                assert (hull[:, :2] @ np.stack([columns + 0.5, rows + 0.5]) + hull[:, 2:] <= 1e-6).all()
                covered += len(rows)
    assert covered > 500


def box_corners(box: np.ndarray) -> np.ndarray:
    """Corners `(8, 3)` [m] of a box `(7,)`."""
    x, y, z, *size, yaw = box
    corners = np.stack(np.meshgrid(*[[-0.5, 0.5]] * 3), -1).reshape(-1, 3) * size
    return se3.transform_points(se3.from_xyzyaw(x, y, z, yaw), corners)


@pytest.mark.parametrize("seed", range(2))
def test_pixels_of_a_box_lie_in_its_projection(seed, small_town):
    bodies = random_bodies(np.random.default_rng(seed), 8)
    image = take(bodies, small_town, camera())
    for number in np.unique(image.body[(image.body >= 0) & (image.body < len(bodies.boxes))]):
        pixel, depth = camera().project(box_corners(bodies.boxes[number]))
        assert (depth > 0).all()
        rows, columns = np.nonzero(image.body == number)
        assert columns.min() + 1 >= pixel[:, 0].min() - 1 and columns.max() <= pixel[:, 0].max() + 1
        assert rows.min() + 1 >= pixel[:, 1].min() - 1 and rows.max() <= pixel[:, 1].max() + 1


def test_the_rig_looks_around():
    rig = nuscenes_rig(1600, 900)
    assert [c.name for c in rig] == [
        "CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_FRONT_LEFT",
    ]  # fmt: skip
    headings = [np.rad2deg(np.arctan2(*c.T_ego_camera[[1, 0], 2])) for c in rig]
    np.testing.assert_allclose(headings, [0.0, -55.0, -110.0, 180.0, 110.0, 55.0])
    fields = [np.rad2deg(2 * np.arctan(800.0 / c.intrinsics[0, 0])) for c in rig]
    np.testing.assert_allclose(fields, [65, 65, 65, 89, 65, 65], atol=1.0)
    for config in rig:  # x right, y down: a point to the left of and above the axis is so in the image
        left = np.cross([0.0, 0.0, 1.0], config.T_ego_camera[:3, 2])
        point = config.T_ego_camera[:3, 3] + 10 * config.T_ego_camera[:3, 2] + left + [0.0, 0.0, 2.0]
        (u, v), depth = (a[0] for a in config.project(point[None]))
        assert u < config.intrinsics[0, 2] and v < config.intrinsics[1, 2] and depth == pytest.approx(10.0)


@pytest.mark.parametrize("size", [(400, 224), (1600, 900), (200, 200), (64, 20)])
def test_scaling_keeps_where_a_point_falls(size):
    config, points = nuscenes_rig(1600, 900)[0], np.random.default_rng(0).uniform((5, -8, 0), (40, 8, 4), (50, 3))
    small = config.scaled(*size)
    factor = max(size[0] / 1600, size[1] / 900)
    crop = (np.array([1600, 900]) * factor - size) / 2
    assert (small.width, small.height) == size and (crop >= 0).all()
    np.testing.assert_allclose(small.project(points)[0], config.project(points)[0] * factor - crop, atol=1e-9)
    np.testing.assert_array_equal(small.project(points)[1], config.project(points)[1])
    assert small.intrinsics[0, 0] == pytest.approx(small.intrinsics[1, 1])


def test_images_are_reproducible_and_of_the_right_kind(scene, small_town):
    sim, images = scene
    again = TownSimulator(Town.generate(small_town.seed, small_town.location, small_town.extent_m))
    again.reset(sim.scenario)
    others = again.images()
    for (name, image), config in zip(images.items(), nuscenes_rig(), strict=True):
        other = others[name]
        kinds = {"rgb": np.uint8, "depth": np.float32, "semantic": np.uint8, "body": np.int32, "track": np.int64}
        for field, kind in kinds.items():
            value = getattr(image, field)
            np.testing.assert_array_equal(value, getattr(other, field))
            assert value.dtype == kind and value.shape[:2] == (config.height, config.width)
        assert image.rgb.std() > 20


def test_bodies_keep_their_colour_and_differ(scene):
    sim, _ = scene
    bodies = sim.town.static
    paint, moved = paint_bodies(bodies), paint_bodies(bodies.seen_from(np.array([31.0, -7.0, 2.0])))
    for a, b in zip(paint, moved, strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(np.unique(paint.color[bodies.classes == CAR], axis=0)) > 5


def test_the_parts_of_a_car_match_also_bumper_to_bumper():
    rng = np.random.default_rng(0)
    boxes = np.array([[4.9 * n, 0.0, 0.8, *rng.uniform((4.5, 1.8, 1.5), (4.8, 1.9, 1.7)), 0.0] for n in range(6)])
    bodies = road_user_bodies(boxes, np.zeros(6, int), np.arange(6))
    color, painted = paint_bodies(bodies).color, bodies.boxes[:, 5] > 0.4 * boxes[0, 5] * 0.8  # but not the wheels
    colors = [np.unique(color[painted & (bodies.tracks == n)], axis=0) for n in range(6)]
    assert all(len(own) == 1 for own in colors) and len(np.unique(np.concatenate(colors), axis=0)) > 3


def test_the_sun_casts_shadows(small_town):
    light = Light(sun_azimuth=0.3 + np.pi / 2, sun_elevation=np.pi / 4)  # on the left of the ego
    pole = Bodies.of([((10.0, 2.0, 1.0, 4.0, 0.2, 2.0, 0.0), WALL)])
    bright, dark = (take(b, small_town, camera(), light=light) for b in (Bodies.of(), pole))
    points = camera().project(np.array([[10.0, 1.2, 0.0], [10.0, -1.5, 0.0]]))[0].astype(int)
    shaded, lit = (tuple(p[::-1]) for p in points)
    assert dark.rgb[shaded].mean() < 0.75 * bright.rgb[shaded].mean()
    np.testing.assert_array_equal(dark.rgb[lit], bright.rgb[lit])


def test_roads_are_marked(small_town):
    ground, cells = small_town.ground, np.argwhere(small_town.ground.marking > 127)
    places = ground.origin_m + (cells + 0.5) * ground.marking_resolution_m
    on = ground.lookup(places)
    assert np.isin(on, [OCC3D.index("driveable_surface"), OCC3D.index("other_flat")]).mean() > 0.98
    assert 0.01 < len(cells) / (ground.drivable.sum() * 4) < 0.2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 0}, "width"),
        ({"name": ""}, "name"),
        ({"intrinsics": np.eye(4)}, "intrinsics"),
        ({"intrinsics": -K}, "intrinsics"),
        ({"intrinsics": K.T}, "intrinsics"),
        ({"T_ego_camera": np.full((4, 4), np.nan)}, "T_ego_camera"),
        ({"T_ego_camera": np.diag([2.0, 1.0, 1.0, 1.0])}, "rigid"),
        ({"T_ego_camera": np.diag([-1.0, 1.0, 1.0, 1.0])}, "rigid"),
        ({"T_ego_camera": np.eye(4)}, "above the ground"),
    ],
)
def test_an_impossible_camera_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        camera(**changes)


def test_an_impossible_rig_is_refused():
    with pytest.raises(ValueError, match="different names"):
        Cameras([camera(), camera()])
    with pytest.raises(ValueError, match="max_range_m"):
        Cameras([camera()], max_range_m=0.0)
    with pytest.raises(ValueError, match="scaled"):
        camera().scaled(0, 10)
    for options in ({"sun_elevation": 0.0}, {"haze_m": 0.0}):
        with pytest.raises(ValueError, match=next(iter(options))):
            Light(**options)
