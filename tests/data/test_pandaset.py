"""PandaSet as a data set: a made-up excerpt whose sensor and car are known, and the real one where it is at hand."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from nuscenes.nuscenes import NuScenes

from drivewm.data import DataError, DriveClips, build_index
from drivewm.data.nuscenes_schema import LIDARSEG_CATEGORIES
from drivewm.data.optical_centre import estimate_T_pose_lidar, sharpness
from drivewm.data.recordings import convert_recording
from drivewm.geometry import VoxelGrid, se3
from drivewm.geometry.boxes import points_in_boxes
from drivewm.structures import OCC3D
from tests.data import handmade_pandaset as handmade

GRID = VoxelGrid.centered((64, 64, 8), 0.8)
_REAL = os.environ.get("DRIVEWM_REAL_DATA")
_CLASS_OF = np.array([OCC3D.index(name) for name in LIDARSEG_CATEGORIES.values()])


@pytest.fixture(scope="module")
def made_up(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pandaset")
    out = convert_recording(handmade.write(folder / "pandaset_009_f0-6.npz"), folder / "set", GRID)
    return build_index(out), NuScenes("v1.0-recording", str(out), verbose=False)


def points_and_classes(devkit: NuScenes) -> list[tuple[np.ndarray, np.ndarray]]:
    """Points in the ego frame and OCC3D classes of each keyframe, read by hand."""
    found = []
    for row in devkit.sample:
        data = devkit.get("sample_data", row["data"]["LIDAR_TOP"])
        calibration = devkit.get("calibrated_sensor", data["calibrated_sensor_token"])
        T_ego_lidar = se3.from_quaternion(np.array(calibration["rotation"]), np.array(calibration["translation"]))
        points = np.fromfile(Path(devkit.dataroot, data["filename"]), np.float32).reshape(-1, 5)[:, :3]
        label = Path(devkit.dataroot, devkit.get("lidarseg", data["token"])["filename"])
        classes = _CLASS_OF[np.fromfile(label, np.uint8)]
        found.append((se3.transform_points(T_ego_lidar, points.astype(np.float64)), classes))
    return found


def elevation_sharpness(devkit: NuScenes, row: dict) -> float:
    points = np.fromfile(Path(devkit.dataroot, row["filename"]), np.float32).reshape(-1, 5)
    return sharpness(np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1])))


def test_the_sensor_is_found_where_it_is(made_up):
    index, _ = made_up
    T_world_ego = se3.from_xyzyaw(0, 0, 0, 0.1 + np.pi / 2)  # level, x where the pose's y points
    T_world_pose = handmade.pose(0.0)
    T_pose_ego = se3.inverse(T_world_pose) @ T_world_ego
    expected = se3.inverse(T_pose_ego) @ handmade.T_POSE_LIDAR
    for T_ego_lidar in index.columns["frame_T_ego_lidar"]:
        # Rolled by 1.7 degrees, the published origin is 0.4 m up: the ego's is under it along the road's normal or the
        # pose's z, 1 cm apart.
        np.testing.assert_allclose(T_ego_lidar[:3, 3], expected[:3, 3], atol=0.03)
        np.testing.assert_allclose(T_ego_lidar[:3, :3], expected[:3, :3], atol=0.003)


def test_rings_blur_away_from_the_optical_centre():
    points, _ = handmade.sweep(0)
    middle = points[:-1] + [0.0, 0.5 * handmade.SPEED * handmade.SWEEP_S, 0.0]
    motion = np.array([[0.0, handmade.SPEED * handmade.SWEEP_S, 0.0]])
    T_pose_lidar, best = estimate_T_pose_lidar([middle], motion)
    np.testing.assert_allclose(T_pose_lidar, handmade.T_POSE_LIDAR, atol=0.02)
    for off in ([0, 0, 0.1], [0.3, 0, 0], [0, -0.3, 0]):
        local = se3.transform_points(se3.inverse(T_pose_lidar), middle) + off
        assert sharpness(np.arctan2(local[:, 2], np.hypot(local[:, 0], local[:, 1]))) < 0.8 * best
    rng = np.random.default_rng(0)
    assert sharpness(rng.uniform(-0.4, 0.2, 100_000)) < 0.02


def test_the_road_lies_flat_and_the_car_in_its_box(made_up):
    index, devkit = made_up
    road, car = OCC3D.index("driveable_surface"), OCC3D.index("car")
    columns = index.columns
    poses = columns["frame_T_global_ego"]
    centers = []
    for f, (points, classes) in enumerate(points_and_classes(devkit)):
        assert np.abs(points[classes == road, 2]).max() < 0.05
        assert np.abs(points[:, :2]).max() > 25 and not (classes == OCC3D.index("others")).any()  # the roof is gone
        box = np.concatenate(
            [columns[c][f].ravel() for c in ("box_center", "box_size")] + [columns["box_yaw"][f : f + 1]]
        )
        inside = points_in_boxes(points, box[None], 0.05)[:, 0]
        assert inside[classes == car].mean() > 0.98 and (classes[inside] == car).mean() > 0.9
        assert (classes == car).sum() > 50
        assert columns["box_lidar_points"][f] > 20  # of surface points half lie inside
        centers.append(se3.transform_points(poses[f], box[None, :3])[0])
    np.testing.assert_allclose(centers[0], centers[1], atol=0.02)  # it is parked
    np.testing.assert_allclose(poses[0], np.eye(4), atol=1e-9)
    np.testing.assert_allclose(poses[1][:3, 3], [0.5 * handmade.SPEED, 0, 0], atol=0.01)


def test_keyframes_every_half_second_and_sweeps_between(made_up):
    index, devkit = made_up
    assert index.num_frames == 2 and len(devkit.instance) == 1
    rows = sorted(devkit.sample_data, key=lambda row: row["timestamp"])
    assert [row["is_key_frame"] for row in rows] == [True, False, False, False, False, True]  # the 7th has no keyframe
    np.testing.assert_allclose(np.diff([row["timestamp"] for row in rows]), 100_000, atol=1)
    assert rows[0]["timestamp"] == pytest.approx((1.5e9 + 0.05) * 1e6, abs=1)
    assert {row["sample_token"] for row in rows[1:]} == {devkit.sample[1]["token"]}
    assert all(elevation_sharpness(devkit, row) > 0.4 for row in rows)
    clip = DriveClips(index, "val", 1, 1)[0]["clip"]
    assert clip.occupancy[0, 0].numpy()[tuple(GRID.to_index(np.zeros(3))[0])] in (OCC3D.index("driveable_surface"), 17)
    assert (clip.occupancy[0] == OCC3D.index("car")).any() and (clip.occupancy[0] == OCC3D.index("manmade")).any()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"boxes": None}, "no boxes"),
        ({"box_class": np.array(["Car"] * 6 + ["Tank"])}, r"box_class: found \['Tank'\]"),
        ({"boxes": np.zeros((7, 8))}, r"boxes: found shape \(7, 8\)"),
        ({"boxes": np.array([[0.0, 5, 0, 0, 0, 1, 1, 0, 0]] * 7)}, "sizes that are not positive"),
        ({"boxes": np.array([[9.0, k, 0, 0, 0, 1, 1, 1, 0] for k in range(7)])}, "sweeps 0 to 6"),
        ({"boxes": np.array([[0.0, 5, 0, 0, 0, 1, 1, 1, 0]] * 7)}, "a track twice"),
        ({"label": 43}, r"label: found \[43\]"),
        ({"label": handmade.BUILDING}, "0 points of the road"),
        ({"points": 0}, "no rings"),
    ],
)
def test_files_that_are_no_excerpt(tmp_path, changed, words):
    path = handmade.write(tmp_path / "pandaset_009.npz")
    if isinstance(next(iter(changed.values())), int):
        (name, value), loaded = next(iter(changed.items())), np.load(path)
        if name == "label":
            changed = {name: np.full_like(loaded[name], value)}
        else:
            changed = {name: np.random.default_rng(0).uniform(-20, 20, loaded[name].shape).astype(np.float32)}
    with pytest.raises(DataError, match=words):
        convert_recording(handmade.write(path, **changed), tmp_path / "set", GRID)
    assert not (tmp_path / "set").exists()


def test_every_sweep_as_a_keyframe(made_up, tmp_path):
    """What the sweeps of half a second are, those of keyframes are too; each has its boxes."""
    file = handmade.write(tmp_path / "pandaset_009_f0-6.npz")
    index = build_index(convert_recording(file, tmp_path / "set", GRID, keyframe_s=0.1))
    assert index.num_frames == 7 and len(index["sweep_time_us"]) == 0
    assert np.diff(index["frame_box_ptr"]).tolist() == [1] * 7
    for column in ("frame_T_global_ego", "frame_T_ego_lidar", "frame_time_us"):
        np.testing.assert_array_equal(index[column][[0, 5]], made_up[0][column])
    with pytest.raises(ValueError, match="keyframe_s must be positive"):
        convert_recording(file, tmp_path / "other", GRID, keyframe_s=0.0)


@pytest.mark.skipif(_REAL is None, reason="DRIVEWM_REAL_DATA is not set")
def test_the_real_excerpt(tmp_path):
    out = convert_recording(Path(_REAL) / "pandaset_002_f40-55.npz", tmp_path / "set", GRID)
    index, devkit = build_index(out), NuScenes("v1.0-recording", str(out), verbose=False)
    assert index.num_frames == 4 and len(devkit.sample_data) == 16
    T_ego_lidar = index.columns["frame_T_ego_lidar"][0]
    assert T_ego_lidar[2, 3] == pytest.approx(2.16, abs=0.03) and T_ego_lidar[0, 3] == pytest.approx(0.79, abs=0.03)
    assert min(elevation_sharpness(devkit, row) for row in devkit.sample_data) > 0.1  # 0.03 from the published origin
    poses, columns = index.columns["frame_T_global_ego"], index.columns
    assert 5.0 < poses[-1][0, 3] < 6.5 and abs(poses[-1][1, 3]) < 0.2  # it drives ahead
    things = [OCC3D.index(name) for name in ("car", "truck", "pedestrian", "construction_vehicle")]
    own, all_inside = 0, 0
    for f, (points, classes) in enumerate(points_and_classes(devkit)):
        road = (classes == OCC3D.index("driveable_surface")) & (np.hypot(*points[:, :2].T) < 10)
        assert np.abs(np.median(points[road, 2])) < 0.1 and np.percentile(np.abs(points[road, 2]), 95) < 0.2
        begin, end = columns["frame_box_ptr"][f : f + 2]
        boxes = np.column_stack([columns[c][begin:end] for c in ("box_center", "box_size", "box_yaw")])
        labels, count = columns["box_label"][begin:end], columns["box_lidar_points"][begin:end]
        for box, label in zip(boxes[count > 30], labels[count > 30], strict=True):
            if label in things:
                inside = classes[points_in_boxes(points, box[None])[:, 0]]
                own, all_inside = own + (inside == label).sum(), all_inside + len(inside)
    assert own > 0.95 * all_inside > 20_000
