"""LiDAR and cameras against another ray caster: open3d's RaycastingScene over meshes of the same bodies."""

import numpy as np
import pytest

from drivewm.geometry import se3
from drivewm.simulation import TownSimulator, make_scenarios, nuscenes_rig
from drivewm.simulation.bodies import Bodies

try:
    import open3d as o3d
except (ImportError, OSError) as error:
    pytest.skip(f"open3d cannot be imported ({error})", allow_module_level=True)

REACH_M = 200.0
SEGMENTS = 96  # of a circle


@pytest.fixture(scope="module")
def scene(small_town):
    """A simulator in the middle of an episode, its bodies, and their meshes with the ground under them."""
    sim = TownSimulator(small_town)
    sim.reset(make_scenarios(small_town, 2, 11, 20.0)[0])
    static, agents = sim._bodies(REACH_M + 2.0)
    bodies = static + agents
    return sim, bodies, mesh_scene(bodies)


def mesh_scene(bodies: Bodies):
    """One geometry a body, in the order of `Bodies.classes`, and the ground as the last one."""
    primitives = o3d.geometry.TriangleMesh
    box = primitives.create_box().translate((-0.5, -0.5, -0.5))
    cylinder = primitives.create_cylinder(1.0, 1.0, SEGMENTS, 1)
    ball = primitives.create_sphere(1.0, SEGMENTS // 2)
    turned = [se3.from_xyzyaw(x, y, z, yaw) @ np.diag([*size, 1.0]) for x, y, z, *size, yaw in bodies.boxes]
    upright = [
        se3.from_xyzyaw(x, y, (low + high) / 2, 0.0) @ np.diag([radius, radius, high - low, 1.0])
        for x, y, low, high, radius in bodies.cylinders
    ]
    round_ones = [se3.from_xyzyaw(x, y, z, 0.0) @ np.diag([r, r, tall, 1.0]) for x, y, z, r, tall in bodies.ellipsoids]
    ground = [np.diag([8 * REACH_M, 8 * REACH_M, 1.0, 1.0]) @ se3.from_xyzyaw(0.0, 0.0, -0.5, 0.0)]
    scene = o3d.t.geometry.RaycastingScene()
    for mesh, transforms in ((box, turned), (cylinder, upright), (ball, round_ones), (box, ground)):
        corners, triangles = np.asarray(mesh.vertices), np.asarray(mesh.triangles, np.uint32)
        for T in transforms:
            scene.add_triangles(se3.transform_points(T, corners).astype(np.float32), triangles)
    return scene


def cast(scene, origin: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Depth [m] and geometry of the first hit, for rays `(R, 3)`."""
    rays = np.concatenate([np.broadcast_to(origin, directions.shape), directions], axis=1).astype(np.float32)
    answer = scene.cast_rays(rays)
    return answer["t_hit"].numpy().astype(np.float64), answer["geometry_ids"].numpy().astype(np.int64)


def assert_same(depth, track, expected_depth, geometry, bodies, max_range_m):
    """The same depth and road user, but at outlines, where a mesh and a round body differ."""
    clear = ~(np.abs(expected_depth - max_range_m) < 1.0)
    expected_depth = np.where(expected_depth < max_range_m, expected_depth, np.inf)
    with np.errstate(invalid="ignore"):
        near = (depth == expected_depth) | (np.abs(depth - expected_depth) < 0.01)
    assert near[clear].mean() > 0.998
    hit = near & np.isfinite(depth)
    np.testing.assert_array_equal(np.isfinite(depth)[near], np.isfinite(expected_depth)[near])
    expected_track = np.append(bodies.tracks, -1)[np.minimum(geometry[hit], len(bodies.tracks))]
    assert (track[hit] == expected_track).mean() > 0.999
    assert (expected_track >= 0).sum() > 100


def test_the_lidar_sees_what_open3d_sees(scene):
    sim, bodies, meshes = scene
    sweep = sim.lidar(None)
    rays = sweep.ray_directions.astype(np.float64) @ sweep.T_ego_lidar[:3, :3].T
    depth, geometry = cast(meshes, sweep.T_ego_lidar[:3, 3], rays)
    track = np.full(len(rays), -1)
    track[sweep.point_ray] = sweep.point_track
    assert_same(sweep.ray_depth_m, track, depth, geometry, bodies, 75.0)


def test_the_cameras_see_what_open3d_sees(scene):
    sim, bodies, meshes = scene
    images = sim.images()
    rig = nuscenes_rig()
    rays = [config.rays().reshape(-1, 3) for config in rig]
    # The optical axis points along z: depth along it to distance along the ray.
    ours = [images[c.name].depth.ravel() / (r @ c.T_ego_camera[:3, 2]) for c, r in zip(rig, rays, strict=True)]
    theirs = [cast(meshes, c.T_ego_camera[:3, 3], r) for c, r in zip(rig, rays, strict=True)]
    track = np.concatenate([images[c.name].track.ravel() for c in rig])
    depth, geometry = (np.concatenate(part) for part in zip(*theirs, strict=True))
    assert_same(np.concatenate(ours), track, depth, geometry, bodies, REACH_M)
