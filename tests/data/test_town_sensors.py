"""A town with all its sensors, read by the unmodified devkit: calibration, time, classes, masks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from nuscenes.nuscenes import NuScenes
from nuscenes.utils.data_classes import LidarPointCloud
from nuscenes.utils.geometry_utils import BoxVisibility, points_in_box, transform_matrix, view_points
from PIL import Image
from pyquaternion import Quaternion
from scipy.spatial import ConvexHull

from drivewm.data import DriveClips, Index, build_index, town
from drivewm.data.nuscenes_schema import CATEGORIES, LIDARSEG_CATEGORIES
from drivewm.data.town_plan import LIDAR_KEYFRAMES, TownOptions, TownSensors
from drivewm.data.town_scene import town_at
from drivewm.geometry import VoxelGrid
from drivewm.simulation import LidarConfig, nuscenes_rig
from drivewm.simulation.kinds import KINDS
from drivewm.structures import OCC3D
from tests.data.test_devkit import compare

SEED, GRID, SIZE = 10, VoxelGrid.centered((48, 48, 10), 0.8), (200, 112)
CAMERAS = [camera.name for camera in nuscenes_rig()]
LIDAR = "LIDAR_TOP"


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """One scene of a second, with everything on."""
    sensors = TownSensors(image_size=SIZE, depth=True, semantic=True)
    return town.write_town(tmp_path_factory.mktemp("full") / "set", TownOptions(1, SEED, GRID, 1.0, sensors))


@pytest.fixture(scope="module")
def devkit(root) -> NuScenes:
    return NuScenes("v1.0-town", str(root), verbose=False)


@pytest.fixture(scope="module")
def index(root) -> Index:
    return build_index(root)


def chain(devkit: NuScenes, channel: str) -> list[dict]:
    """All files of a sensor in the order of their links."""
    row = devkit.get("sample_data", devkit.sample[0]["data"][channel])
    while row["prev"]:
        row = devkit.get("sample_data", row["prev"])
    rows = [row]
    while row["next"]:
        following = devkit.get("sample_data", row["next"])
        assert following["prev"] == row["token"]
        rows.append(row := following)
    return rows


def pose_of(devkit: NuScenes, table: str, token: str) -> np.ndarray:
    row = devkit.get(table, token)
    return transform_matrix(row["translation"], Quaternion(row["rotation"]))


def global_from(devkit: NuScenes, data: dict) -> np.ndarray:
    """`T_global_sensor` of a row of sample_data, by the devkit's own functions."""
    T_global_ego = pose_of(devkit, "ego_pose", data["ego_pose_token"])
    return T_global_ego @ pose_of(devkit, "calibrated_sensor", data["calibrated_sensor_token"])


def picture(root: Path, data: dict, kind: str) -> np.ndarray:
    return np.asarray(Image.open(root / data["filename"].replace("samples", kind).replace(".jpg", ".png")))


def pixels(root: Path, data: dict, K: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of pixels that see something: points (N, 3) in the camera frame, classes, and u, v (N, 2) of their centres."""
    depth, semantic = picture(root, data, "depth") / 100.0, picture(root, data, "semantic")
    v, u = np.nonzero(depth)
    uv = np.stack([u, v], axis=1) + 0.5
    rays = np.column_stack([uv, np.ones(len(uv))]) @ np.linalg.inv(K).T
    return rays * depth[v, u][:, None], semantic[v, u], uv


def test_the_devkit_lists_all_sensors(devkit, capsys):
    devkit.list_scenes()
    devkit.list_sample(devkit.sample[1]["token"])
    listed = capsys.readouterr().out
    assert all(channel in listed for channel in (LIDAR, *CAMERAS))
    assert all(set(sample["data"]) == {LIDAR, *CAMERAS} for sample in devkit.sample)
    assert {row["channel"]: row["modality"] for row in devkit.sensor} == {
        LIDAR: "lidar",
        **dict.fromkeys(CAMERAS, "camera"),
    }
    assert len(devkit.calibrated_sensor) == 7  # one a sensor and scene, as in nuScenes
    assert len({row["ego_pose_token"] for row in devkit.sample_data}) == len(devkit.sample_data) == len(devkit.ego_pose)
    assert len(devkit.sample_data) == 3 * 7 + 28


def test_sweeps_are_one_chain_with_the_keyframes(devkit, root):
    rows, samples = chain(devkit, LIDAR), devkit.sample
    begin = samples[0]["timestamp"]
    assert [row["timestamp"] - begin for row in rows] == list(range(-500_000, 1_000_001, 50_000))
    assert [row["is_key_frame"] for row in rows] == [n >= 10 and n % 10 == 0 for n in range(31)]
    for row in rows:
        following = min((s for s in samples if s["timestamp"] >= row["timestamp"]), key=lambda s: s["timestamp"])
        assert row["sample_token"] == following["token"]
        folder = "samples" if row["is_key_frame"] else "sweeps"
        assert row["filename"].startswith(f"{folder}/{LIDAR}/") and row["fileformat"] == "pcd"
        assert (root / row["filename"]).stat().st_size > 20 * 10_000
    for channel in CAMERAS:
        assert [row["sample_token"] for row in chain(devkit, channel)] == [sample["token"] for sample in samples]
    moved = np.array([pose_of(devkit, "ego_pose", row["ego_pose_token"])[:2, 3] for row in rows])
    steps = np.linalg.norm(np.diff(moved, axis=0), axis=1)
    assert steps.min() > 0.05 and np.abs(np.diff(steps)).max() < 0.05 * 0.05 * 8 + 1e-3  # no jerk above 8 m/s^2


def test_images_are_jpegs_of_their_size(devkit, root):
    for channel in CAMERAS:
        for row in chain(devkit, channel):
            with Image.open(root / row["filename"]) as image:
                assert (image.format, image.mode, image.size) == ("JPEG", "RGB", SIZE)
            assert (row["width"], row["height"], row["fileformat"]) == (*SIZE, "jpg")
            depth, semantic = picture(root, row, "depth"), picture(root, row, "semantic")
            assert (
                depth.dtype == np.uint16 and semantic.dtype == np.uint8 and depth.shape == semantic.shape == SIZE[::-1]
            )
            np.testing.assert_array_equal(depth == 0, semantic == OCC3D.free)


def test_the_way_from_lidar_to_camera_is_ours(devkit):
    """lidar -> ego -> global -> ego -> camera by the devkit, against the rig that took the images."""
    points_ego = np.random.default_rng(0).uniform(-40, 40, (500, 3)) * [1, 1, 0.1]
    T_lidar_ego = np.linalg.inv(LidarConfig().T_ego_lidar)
    points = LidarPointCloud(np.vstack([(points_ego @ T_lidar_ego[:3, :3].T + T_lidar_ego[:3, 3]).T, np.zeros(500)]))
    for sample in devkit.sample:
        lidar = devkit.get("sample_data", sample["data"][LIDAR])
        for camera in nuscenes_rig(*SIZE):
            data = devkit.get("sample_data", sample["data"][camera.name])
            seen = LidarPointCloud(points.points.copy())
            seen.transform(np.linalg.inv(global_from(devkit, data)) @ global_from(devkit, lidar))
            T = camera.T_ego_camera
            np.testing.assert_allclose(seen.points[:3].T, (points_ego - T[:3, 3]) @ T[:3, :3], atol=1e-3)
            _, _, K = devkit.get_sample_data(data["token"])
            front = seen.points[2] > 1.0
            uv = view_points(seen.points[:3, front], K, normalize=True)[:2].T
            np.testing.assert_allclose(uv, camera.project(points_ego[front])[0], atol=0.1)


def test_lidar_points_lie_where_the_camera_sees_them(devkit, root):
    """The devkit's projection of points into images, against the depth images."""
    compared, agree, through = 0, 0, 0
    for sample in devkit.sample:
        for channel in CAMERAS:
            uv, depth, _ = devkit.explorer.map_pointcloud_to_image(sample["data"][LIDAR], sample["data"][channel])
            seen = picture(root, devkit.get("sample_data", sample["data"][channel]), "depth") / 100.0
            u, v = np.floor(uv[:2]).astype(int)
            around = np.stack([seen[v + i, u + j] for i in (-1, 0, 1) for j in (-1, 0, 1)])
            flat = (np.ptp(around, axis=0) < 0.1 * depth) & (around.min(0) > 0)
            tolerance = 0.1 + np.ptp(around, axis=0)
            agree += (np.abs(seen[v, u] - depth) < tolerance)[flat].sum()
            through += (seen[v, u] > depth + tolerance)[flat].sum()
            compared += flat.sum()
    # The LiDAR stands higher: some of what it meets is hidden from the camera, but hardly anything is transparent.
    assert compared > 5000 and agree > 0.93 * compared and through < 0.005 * compared


def test_boxes_cover_the_pixels_of_their_instances(devkit, root):
    """What a pixel of a road user sees lies in a box of that class, in whose outline the pixel is."""
    checked = 0
    for sample in devkit.sample:
        for channel in CAMERAS:
            _, boxes, K = devkit.get_sample_data(sample["data"][channel], box_vis_level=BoxVisibility.NONE)
            points, label, uv = pixels(root, devkit.get("sample_data", sample["data"][channel]), K)
            near = np.isin(label, OCC3D.movable) & (np.linalg.norm(points, axis=1) < 45.0)
            points, label, uv = points[near], label[near], uv[near]
            covered = np.zeros(len(points), bool)
            for box in boxes:
                own = (label == OCC3D.index(CATEGORIES[box.name])) & points_in_box(box, points.T, wlh_factor=1.02)
                covered |= own
                corners = box.corners()
                if own.any() and corners[2].min() > 0.1:
                    outline = ConvexHull(view_points(corners, K, normalize=True)[:2].T).equations
                    assert (uv[own] @ outline[:, :2].T + outline[:, 2] <= 1.0).all()
            assert covered.mean() > 0.99 if len(points) else True
            checked += len(points)
    assert checked > 300


def test_aggregated_sweeps_keep_walls_sharp(devkit):
    """Ten sweeps by the devkit: points at house fronts lie on them, but not so with poses of a sweep earlier."""
    sample = devkit.sample[1]
    cloud, times = LidarPointCloud.from_file_multisweep(devkit, sample, LIDAR, LIDAR, nsweeps=10)
    assert len(np.unique(times.round(3))) == 10 and times.max() == pytest.approx(0.45)
    keyframe = devkit.get("sample_data", sample["data"][LIDAR])
    previous = devkit.get("sample_data", keyframe["prev"])
    assert near_walls(cloud.points[:3].T, global_from(devkit, keyframe)) > 0.99
    # The same points, as if each sweep had been taken 50 ms earlier: the ego has driven 0.3 m meanwhile.
    assert near_walls(cloud.points[:3].T, global_from(devkit, previous)) < 0.95


def near_walls(points: np.ndarray, T_global_lidar: np.ndarray) -> float:
    """Share within 8 cm (four sigma of the range) of a front, of the points within 0.4 m of one."""
    points = points @ T_global_lidar[:3, :3].T + T_global_lidar[:3, 3]
    static = town_at(SEED, "singapore-onenorth").static
    static = static.near(T_global_lidar[:2, 3], 40.0)
    walls = static.boxes[(static.box_class == OCC3D.index("manmade")) & (static.boxes[:, 3:6].min(1) > 2.0)]
    points = points[np.linalg.norm(points - T_global_lidar[:3, 3], axis=1) < 40.0]
    distance = np.full(len(points), np.inf)
    for wall in walls:
        c, s = np.cos(wall[6]), np.sin(wall[6])
        local = (points - wall[:3]) @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        beyond = np.abs(local) - wall[3:6] / 2
        outside = np.linalg.norm(np.maximum(beyond, 0.0), axis=1)
        distance = np.minimum(distance, np.where(outside > 0, outside, -beyond.max(1)))
    distance = distance[(points[:, 2] > 1.0) & (distance < 0.4)]
    assert len(distance) > 3000
    return float((distance < 0.08).mean())


def test_point_classes_are_those_of_lidarseg(devkit, root, tmp_path, capsys):
    assert [row["name"] for row in sorted(devkit.category, key=lambda r: r["index"])] == list(devkit.colormap)
    assert list(LIDARSEG_CATEGORIES) == list(devkit.colormap) and len(devkit.lidarseg) == 3
    checked = 0
    for sample in devkit.sample:
        token = sample["data"][LIDAR]
        path, boxes, _ = devkit.get_sample_data(token)
        points = LidarPointCloud.from_file(path).points[:3]
        numbers = np.fromfile(root / devkit.get("lidarseg", token)["filename"], np.uint8)
        assert len(numbers) == points.shape[1] and numbers.max() < 32
        devkit.get_sample_lidarseg_stats(sample["token"])
        counts = [line.split("n=")[1].replace(",", "") for line in capsys.readouterr().out.splitlines() if "n=" in line]
        assert sum(map(int, counts)) == points.shape[1]
        for box in boxes:
            box.center[2] += 0.1  # clear of the ground, whose returns are noisy
            inside = points_in_box(box, points)
            own = numbers[inside] == devkit.lidarseg_name2idx_mapping[box.name]
            checked += inside.sum()
            assert own.sum() >= 0.9 * inside.sum() - 2
    assert checked > 500
    out = tmp_path / "front.png"
    devkit.render_pointcloud_in_image(devkit.sample[0]["token"], show_lidarseg=True, out_path=str(out), verbose=False)
    assert out.stat().st_size > 10_000


def test_a_class_of_the_town_is_one_category():
    """Point classes rely on it: as soon as two kinds share a class, points need to know their kind."""
    assert len({(kind.class_name, kind.category) for kind in KINDS}) == len({kind.class_name for kind in KINDS})


def test_mask_camera_is_what_pixels_see(devkit, root):
    """Every ray of every pixel against some voxels, from depth images and the devkit's calibration alone."""
    sample = devkit.sample[1]
    scene = devkit.get("scene", sample["scene_token"])["name"]
    with np.load(root / "gts" / scene / sample["token"] / "labels.npz") as labels:
        mask, lidar, semantics = (labels[name] for name in ("mask_camera", "mask_lidar", "semantics"))
    assert mask.dtype == np.uint8 and set(np.unique(mask)) == {0, 1} and (mask != lidar).any()
    assert mask[semantics == OCC3D.free].any() and mask[semantics != OCC3D.free].any()
    cells = np.random.default_rng(0).integers(0, GRID.shape, (60, 3))
    low = GRID.origin_m + cells * GRID.voxel_m
    surely, maybe = np.zeros(len(cells), bool), np.zeros(len(cells), bool)
    for channel in CAMERAS:
        data = devkit.get("sample_data", sample["data"][channel])
        T = pose_of(devkit, "calibrated_sensor", data["calibrated_sensor_token"])
        K = np.array(devkit.get("calibrated_sensor", data["calibrated_sensor_token"])["camera_intrinsic"])
        v, u = np.mgrid[: SIZE[1], : SIZE[0]].reshape(2, -1) + 0.5
        rays = np.stack([u, v, np.ones_like(u)], axis=1) @ np.linalg.inv(K).T @ T[:3, :3].T  # depth 1 along the axis
        depth = picture(root, data, "depth").reshape(-1) / 100.0
        depth[depth == 0] = np.inf
        for i, corner in enumerate(low):
            borders = np.stack([corner - T[:3, 3], corner + GRID.voxel_m - T[:3, 3]])[:, None] / rays
            enters, leaves = borders.min(0).max(1), borders.max(0).min(1)
            passes = (enters < leaves) & (leaves > 0)
            surely[i] |= (passes & (enters < depth - 0.02)).any()
            maybe[i] |= (passes & (enters < depth + 0.02)).any()
    found = mask[tuple(cells.T)].astype(bool)
    assert not (surely & ~found).any() and not (found & ~maybe).any()
    assert surely.any() and not maybe.all()


def test_our_reader_sees_keyframes_alone(devkit, index):
    assert index.num_frames == 3 and all(name.startswith(b"samples/LIDAR_TOP/") for name in index["frame_lidar_file"])
    compare(devkit, index)
    clip = DriveClips(index, "train", 1, 2, load_points=True)[0]["clip"]
    assert clip.points.shape[1] == 3 and np.diff(clip.timestamp_us.numpy()).tolist() == [[500_000, 500_000]]


def test_keyframes_do_not_depend_on_what_else_is_written(root, tmp_path):
    """Without cameras and sweeps: the same LiDAR, labels and boxes; `mask_camera` is the LiDAR's."""
    less = town.write_town(tmp_path / "set", TownOptions(1, SEED, GRID, 1.0, LIDAR_KEYFRAMES))
    assert {path.name for path in (less / "samples").iterdir()} == {LIDAR} and not (less / "sweeps").exists()
    for path in (less / "samples").rglob("*.bin"):
        assert path.read_bytes() == (root / path.relative_to(less)).read_bytes()
    for table in ("sample", "sample_annotation", "lidarseg", "instance"):
        assert (less / "v1.0-town" / f"{table}.json").read_text() == (root / "v1.0-town" / f"{table}.json").read_text()
    for path in (less / "gts").rglob("labels.npz"):
        with np.load(path) as own, np.load(root / path.relative_to(less)) as full:
            for name in ("semantics", "mask_lidar"):
                np.testing.assert_array_equal(own[name], full[name])
            np.testing.assert_array_equal(own["mask_camera"], own["mask_lidar"])
    assert json.loads((less / "dataset.json").read_text())["sensors"] == LIDAR_KEYFRAMES.description()
