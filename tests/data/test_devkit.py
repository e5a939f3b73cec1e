"""The unmodified nuscenes-devkit reads what we write, and agrees with our reader."""

from __future__ import annotations

import numpy as np
import pytest
from nuscenes.can_bus.can_bus_api import NuScenesCanBus
from nuscenes.nuscenes import NuScenes
from nuscenes.utils.data_classes import LidarPointCloud

from drivewm.data import Index, build_index
from drivewm.data.nuscenes_schema import CATEGORIES, TABLES
from drivewm.geometry import se3
from drivewm.structures import OCC3D
from tests.data import handmade


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> Index:
    return build_index(handmade.write(tmp_path_factory.mktemp("devkit") / "set"))


@pytest.fixture(scope="module")
def devkit(index) -> NuScenes:
    return NuScenes(index.version, str(index.data_root), verbose=False)


def compare(devkit: NuScenes, index: Index) -> None:
    """Every keyframe: boxes in the ego frame to 1 mm, velocities, points, poses."""
    for frame in range(index.num_frames):
        sample = devkit.get("sample", index["frame_token"][frame].decode())
        path, boxes, _ = devkit.get_sample_data(sample["data"]["LIDAR_TOP"])
        T_ego_lidar, T_global_ego = index["frame_T_ego_lidar"][frame], index["frame_T_global_ego"][frame]
        rows = slice(*index["frame_box_ptr"][frame : frame + 2])
        centers = np.array([box.center for box in boxes]).reshape(-1, 3)
        np.testing.assert_allclose(se3.transform_points(T_ego_lidar, centers), index["box_center"][rows], atol=1e-3)
        np.testing.assert_allclose(
            [box.wlh[[1, 0, 2]] for box in boxes], index["box_size"][rows].reshape(-1, 3), atol=1e-5
        )
        forward = np.array([T_ego_lidar[:3, :3] @ box.rotation_matrix[:, 0] for box in boxes]).reshape(-1, 3)
        np.testing.assert_allclose(
            np.cos(np.arctan2(forward[:, 1], forward[:, 0]) - index["box_yaw"][rows]), 1.0, atol=1e-6
        )
        labels = [OCC3D.index(CATEGORIES[box.name]) for box in boxes]
        assert labels == index["box_label"][rows].tolist()
        velocity = np.array([devkit.box_velocity(box.token) for box in boxes]).reshape(-1, 3) @ T_global_ego[:3, :3]
        np.testing.assert_allclose(velocity[:, :2], index["box_velocity"][rows], atol=1e-3)
        cloud = LidarPointCloud.from_file(path)
        assert cloud.points.shape == (4, index["frame_lidar_bytes"][frame] // 20)


def test_opens_and_agrees(devkit, index):
    assert [scene["name"] for scene in devkit.scene] == list(handmade.SCENES)
    devkit.list_scenes()
    compare(devkit, index)


def test_tables_have_nuscenes_columns_and_closed_chains(devkit):
    for table, columns in TABLES.items():
        for row in getattr(devkit, table):
            assert set(columns) <= set(row)
    for scene in devkit.scene:
        token, count = scene["first_sample_token"], 0
        while token:
            sample = devkit.get("sample", token)
            assert sample["next"] == "" or devkit.get("sample", sample["next"])["prev"] == token
            last, token, count = token, sample["next"], count + 1
        assert last == scene["last_sample_token"] and count == scene["nbr_samples"]
    for instance in devkit.instance:
        token, count = instance["first_annotation_token"], 0
        while token:
            row = devkit.get("sample_annotation", token)
            assert row["instance_token"] == instance["token"]
            last, token, count = token, row["next"], count + 1
        assert last == instance["last_annotation_token"] and count == instance["nbr_annotations"]


def test_route_reads_as_can_bus(devkit):
    route = NuScenesCanBus(devkit.dataroot).get_messages("scene-2001", "route")
    np.testing.assert_allclose(route, handmade.route("scene-2001"))


def test_basemap_mask_is_the_right_way_round(tmp_path):
    from nuscenes.utils.map_mask import MapMask

    from drivewm.data.basemap import write_mask

    drivable = np.zeros((80, 50), bool)  # 8 m along x, 5 m along y
    drivable[60:70, 10:20] = True
    write_mask(tmp_path / "mask.png", drivable)
    mask = MapMask(str(tmp_path / "mask.png"))
    x, y = np.meshgrid(np.arange(0.25, 8, 0.5), np.arange(0.25, 5, 0.5))
    x, y = x.ravel(), y.ravel()
    expected = (x > 6) & (x < 7) & (y > 1) & (y < 2)
    np.testing.assert_array_equal(mask.is_on_mask(x, y), expected)
